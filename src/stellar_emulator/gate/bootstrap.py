"""Bootstrap over runs: spectra of one run share an atmosphere, so runs are resampled, never spectra."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


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
