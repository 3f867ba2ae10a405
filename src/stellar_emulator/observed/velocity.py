"""Radial velocities: Doppler shifts, and the velocity at which a library of spectra best matches an observed one."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from stellar_emulator.contract.axis import SPEED_OF_LIGHT, WavelengthAxis

FASTEST = 600.0
"""Largest velocity in km/s that is tried; few stars of the Galaxy are faster."""


def observed_at(rest: NDArray[np.float64], velocity: float) -> NDArray[np.float64]:
    """Observed wavelengths of ``rest``, for a radial velocity in km/s (positive if receding)."""
    return rest * (1.0 + velocity / SPEED_OF_LIGHT)


def at_rest(observed: NDArray[np.float64], velocity: float) -> NDArray[np.float64]:
    """Wavelengths at rest from observed ones: the inverse of `observed_at`."""
    return observed / (1.0 + velocity / SPEED_OF_LIGHT)


@dataclass(frozen=True)
class Match:
    """The best of a library's spectra for an observed one: its row, the velocity in km/s, and chi-square there."""

    row: int
    velocity: float
    chi_square: float


@dataclass(frozen=True)
class Library:
    """Normalised spectra from which fits begin. labels: (rows, labels); flux: (rows, pixels) on ``axis``."""

    axis: WavelengthAxis
    labels: NDArray[np.float64]
    flux: NDArray[np.float32]

    @cached_property
    def step(self) -> float:
        """Step in km/s of the logarithmic axis on which shifts are tried."""
        return self.axis.finest_velocity

    @cached_property
    def grid(self) -> NDArray[np.float64]:
        """That axis in Angstrom, as wide as the contract's, with equal steps in velocity."""
        points = int(np.log(self.axis.stop / self.axis.start) / (self.step / SPEED_OF_LIGHT))
        return np.asarray(self.axis.start * np.exp(np.arange(points) * self.step / SPEED_OF_LIGHT))

    @cached_property
    def length(self) -> int:
        """Length of the Fourier transforms: no shift up to `FASTEST` wraps round."""
        return int(next_fast_len(len(self.grid) + self.most_steps, real=True))

    @property
    def most_steps(self) -> int:
        return int(np.ceil(FASTEST / self.step))

    @cached_property
    def _transforms(self) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
        """Conjugated transforms of each spectrum's absorption and of its square, (rows, frequencies) each."""
        absorption = np.stack([np.interp(self.grid, self.axis.pixels, 1.0 - flux) for flux in self.flux])
        return rfft(absorption, self.length).conj(), rfft(absorption**2, self.length).conj()

    def matches(
        self, wavelength: NDArray[np.float64], flux: NDArray[np.float64], error: NDArray[np.float64], count: int = 1
    ) -> list[Match]:
        """The ``count`` best spectra, best first, each at its own best velocity between -`FASTEST` and `FASTEST`.

        flux and error: (pixels,), normalised; pixels of infinite error are ignored, and a spectrum beyond the
        contract's axis counts as continuum.
        """
        share, absorption = self._on_grid(wavelength, flux, error)
        linear, square = self._transforms
        cross = irfft(rfft(share * absorption, self.length) * linear, self.length)
        own = irfft(rfft(share, self.length) * square, self.length)
        chi_square = float(np.sum(share * absorption**2)) - 2.0 * cross + own
        steps = np.arange(-self.most_steps, self.most_steps + 1)
        chi_square = chi_square[:, steps]  # Negative steps lie at the end of a transform, as Python's indices do.
        best = chi_square.argmin(axis=1)
        rows = np.argsort(chi_square[np.arange(len(best)), best])[:count]
        return [self._match(int(row), chi_square[row], int(best[row]), steps) for row in rows]

    def featureless(
        self, wavelength: NDArray[np.float64], flux: NDArray[np.float64], error: NDArray[np.float64]
    ) -> float:
        """Chi-square of the best constant, for comparison with that of `matches`, with the same arguments."""
        share, absorption = self._on_grid(wavelength, flux, error)
        return float(np.sum(share * (absorption - np.average(absorption, weights=share)) ** 2))

    def _on_grid(
        self, wavelength: NDArray[np.float64], flux: NDArray[np.float64], error: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weight and absorption, 1 - flux, of each point of the grid."""
        weight = 1.0 / error**2
        usable = weight > 0
        # The nearest pixel is used, so that a masked pixel stays masked and weights are not smeared.
        nearest = np.searchsorted((wavelength[1:] + wavelength[:-1]) / 2.0, self.grid)
        inside = (self.grid >= wavelength[0]) & (self.grid <= wavelength[-1])
        share = np.where(inside, weight[nearest], 0.0) * _pixels_per_point(wavelength, self.grid)
        return share, np.interp(self.grid, wavelength[usable], 1.0 - flux[usable])

    def _match(self, row: int, chi_square: NDArray[np.float64], best: int, steps: NDArray[np.int64]) -> Match:
        moved = 0.0
        if 0 < best < len(steps) - 1:
            before, here, after = chi_square[best - 1 : best + 2]
            curvature = before - 2.0 * here + after
            moved = 0.5 * (before - after) / curvature if curvature > 0 else 0.0
        return Match(row, float((steps[best] + moved) * self.step), float(chi_square[best]))


def _pixels_per_point(wavelength: NDArray[np.float64], grid: NDArray[np.float64]) -> float:
    """Observed pixels for each point of the grid, so that chi-square keeps its scale."""
    return float(np.median(np.diff(grid)) / np.median(np.diff(wavelength)))
