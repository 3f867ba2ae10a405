"""What a sum of principal components misses of a spectrum: a few narrow bumps, where broadened flux needs one.

Cool and metal-rich stars have lines that no few components share. Their residuals are local, so that bumps cost a
tenth of what further components would, and no run is too odd for them. They are found as in matching pursuit (Mallat &
Zhang 1993, IEEE Trans. Signal Process. 41, 3397): one at each peak of what is left, until nothing is left that matters.
"""

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.broadening.broadening import Broadening
from stellar_emulator.errors import InputError

LEFT = 3e-4
"""Largest difference that corrections leave in broadened flux, normalised."""

FLUX_PER_COUNT = 2e-3
"""Flux of the smallest bump, summed over its bins: an instrument that is seven bins wide shows it as `LEFT`."""

MOST = 600
"""Bumps of a run, on average: with components and all else, more would take more than 2 kB."""

_ROUNDS = 1000
"""Attempts; a spectrum with 200 components needs some 60."""


def corrections_of(left: NDArray[np.float32], view: Broadening) -> NDArray[np.int16]:
    """Bumps that spectra lack, in counts by bin, for the flux that is ``left``; both (runs, bins).

    view: the broadening that shows most, with a pixel at each bin.

    Raises
    ------
    InputError
        If the runs need more than `MOST` bumps each, or no bumps help.
    """
    counts = np.zeros(left.shape, dtype=np.int16)
    one = np.zeros((1, left.shape[1]), dtype=np.int16)
    one[0, left.shape[1] // 2] = 1
    seen_per_count = seen(flux_of(one), view).max()
    rows = np.arange(len(left))
    for _ in range(_ROUNDS):
        lost = seen(left[rows] - flux_of(counts[rows]), view)
        lacking = np.abs(lost).max(axis=1) > LEFT
        rows, lost = rows[lacking], lost[lacking]
        if not len(rows):
            return counts
        run, place = np.nonzero(_peaks(np.abs(lost)))
        counts[rows[run], place] += np.rint(lost[run, place] / seen_per_count).astype(np.int16)
        if np.count_nonzero(counts) > MOST * len(counts):
            raise InputError(
                f"these runs need more than {MOST} corrections each, which don't fit into 2 kB a run: they are unlike "
                "those that the principal components were made of, so keep their spectra as they are"
            )
    raise InputError(f"{len(rows)} runs lose more than {LEFT:g} in any compact form: keep their spectra as they are")


def flux_of(counts: NDArray[np.int16]) -> NDArray[np.float32]:
    """Flux of bumps, (runs, bins): each covers three bins, so that no single one stands out; the axis is a circle."""
    beside = np.roll(counts, 1, axis=1) + np.roll(counts, -1, axis=1)
    return np.asarray((2 * counts + beside) * np.float32(0.25 * FLUX_PER_COUNT))


def seen(flux: NDArray[np.float32], view: Broadening) -> NDArray[np.float32]:
    """Intrinsic flux, (runs, bins), as a broadening shows it, (runs, pixels)."""
    return view.synthesis(view.modes(flux))


def _peaks(size: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Places in (runs, bins) that are larger than their neighbours, in a circle, and than what may be left."""
    return np.asarray((size > LEFT) & (size >= np.roll(size, 1, axis=1)) & (size > np.roll(size, -1, axis=1)))
