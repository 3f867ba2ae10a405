"""Labels that no pair can have known: drawn by a seed that follows from the trained models themselves."""

import hashlib
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.label import Label
from stellar_emulator.grid.sampling import sobol_points, unwarped

_TABLE = 4096


def fresh_seed(digests: Iterable[str]) -> int:
    """A seed that follows from the models' digests, whatever their order: any change of a weight draws others."""
    return int(hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()[:15], 16)


def box_labels(contract: Contract, seed: int, count: int, batch: int) -> Iterator[NDArray[np.float64]]:
    """``count`` labels spread evenly over the uniform box, batches of (``batch``, labels)."""
    sequence = qmc.Sobol(len(contract.labels), scramble=True, rng=np.random.default_rng([seed, 0]))
    unit = sobol_points(sequence, count)
    for first in range(0, count, batch):
        yield contract.lower + unit[first : first + batch] * (contract.upper - contract.lower)


def line_labels(contract: Contract, seed: int, column: int, lines: int, points: int) -> Iterator[NDArray[np.float64]]:
    """Lines through the box along one label, each (``points``, labels), the others as drawn from the uniform box.

    Half of a line's points follow the contract's sampling density, which is high where spectra change fast, and half
    the uniform one. All lines differ in where they begin within a step.
    """
    random = np.random.default_rng([seed, 1, column, points])
    base = contract.lower + random.random((lines, len(contract.labels))) * (contract.upper - contract.lower)
    for line, start in zip(base, random.random(lines), strict=True):
        labels = np.tile(line, (points, 1))
        labels[:, column] = _spread(contract.labels[column], (np.arange(points) + start) / points)
        yield labels


def _spread(label: Label, share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Label values below which a share of the mean of sampling density and uniform density lies."""
    values = np.linspace(label.lower, label.upper, _TABLE)
    below = 0.5 * (unwarped(label, values) + np.linspace(0.0, 1.0, _TABLE))
    return np.interp(share, below, values)
