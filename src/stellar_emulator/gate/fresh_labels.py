"""Labels that no pair can have known: drawn by a seed that follows from the trained models themselves."""

import hashlib
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.hull import drawn_within, hull_bounds
from stellar_emulator.contract.label import Label
from stellar_emulator.grid.sampling import even_places, into_hull, unwarped

_TABLE = 4096


def fresh_seed(digests: Iterable[str]) -> int:
    """A seed that follows from the models' digests, whatever their order: any change of a weight draws others."""
    return int(hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()[:15], 16)


def box_labels(contract: Contract, seed: int, count: int, batch: int) -> Iterator[NDArray[np.float64]]:
    """``count`` labels spread evenly over the box, or the hull of draws in it, batches of (``batch``, labels)."""
    sequence = qmc.Sobol(len(contract.labels), scramble=True, rng=np.random.default_rng([seed, 0]))
    unit = even_places(contract, contract.labels, sequence, count)
    for first in range(0, count, batch):
        yield contract.lower + unit[first : first + batch] * (contract.upper - contract.lower)


def line_labels(contract: Contract, seed: int, column: int, lines: int, points: int) -> Iterator[NDArray[np.float64]]:
    """Lines along one label through the box, or the hull of draws in it, each (``points``, labels); others are random.

    Half of a line's points follow the contract's sampling density, which is high where spectra change fast, and half
    the uniform one. All lines differ in where they begin within a step.
    """
    random = np.random.default_rng([seed, 1, column, points])
    base = contract.lower + random.random((lines, len(contract.labels))) * (contract.upper - contract.lower)
    own = contract.columns(contract.run_labels)
    base[:, own] = into_hull(contract, base[:, own])
    whole = contract.labels[column]
    for line, start in zip(base, random.random(lines), strict=True):
        labels = np.tile(line, (points, 1))
        lower, upper = _ends(contract, line, column)
        share = (_spread(whole, (np.arange(points) + start) / points) - whole.lower) / (whole.upper - whole.lower)
        labels[:, column] = lower + (upper - lower) * share
        yield labels


def _ends(contract: Contract, line: NDArray[np.float64], column: int) -> tuple[float, float]:
    """Where a line along one label, others fixed, enters and leaves the box, or the hull of draws in it."""
    label, within = contract.labels[column], drawn_within(contract)
    if within is None or label not in within:
        return label.lower, label.upper
    first, second = contract.columns(within)
    if column == second:
        lower, upper = hull_bounds(contract, line[[first]])
        return float(lower[0]), float(upper[0])
    values = np.linspace(label.lower, label.upper, _TABLE)
    lower, upper = hull_bounds(contract, values)
    inside = values[(lower <= line[second]) & (line[second] <= upper)]
    return float(inside[0]), float(inside[-1])


def _spread(label: Label, share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Label values below which a share of the mean of sampling density and uniform density lies."""
    values = np.linspace(label.lower, label.upper, _TABLE)
    below = 0.5 * (unwarped(label, values) + np.linspace(0.0, 1.0, _TABLE))
    return np.interp(share, below, values)
