"""Rules by which flux is normalised: it is already, by the file's continuum, or by a pseudo-continuum of its maxima."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from stellar_emulator.contract.axis import SPEED_OF_LIGHT
from stellar_emulator.grid.readers.foreign import ForeignSpectrum

Array = NDArray[np.float64]

WINDOW = 3000.0
"""Width in km/s of the windows whose maxima are the pseudo-continuum: wider than rotation and most wings."""

MOST_WINDOWS = 200

TOP = 0.05
"""Share of a window's points, those of the largest flux, whose medians are its maximum."""

_TIMES = 3
_ROUNDS = 20
_EMISSION = 8.0
"""Standard deviations of the plateau above which flux is emission."""

RULES = {
    "given": "the files' flux is normalised already",
    "continuum": "flux over the continuum that the files hold",
    "maxima": f"flux over a pseudo-continuum: in windows of {WINDOW:g} km/s, two at least, the medians of the "
    f"{TOP:.0%} of the points with the largest flux, emission left out, joined by a monotone cubic",
}
"""Rules by their names, as a sentence for provenance and contract."""


def normalised(spectrum: ForeignSpectrum, rule: str) -> Array:
    """Flux by one of the `RULES`, (points,)."""
    if rule == "given":
        return spectrum.flux
    if rule == "continuum" and spectrum.continuum is not None:
        return spectrum.flux / spectrum.continuum
    return spectrum.flux / pseudo_continuum(spectrum.wavelength, spectrum.flux)


def pseudo_continuum(wavelength: Array, flux: Array) -> Array:
    """A curve through the maxima of windows, (points,): straight with two windows, and beyond the outermost maxima.

    It is found again for the flux over itself, so that a slope within windows does not lift it.
    """
    found = np.ones_like(flux)
    for _ in range(_TIMES):
        found = found * _through_maxima(wavelength, flux / found)
    return found


def _through_maxima(wavelength: Array, flux: Array) -> Array:
    speed = SPEED_OF_LIGHT * np.log(wavelength / wavelength[0])
    count = int(np.clip(round(speed[-1] / WINDOW), 2, MOST_WINDOWS))
    edges = np.searchsorted(speed, np.linspace(0.0, speed[-1], count + 1))
    edges[-1] = len(flux)
    places, maxima = [], []
    for first, last in pairwise(edges):
        if last > first:
            places.append(float(np.mean(speed[first:last])))
            maxima.append(_maximum(flux[first:last]))
    if len(places) < 2:
        return np.full_like(flux, max(maxima, default=1.0))
    slopes = [(maxima[1] - maxima[0]) / (places[1] - places[0]), (maxima[-1] - maxima[-2]) / (places[-1] - places[-2])]
    inner = np.asarray(PchipInterpolator(places, maxima, extrapolate=True)(np.clip(speed, places[0], places[-1])))
    before, after = np.minimum(speed - places[0], 0.0), np.maximum(speed - places[-1], 0.0)
    return np.asarray(inner + slopes[0] * before + slopes[1] * after)


def _maximum(flux: Array) -> float:
    """Median of the largest values, without those of emission: far above the plateau that absorption leaves."""
    kept = flux
    for _ in range(_ROUNDS):
        middle = float(np.median(kept))
        spread = 1.4826 * float(np.median(np.abs(kept - middle)))
        inside = kept[(kept >= middle - spread) & (kept <= middle + 3.0 * spread)]
        if len(inside) in (0, len(kept)):
            break
        kept = inside
    below = np.sort(flux[flux <= middle + _EMISSION * max(spread, 1e-3 * abs(middle))])
    return float(np.median(below[-max(1, int(TOP * len(flux))) :]))
