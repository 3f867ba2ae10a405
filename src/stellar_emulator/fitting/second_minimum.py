"""Fits with two minima that the spectrum hardly tells apart: intervals and covariance of both together."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.fitting.intervals import shortest
from stellar_emulator.fitting.solution import Solution

CERTAIN = 9.0
"""Chi-square, as of independent pixels, by which the worse of two minima may be worse and still count."""

POINTS = 512
"""Places on which the probability of a label is laid out, over both minima."""

REACH = 5.0
"""Standard deviations beyond a minimum to which it is laid out."""


def merged(best: Solution, other: Solution, contract: Contract) -> Solution:
    """The first of two fits of one spectrum, with intervals and covariance of both, weighed by their likelihoods.

    A label's probability is the sum of two normal distributions as wide as the intervals of the fits, and its interval
    no shorter than that of the first. A minimum that is certainly worse changes nothing.
    """
    # Weights are those of the first, so that the other may seem better.
    excess = max(0.0, (other.chi_square - best.chi_square) * best.thinning + other.pull - best.pull)
    if not excess < CERTAIN:
        return best
    share = 1.0 / (1.0 + np.exp(excess / 2.0))
    lower, upper = best.lower.copy(), best.upper.copy()
    for i in np.flatnonzero(best.upper > best.lower).tolist():
        ends = _interval(best, other, share, i, (float(contract.lower[i]), float(contract.upper[i])))
        lower[i], upper[i] = min(ends[0], best.lower[i]), max(ends[1], best.upper[i])
    apart = other.parameters.labels - best.parameters.labels
    covariance = (1.0 - share) * best.covariance + share * other.covariance
    covariance = covariance + share * (1.0 - share) * np.outer(apart, apart)
    return replace(best, lower=lower, upper=upper, covariance=np.asarray(covariance))


def _interval(best: Solution, other: Solution, share: float, i: int, box: tuple[float, float]) -> tuple[float, float]:
    """Ends of the interval of one label, by both fits."""
    middle = np.array([(one.lower[i] + one.upper[i]) / 2.0 for one in (best, other)])
    spread = np.maximum([(one.upper[i] - one.lower[i]) / 2.0 for one in (best, other)], 1e-9 * (box[1] - box[0]))
    first = max(box[0], float((middle - REACH * spread).min()))
    last = min(box[1], float((middle + REACH * spread).max()))
    places = np.linspace(first, last, POINTS)
    density: NDArray[np.float64] = np.zeros(POINTS)
    for weight, centre, width in zip((1.0 - share, share), middle, spread, strict=True):
        own = np.exp(-0.5 * ((places - centre) / width) ** 2)
        density += weight * own / max(own.sum(), 1e-300)
    return shortest(places, density / density.sum(), float(best.parameters.labels[i]))
