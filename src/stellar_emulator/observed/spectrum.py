"""An observed spectrum, in the form in which all later steps use it."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.axis import WavelengthAxis
from stellar_emulator.contract.medium import Medium, converted

SCATTER_OF_SECOND_DIFFERENCES = 6.0**0.5
"""Standard deviation of f[i - 1] - 2 f[i] + f[i + 1] for unit noise."""

NORMAL_DEVIATION = 1.4826
"""Standard deviation over median absolute deviation of a normal distribution."""


@dataclass(frozen=True)
class ObservedSpectrum:
    """One spectrum; all arrays have shape (pixels,).

    wavelength: ascending, Angstrom, in ``medium`` and the observer's frame; flux: any scale, 0 where unusable; error:
    one standard deviation, infinite where the flux is missing or masked; notes: what was assumed on the way, for the
    user to read; reading: what was read, in one line; ends: numbers of the last pixel of each order but the last one,
    where every order has its own continuum; resolution: wavelength over FWHM, None where nobody states it; exposure:
    which one of its file's it is, empty if the file holds one spectrum of a star.
    """

    name: str
    wavelength: NDArray[np.float64]
    medium: Medium
    flux: NDArray[np.float64]
    error: NDArray[np.float64]
    notes: tuple[str, ...] = ()
    reading: str = ""
    ends: tuple[int, ...] = ()
    resolution: float | None = None
    detector: float | None = None
    guessed: bool = False
    exposure: str = ""

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Pixels that have a flux and are not masked."""
        return np.isfinite(self.error)

    def with_notes(self, *notes: str) -> "ObservedSpectrum":
        return replace(self, notes=(*self.notes, *notes))

    def on_medium_of(self, axis: WavelengthAxis) -> "ObservedSpectrum":
        """The same spectrum with wavelengths in the medium of a contract's axis."""
        wavelength = converted(self.wavelength, self.medium, axis.medium)
        return replace(self, wavelength=wavelength, medium=axis.medium)

    @property
    def orders(self) -> list[slice]:
        """Pixels of each piece that has its own continuum; one of all pixels where there are no orders."""
        borders = [0, *(end + 1 for end in self.ends), len(self.wavelength)]
        return [slice(first, last) for first, last in pairwise(borders)]

    def only(self, pixels: NDArray[np.bool_]) -> "ObservedSpectrum":
        """The same spectrum cut to some pixels, which must not be none."""
        kept = np.cumsum([int(pixels[part].sum()) for part in self.orders])
        ends = tuple(dict.fromkeys(int(count) - 1 for count in kept[:-1] if 0 < count < kept[-1]))
        return replace(
            self, wavelength=self.wavelength[pixels], flux=self.flux[pixels], error=self.error[pixels], ends=ends
        )

    def without(self, pixels: NDArray[np.bool_]) -> "ObservedSpectrum":
        """The same spectrum with some pixels masked."""
        return replace(self, error=np.where(pixels, np.inf, self.error))


def noise_of(flux: NDArray[np.float64]) -> float:
    """Standard deviation of one pixel's noise, from second differences of the finite flux (pixels,).

    Lines are smooth over three pixels where the spectrum is well sampled, so the remainder is noise, if that of
    neighbouring pixels is independent.
    """
    return scatter_over(flux, np.ones(len(flux)))


def scatter_over(flux: NDArray[np.float64], deviation: NDArray[np.float64]) -> float:
    """How many of its standard deviations, (pixels,), a flux scatters by from pixel to pixel; 1 if they are right.

    As `noise_of`; pixels whose flux isn't finite count for nothing.
    """
    there = np.isfinite(flux)
    values, errors = flux[there], deviation[there]
    differences = values[:-2] - 2.0 * values[1:-1] + values[2:]
    if not len(differences):
        return 0.0
    ratio = np.abs(differences) / errors[1:-1]
    return float(NORMAL_DEVIATION * np.median(ratio) / SCATTER_OF_SECOND_DIFFERENCES)
