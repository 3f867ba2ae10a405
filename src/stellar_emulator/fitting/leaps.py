"""Parts of a spectrum whose wavelength scale leaps: their lines lie at another velocity than those of the rest."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.axis import SPEED_OF_LIGHT
from stellar_emulator.fitting.solution import Solution
from stellar_emulator.observed.spectrum import ObservedSpectrum

WIDTH, FEWEST, MARGIN = 40.0, 30, 20.0
"""Angstrom of a part, pixels that it must have, and Angstrom on either side of one that has leapt which may have too.
"""

SHIFTS = np.arange(-500.0, 500.1, 5.0)
"""km/s that are tried."""

LEAST, GAIN, SHARE = 15.0, 20.0, 0.85
"""Shift in km/s, chi-square that it gains, as of independent pixels that fit, and share of chi-square that it leaves,
from which a part has leapt; what a stretch of the whole scale explains is no leap."""

WORSE = 20.0
"""Chi-square of a pixel of a part, shifted, over that of the median part, from which something else is wrong with it.
"""

MOST = 0.5
"""Share of the pixels that may have: with more, nobody knows which of them are right."""


@dataclass(frozen=True)
class Leap:
    """A part of a spectrum: first and last wavelength in Angstrom as observed, and its velocity against the rest, in
    km/s."""

    start: float
    stop: float
    velocity: float


@dataclass(frozen=True)
class _Part:
    """A part with its chi-square as it is and at its best shift, each of a pixel, and that shift in km/s."""

    start: float
    stop: float
    pixels: int
    unmoved: float
    moved: float
    velocity: float


def leaps_of(spectrum: ObservedSpectrum, fitted: ObservedSpectrum, solution: Solution) -> list[Leap]:
    """The parts of a spectrum that have leapt, by a fit of ``fitted``, which is all or a part of it; none if they are
    most of it."""
    wavelength, usable = spectrum.wavelength, spectrum.usable
    if not usable.any():
        return []
    low, high = wavelength[usable].min(), wavelength[usable].max()
    edges = np.linspace(low, high, max(2, round((high - low) / WIDTH) + 1))
    nodes, model, parts = fitted.wavelength, solution.model, []
    for start, stop in pairwise(edges.tolist()):
        own = usable & (wavelength >= start) & (wavelength <= stop)
        if own.sum() >= FEWEST:
            parts.append(_Part(start, stop, int(own.sum()), *_shifted(spectrum, own, nodes, model)))
    usual = float(np.median([one.unmoved for one in parts])) if parts else 0.0
    share = solution.thinning
    # Per Angstrom; none where the model has it already.
    stretch = solution.stretch / 100.0 if solution.parameters.stretch == 0.0 else 0.0
    middle = float(np.mean(wavelength[usable]))
    leapt = [one for one in parts if _has_leapt(one, usual, share, stretch * ((one.start + one.stop) / 2.0 - middle))]
    few = sum(one.pixels for one in leapt) <= MOST * usable.sum()
    return [Leap(one.start, one.stop, one.velocity) for one in leapt] if few else []


def _has_leapt(part: _Part, usual: float, share: float, stretched: float) -> bool:
    """usual: chi-square of a pixel of the median part; share: independent ones among pixels; stretched: shift in km/s
    that a stretch explains."""
    certain = (part.unmoved / max(part.moved, 1e-300) - 1.0) * share * part.pixels > GAIN
    shifted = min(abs(part.velocity), abs(part.velocity - stretched)) >= LEAST and part.moved < SHARE * part.unmoved
    return certain and shifted and part.moved < WORSE * usual


def all_in(some: Sequence[Leap], others: Sequence[Leap]) -> bool:
    """Whether parts are among others, whatever their velocities."""
    return {one.start for one in some} <= {one.start for one in others}


def pixels_of(leaps: Sequence[Leap], wavelength: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which pixels lie in parts that have leapt, or so near that nobody knows, (pixels,)."""
    inside = np.zeros(len(wavelength), dtype=bool)
    for one in leaps:
        inside |= (wavelength >= one.start - MARGIN) & (wavelength <= one.stop + MARGIN)
    return inside


def _shifted(
    spectrum: ObservedSpectrum, own: NDArray[np.bool_], nodes: NDArray[np.float64], model: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Chi-square of some pixels as they are and at their best shift, each of a pixel, and that shift in km/s.

    nodes: ascending wavelengths at which the model's flux is given.
    """
    places = spectrum.wavelength[own] / (1.0 + SHIFTS[:, None] / SPEED_OF_LIGHT)
    made = np.interp(places, nodes, model)
    weight, flux = 1.0 / spectrum.error[own] ** 2, spectrum.flux[own]
    scale = (made * flux * weight).sum(axis=1) / (made**2 * weight).sum(axis=1)
    chi_square = ((flux - scale[:, None] * made) ** 2 * weight).sum(axis=1) / own.sum()
    best, unmoved = int(chi_square.argmin()), int(np.abs(SHIFTS).argmin())
    return float(chi_square[unmoved]), float(chi_square[best]), float(SHIFTS[best])
