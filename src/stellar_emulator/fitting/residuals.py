"""What a fit's residuals show that is no normal single star's: emission, another star's lines, a bent continuum."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from stellar_emulator.contract.axis import SPEED_OF_LIGHT
from stellar_emulator.fitting.solution import Solution
from stellar_emulator.observed.spectrum import ObservedSpectrum

NEAREST, FARTHEST = 60.0, 400.0
"""Velocities in km/s, from the star's own, at which the lines of another one are sought."""

NOTHING = 1e-9
"""Share of the largest sum of squares below which one is rounding."""

EMISSION_WIDTH, BENT_WIDTH = 1.0, 30.0
"""Angstrom over which emission, and a difference of the continuum, are averaged."""


@dataclass(frozen=True)
class Companion:
    """Lines of another star in the residuals.

    share: their depth over that of the fitted lines; certainty: the same over its error; velocity: against the fitted
    star's, in km/s.
    """

    share: float
    certainty: float
    velocity: float


@dataclass(frozen=True)
class Left:
    """Residuals over the continuum, their weights, 0 where there are none, and computed depths, (pixels,) each; number
    of independent pixels."""

    wavelength: NDArray[np.float64]
    residual: NDArray[np.float64]
    weight: NDArray[np.float64]
    depth: NDArray[np.float64]
    independent: float

    @cached_property
    def step(self) -> float:
        return float(np.median(np.diff(self.wavelength)))


def left_of(spectrum: ObservedSpectrum, solution: Solution) -> Left:
    """What a fit has left of a spectrum."""
    level = solution.level
    usable = spectrum.usable
    residual = np.where(usable, spectrum.flux - solution.model, 0.0) / level
    # Errors as large as the residuals scatter: what physics lacks counts too.
    deviation = np.where(usable, spectrum.error / level, np.inf)
    scatter = float(np.std(residual[usable])) if usable.any() else 1.0
    weight, depth = 1.0 / np.hypot(deviation, scatter), 1.0 - solution.model / level
    return Left(spectrum.wavelength, residual, weight, depth, solution.independent)


def companion(left: Left) -> Companion:
    """The lines of another star that the residuals show most certainly.

    They are sought as the fitted star's own at another velocity, whatever their strength. What is strongest at the
    smallest velocity is no other star but a line whose shape the model lacks.
    """
    square = left.weight**2
    depth = np.where(square > 0, left.depth - np.average(left.depth, weights=square), 0.0)
    own = square * left.residual
    velocity = left.step / float(np.median(left.wavelength)) * SPEED_OF_LIGHT
    lags = np.arange(int(np.ceil(NEAREST / velocity)), int(FARTHEST / velocity) + 1)
    lags = lags[lags < len(own) // 2]
    best = Companion(0.0, 0.0, 0.0)
    # Neighbours share errors, so that fewer pixels are independent than there are.
    shared = np.sqrt(max(left.independent, 1.0) / len(own))
    every = _shifted(own, square, depth, np.concatenate([lags, -lags]))
    for sign, place_of in ((1, slice(0, len(lags))), (-1, slice(len(lags), None))):
        shares, sizes = (one[place_of] for one in every)
        certain = shares * np.sqrt(sizes) * shared
        if len(certain) > 1 and (place := int(certain.argmax())) > 0 and certain[place] > best.certainty:
            best = Companion(float(shares[place]), float(certain[place]), float(sign * lags[place] * velocity))
    return best


def _shifted(
    own: NDArray[np.float64], square: NDArray[np.float64], depth: NDArray[np.float64], lags: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of lines moved by lags, to later pixels if above 0: their depth in the residuals over their own, and one over its
    variance."""
    length = next_fast_len(len(own) + int(np.abs(lags).max(initial=0)), real=True)
    sizes, found = (
        irfft(rfft(moved, length).conj() * rfft(fixed, length), length)[lags]
        for moved, fixed in ((depth**2, square), (depth, -own))
    )
    # Sums of squares that are 0 but for the transform's rounding tell nothing.
    told = sizes > NOTHING * np.sum(square) * np.max(depth**2, initial=0.0)
    return np.divide(found, sizes, out=np.zeros_like(sizes), where=told), np.where(told, sizes, 0.0)


def emission(left: Left) -> float:
    """By how much the flux rises above the continuum at most, in means over an Angstrom, less five errors."""
    above, error = _means(left, left.residual - left.depth, EMISSION_WIDTH)
    return float(np.max(above - 5.0 * error, initial=0.0))


def bent(left: Left) -> float:
    """By how much the flux departs from the fit at most, in means over `BENT_WIDTH`, less five errors."""
    apart, error = _means(left, left.residual, BENT_WIDTH)
    return float(np.max(np.abs(apart) - 5.0 * error, initial=0.0))


def _means(left: Left, values: NDArray[np.float64], width: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means of values over pieces of a width in Angstrom that are half known or more, and their errors."""
    piece = ((left.wavelength - left.wavelength[0]) / width).astype(np.int64)
    used = left.weight > 0
    known = np.bincount(piece, used)
    enough = known >= max(1.0, 0.5 * width / left.step)
    count = np.maximum(known, 1)
    means = np.bincount(piece, np.where(used, values, 0.0)) / count
    variance = np.bincount(piece, np.where(used, 1.0 / np.where(used, left.weight, 1.0) ** 2, 0.0)) / count**2
    return means[enough], np.sqrt(variance[enough])
