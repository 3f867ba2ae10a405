"""Bootstrap over runs: spectra of one run share an atmosphere, so runs are resampled, never spectra."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Values = NDArray[np.float64]


@lru_cache(maxsize=1)
def resample_counts(runs: int, resamples: int, seed: int) -> NDArray[np.float64]:
    """How often each run is drawn in each resample, shape (resamples, runs), read-only; each row sums to ``runs``.

    A statistic of sums over runs becomes a matrix product with it.
    """
    counts = np.random.default_rng(seed).multinomial(runs, np.full(runs, 1.0 / runs), size=resamples)
    drawn = counts.astype(np.float64)
    drawn.setflags(write=False)
    return drawn


def run_sums(run: NDArray[np.intp], values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Sums over the spectra of each run, shape (runs, columns), of values (n, columns); ``run`` counts from 0."""
    return np.stack([np.bincount(run, weights=column) for column in values.T], axis=1)


def one_sided_bounds(
    statistic: Callable[[Values], Values], by_run: Values, counts: Values, confidence: float
) -> tuple[Values, Values, Values]:
    """A statistic of all runs, its lower and its upper bound; NaN where the statistic is.

    statistic: of sums over runs (..., columns); by_run: their parts, shape (runs, columns); counts: of the resamples.
    Bias-corrected and accelerated (Efron 1987, J. Am. Stat. Assoc. 82, 171): a few runs with large errors make ratios
    skew, and plain percentiles then hold less often than they say.
    """
    total = by_run.sum(axis=0)
    whole, drawn = statistic(total), statistic(counts @ by_run)
    below = (drawn < whole).mean(axis=0) + 0.5 * (drawn == whole).mean(axis=0)
    bias = ndtri(np.clip(below, 0.5 / len(drawn), 1.0 - 0.5 / len(drawn)))
    acceleration = _acceleration(statistic(total - by_run))
    bounds = []
    for tail in (1.0 - confidence, confidence):
        moved = bias + ndtri(tail)
        level = np.nan_to_num(ndtr(bias + moved / (1.0 - acceleration * moved)), nan=tail)
        bounds.append(np.array([np.quantile(column, share) for column, share in zip(drawn.T, level, strict=True)]))
    return whole, bounds[0], bounds[1]


def _acceleration(without: Values) -> Values:
    """Sixth of the skewness of a statistic's jackknife values, each without one run, shape (runs, statistics)."""
    deviation = without.mean(axis=0) - without
    spread = (deviation**2).sum(axis=0) ** 1.5
    skewness = np.divide((deviation**3).sum(axis=0), spread, out=np.zeros_like(spread), where=spread > 0)
    return np.asarray(skewness / 6.0)
