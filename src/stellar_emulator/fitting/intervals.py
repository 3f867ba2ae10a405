"""68 % intervals of many fits' labels that account for the label box and the vanishing slope of v sin i at 0.

The likelihood is assumed to be normal in the coordinates of `fitting.scaled_labels`, with a uniform prior in the labels
inside the box. Its draws are those of Geweke, Hajivassiliou and Keane (Genz 1992, J. Comput. Graph. Stat. 1, 141): one
coordinate after another from its normal distribution truncated at the box, weighted by the share that lies inside.
Where few weights outdo all others, as in a corner of the box far from the peak, `fitting.interval` draws anew.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import qmc

from stellar_emulator.fitting.interval import SHARE, draws, interval_round
from stellar_emulator.fitting.scaled_labels import SMALLEST, ScaledLabels

POINTS = 1024
"""Draws of each fit: their weights leave a rounding of 2 % in the length of an interval."""

LEAST_EFFECTIVE = 200.0
"""Smallest number of evenly weighted draws that would be worth as much; where it is less, they are drawn anew."""

TAIL = 8.0
"""Standard deviations beyond which a tail's share is rounding."""


@dataclass(frozen=True)
class Intervals:
    """Ends of the 68 % intervals of one fit's labels, (labels,) each, and the labels' covariance, (labels, labels)."""

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    covariance: NDArray[np.float64]


def intervals_of(
    coordinates: ScaledLabels,
    peaks: NDArray[np.float64],
    covariance: NDArray[np.float64],
    free: NDArray[np.bool_],
    best: NDArray[np.float64],
) -> list[Intervals]:
    """Intervals that hold the ``best`` labels (n, labels); those of labels that aren't ``free`` (n, labels) are points.

    peaks: coordinates of the likelihoods' maxima, also outside the box, (n, labels); covariance: (n, labels, labels).
    """
    found: list[Intervals | None] = [None] * len(peaks)
    for pattern in {tuple(one) for one in free.tolist()}:
        rows, chosen = np.flatnonzero((free == pattern).all(axis=1)), np.array(pattern)
        part = coordinates.part(chosen)
        known = covariance[rows][:, chosen][:, :, chosen]
        own = _free_intervals(part, peaks[rows][:, chosen], known, best[rows][:, chosen])
        for row, one in zip(rows, own, strict=True):
            lower, upper, wide = best[row].copy(), best[row].copy(), np.zeros((len(chosen), len(chosen)))
            lower[chosen], upper[chosen], wide[np.ix_(chosen, chosen)] = one.lower, one.upper, one.covariance
            found[row] = Intervals(lower, upper, wide)
    return [one for one in found if one is not None]


def _free_intervals(
    coordinates: ScaledLabels, peaks: NDArray[np.float64], covariance: NDArray[np.float64], best: NDArray[np.float64]
) -> list[Intervals]:
    if not peaks.shape[1]:
        return [Intervals(np.empty(0), np.empty(0), np.empty((0, 0)))] * len(peaks)
    every, weights = _weighted_draws(coordinates, peaks, covariance)
    effective = weights.sum(axis=1) ** 2 / np.maximum(np.sum(weights**2, axis=1), 1e-300)
    found = []
    for drawn, weight, enough, peak, known, one in zip(
        every, weights, effective >= LEAST_EFFECTIVE, peaks, covariance, best, strict=True
    ):
        if enough:
            labels, share = drawn, weight / weight.sum()
        else:
            labels = draws(coordinates, peak, known)
            share = np.full(len(labels), 1.0 / len(labels))
        apart = labels - share @ labels
        ends = np.array([shortest(value, share, middle) for value, middle in zip(labels.T, one, strict=True)])
        found.append(Intervals(ends[:, 0], ends[:, 1], (apart * share[:, None]).T @ apart))
    return found


def shortest(values: NDArray[np.float64], share: NDArray[np.float64], best: float) -> tuple[float, float]:
    """Ends of the shortest interval that holds its share of weighted values (draws,), and the best value."""
    order = np.argsort(values)
    reached = np.cumsum(share[order])
    # Evenly weighted values with the same distribution, at its quantiles.
    evenly = np.interp((np.arange(QUANTILES) + 0.5) / QUANTILES, reached - 0.5 * share[order], values[order])
    return interval_round(best, evenly, SHARE)


QUANTILES = 400


def _weighted_draws(
    coordinates: ScaledLabels, peaks: NDArray[np.float64], covariance: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Labels in the box, (n, draws, labels), and their weights, (n, draws)."""
    count = peaks.shape[1]
    spread = np.sqrt(np.einsum("ijj->ij", covariance))
    # The coordinate that the box cuts most comes first.
    order = np.argsort(np.maximum(-peaks, peaks - 1.0) / spread, axis=1)[:, ::-1]
    rows = np.arange(len(peaks))[:, None]
    root = np.linalg.cholesky(covariance[rows[..., None], order[:, :, None], order[:, None, :]])
    sorted_peaks = peaks[rows, order]
    uniform = _points(count)
    normal = np.zeros((len(peaks), POINTS, count))
    places = np.empty((len(peaks), POINTS, count))
    log_weight = np.zeros((len(peaks), POINTS))
    for i in range(count):
        middle = sorted_peaks[:, i, None] + np.einsum("nk,npk->np", root[:, i, :i], normal[:, :, :i])
        own = root[:, i, i, None]
        lower, upper = -middle / own, (1.0 - middle) / own
        # Tails are drawn on the side where the distribution's cumulative values differ.
        sign = np.where(lower > 0, -1.0, 1.0)
        first, last = np.where(sign > 0, lower, -upper), np.where(sign > 0, upper, -lower)
        below, above = ndtr(first), ndtr(last)
        inside = np.maximum(above - below, 1e-300)
        drawn = sign * np.clip(ndtri(np.clip(below + uniform[:, i] * inside, 1e-300, 1.0 - 1e-16)), first, last)
        normal[:, :, i] = drawn
        log_weight += np.log(inside)
        places[rows[:, 0], :, order[:, i]] = np.clip(middle + own * drawn, 0.0, 1.0)
    if (coordinates.power != 1.0).any():
        slopes = coordinates.slopes(coordinates.labels(np.maximum(places, SMALLEST)))
        log_weight += np.log(np.abs(slopes / (coordinates.upper - coordinates.lower))).sum(axis=2)
    return coordinates.labels(places), np.exp(log_weight - log_weight.max(axis=1, keepdims=True))


@cache
def _points(dimensions: int) -> NDArray[np.float64]:
    """Evenly spread points of the unit cube, (draws, dimensions): the same for every fit."""
    return np.asarray(qmc.Sobol(dimensions, scramble=True, rng=np.random.default_rng(0)).random(POINTS))
