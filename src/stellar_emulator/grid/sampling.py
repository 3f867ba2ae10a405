"""Draws labels in the contract's box: scrambled Sobol sequences, warped towards regions that need more spectra.

A run's labels depend only on the seed and the run's number, so a longer grid extends a shorter one.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import qmc

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.hull import drawn_within, hull_bounds, into_bounds
from stellar_emulator.contract.label import Label

DECIMALS = 4
"""Labels are drawn to this many decimals, so that text, float64 and hashes of them agree."""

_NARROWEST = 1e-6
"""Share of a label's range that a hull leaves at its tip."""

_STEPS = 4096
"""Of a sum over a label's range."""


def run_labels(contract: Contract, seed: int, first: int, count: int) -> NDArray[np.float64]:
    """Labels of runs ``first`` to ``first + count - 1``, shape (count, run labels), in physical units."""
    sequence = qmc.Sobol(len(contract.run_labels), scramble=True, rng=np.random.default_rng(seed))
    if first:
        sequence.fast_forward(first)
    labels = placed(contract, sobol_points(sequence, count))
    return np.asarray(np.round(labels, DECIMALS), dtype=np.float64)


def placed(contract: Contract, unit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Labels of runs from uniform numbers, both (n, run labels): along each label as `warped` has it.

    Where labels are drawn within a hull of two of them, the second lies between the hull's bounds at the first.
    """
    labels = [warped(label, unit[:, column]) for column, label in enumerate(contract.run_labels)]
    return into_hull(contract, np.stack(labels, axis=1))


def into_hull(contract: Contract, labels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of run labels (n, run labels) of the whole box, moved into the hull of draws: inverse of `boxed`."""
    within = drawn_within(contract)
    if within is None:
        return labels
    first, second = (contract.run_labels.index(label) for label in within)
    moved = labels.copy()
    moved[:, second] = into_bounds(contract, labels[:, first], labels[:, second])
    return moved


def boxed(contract: Contract, labels: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows of run labels (n, run labels) as they would lie in the whole box, had no hull bounded the draws.

    With them comes, (n,), by how much the uniform density over the hull exceeds that over the box there.
    """
    spread, within = labels.astype(np.float64), drawn_within(contract)
    if within is None:
        return spread, np.ones(len(labels))
    first, second = (contract.run_labels.index(label) for label in within)
    lower, share = _shares(contract, within, spread[:, first])
    spread[:, second] = within[1].lower + (spread[:, second] - lower) / share
    middles = (np.arange(_STEPS) + 0.5) / _STEPS
    _, everywhere = _shares(contract, within, within[0].lower + middles * (within[0].upper - within[0].lower))
    return spread, share / everywhere.mean()


def unit_places(contract: Contract, labels: NDArray[np.floating]) -> NDArray[np.float64]:
    """Where rows of run labels, (n, run labels), lie in the unit cube that draws fill evenly: inverse of `placed`."""
    spread, _ = boxed(contract, labels)
    return np.stack([unwarped(label, spread[:, column]) for column, label in enumerate(contract.run_labels)], axis=1)


def _shares(
    contract: Contract, within: tuple[Label, Label], first: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower bound of the second of two labels at values of the first, (n,), and the share of its range above it."""
    lower, upper = hull_bounds(contract, first)
    span = within[1].upper - within[1].lower
    return lower, np.maximum(upper - lower, _NARROWEST * span) / span


def broadening_labels(contract: Contract, seed: int, runs: NDArray[np.int64], realisations: int) -> NDArray[np.float64]:
    """Broadening labels of some runs, shape (runs, realisations, broadening labels), in physical units.

    Each run shifts one Sobol sequence by an offset of its own (Cranley & Patterson 1976), so that its draws are
    evenly spread and more of them extend fewer.
    """
    labels = contract.broadening_labels
    if not labels:
        return np.zeros((len(runs), realisations, 0))
    sequence = qmc.Sobol(len(labels), scramble=True, rng=np.random.default_rng([seed, 1]))
    points = sobol_points(sequence, realisations)
    offsets = np.stack([np.random.default_rng([seed, 2, int(run)]).random(len(labels)) for run in runs])
    unit = (points[np.newaxis] + offsets[:, np.newaxis]) % 1.0
    columns = [warped(label, unit[..., column]) for column, label in enumerate(labels)]
    return np.asarray(np.round(np.stack(columns, axis=-1), DECIMALS), dtype=np.float64)


def sobol_points(sequence: qmc.Sobol, count: int) -> NDArray[np.float64]:
    """The next points of a sequence in the unit cube, shape (count, dimensions)."""
    # SciPy warns unless a power of two is drawn; extending a grid by any number of runs matters more here than balance.
    power = 1 << max(0, (count - 1).bit_length())
    if sequence.num_generated == 0:
        return np.asarray(sequence.random(power)[:count])
    return np.asarray(sequence.random(count))


def even_places(contract: Contract, labels: tuple[Label, ...], sequence: qmc.Sobol, count: int) -> NDArray[np.float64]:
    """The next points of a sequence as shares of the labels' ranges, (count, labels), none outside a hull of draws."""
    points = sobol_points(sequence, count)
    within = drawn_within(contract)
    while within is not None:
        first, second = (labels.index(label) for label in within)
        lower, upper = hull_bounds(contract, within[0].lower + points[:, first] * (within[0].upper - within[0].lower))
        value = within[1].lower + points[:, second] * (within[1].upper - within[1].lower)
        points = points[(value >= lower) & (value <= upper)]
        if len(points) >= count:
            break
        points = np.concatenate([points, sequence.random(count)])
    return points[:count]


def drawn_name(contract: Contract, label: Label) -> str:
    """The label's name, for ranges of its draws; with a note where a hull bounds them, so that they are others."""
    within = drawn_within(contract)
    return f"{label.name} (as in the whole box)" if within is not None and label == within[1] else label.name


def warped(label: Label, unit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map uniform numbers to label values whose density falls off exponentially, half of them below the median."""
    span = label.upper - label.lower
    rate = _rate(label)
    share = unit if rate == 0.0 else -np.log1p(unit * np.expm1(-rate)) / rate
    return label.lower + span * share


def unwarped(label: Label, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of all draws below some label values, the inverse of `warped`; values out of bounds are clipped."""
    share = np.clip((values - label.lower) / (label.upper - label.lower), 0.0, 1.0)
    rate = _rate(label)
    return np.asarray(share if rate == 0.0 else np.expm1(-rate * share) / np.expm1(-rate))


def weights(contract: Contract, labels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weight of each row relative to the uniform box, or hull in it, (rows,): uniform density over sampled density.

    Their mean over many draws is 1.
    """
    spread, own = labels.astype(np.float64), contract.columns(contract.run_labels)
    spread[:, own], weight = boxed(contract, spread[:, own])
    for column, label in enumerate(contract.labels):
        rate = _rate(label)
        if rate != 0.0:
            share = (spread[:, column] - label.lower) / (label.upper - label.lower)
            weight *= -np.expm1(-rate) / rate * np.exp(rate * share)
    return weight


def _rate(label: Label) -> float:
    """Rate of the truncated exponential on [0, 1] whose median is the label's; 0 for a uniform label."""
    if label.median is None:
        return 0.0
    share = (label.median - label.lower) / (label.upper - label.lower)
    if abs(share - 0.5) < 1e-6:
        return 0.0

    def below_median(rate: float) -> float:
        return float(np.expm1(-rate * share) / np.expm1(-rate)) - 0.5

    return float(brentq(below_median, 1e-6, 60.0) if share < 0.5 else brentq(below_median, -60.0, -1e-6))


def run_hash(labels: NDArray[np.floating]) -> list[str]:
    """SHA-256 of each run's own labels as little-endian float32, for labels of shape (runs, run labels).

    It decides the split, which therefore does not depend on row order, file or precision.
    """
    return [hashlib.sha256(row.tobytes()).hexdigest() for row in np.ascontiguousarray(labels, dtype="<f4")]
