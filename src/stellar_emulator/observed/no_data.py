"""Pixels that hold no data though they hold a number: zeros, fillings of gaps, errors that say nothing, flags."""

import numpy as np
from numpy.typing import NDArray

LONGEST_CHANCE = 8
"""Equal fluxes in a row that noise doesn't make; among rounded fluxes, of which neighbours are often equal, it may."""

MOST_EQUAL = 0.05
"""Of all pairs of neighbours outside long runs: more are equal only where fluxes were rounded."""

SMOOTH = 3.0
"""Smallest steps between neighbours: where a run of equal fluxes ends by no larger one, nothing was filled in."""

STRAIGHT = 1e-5
"""Of the flux's level: pixels of measured spectra bend by more, even at a signal-to-noise ratio of 10,000."""

SAYS_NOTHING = 100.0
"""Flux errors over the flux's level, above which a pixel is no measurement: surveys write 1e10 for missing ones."""

LEVEL = 0.9
"""Quantile of the flux that is taken for its level."""

GAP = 4.0
"""Usual steps from pixel to pixel: wider ones are gaps."""

MOST_FILLED = 0.5
"""Of all pixels: a longer run is no gap in a spectrum but a spectrum of nothing, which is for others to refuse."""


def level_of(flux: NDArray[np.float64]) -> float:
    """About the continuum of a flux (pixels,), 0 if there is none."""
    there = np.abs(flux[np.isfinite(flux) & (flux != 0.0)])
    return float(np.quantile(there, LEVEL)) if len(there) else 0.0


def zeros(flux: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Pixels of exactly no flux, (pixels,); none if nearly all are, which no filling is."""
    found = flux == 0.0
    return found if found.any() and not found.all() else np.zeros(len(flux), dtype=bool)


def fillings(flux: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Pixels in runs of equal values longer than noise makes them, such as gaps between chips filled with 1.

    In a spectrum without noise, a run that its neighbours lead to smoothly is the continuum, and no filling.
    """
    found = np.zeros(len(flux), dtype=bool)
    steps = np.abs(np.diff(flux))
    equal = steps == 0.0
    if equal.sum() < LONGEST_CHANCE - 1:
        return found
    turns = np.flatnonzero(np.concatenate([[True], ~equal, [True]]))
    lengths = np.diff(turns)
    run = np.repeat(lengths, lengths) >= LONGEST_CHANCE
    others = ~run[1:] & ~run[:-1]
    if run.mean() > MOST_FILLED or (others.any() and np.mean(equal[others]) > MOST_EQUAL):
        return found
    if not _without_noise(flux[~run]):
        return np.asarray(run)
    smooth = SMOOTH * float(np.min(steps[steps > 0.0], initial=np.inf))
    for first, length in zip(turns[:-1], lengths, strict=True):
        if length >= LONGEST_CHANCE:
            jumps = [steps[place] for place in (first - 1, first + length - 1) if 0 <= place < len(steps)]
            found[first : first + length] = not any(jump <= smooth for jump in jumps)
    return found


def _without_noise(flux: NDArray[np.float64]) -> bool:
    """Whether a quarter of a spectrum's pixels lie straight between their neighbours, as no measured ones do."""
    bends = np.abs(flux[:-2] - 2.0 * flux[1:-1] + flux[2:])
    bends = bends[np.isfinite(bends)]
    return bool(len(bends)) and float(np.quantile(bends, 0.25)) < STRAIGHT * level_of(flux)


def meaningless(flux: NDArray[np.float64], error: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Pixels whose flux error is far above any flux."""
    return np.isfinite(error) & (error > SAYS_NOTHING * max(level_of(flux), np.finfo(float).tiny))


def bridged(
    wavelength: NDArray[np.float64], flux: NDArray[np.float64], error: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """A spectrum, ascending, with two masked pixels in each gap between its pixels, a step from either side.

    Without them the pixels at a gap's sides would be taken to reach to its middle.
    """
    steps = np.diff(wavelength)
    usual = float(np.median(steps))
    gaps = np.flatnonzero(steps > GAP * usual)
    if not len(gaps):
        return wavelength, flux, error
    places = np.repeat(gaps + 1, 2)
    between = np.column_stack([wavelength[gaps] + usual, wavelength[gaps + 1] - usual]).ravel()
    return np.insert(wavelength, places, between), np.insert(flux, places, 0.0), np.insert(error, places, np.inf)


def flagged(mask: NDArray[np.int64], fatal: int | None) -> NDArray[np.bool_]:
    """Pixels with any bit of their mask set, or any of the ``fatal`` ones."""
    return np.asarray((mask if fatal is None else mask & fatal) != 0)
