"""Spectra sharper than a model can be: refused, or broadened to its largest resolution; blunter ones: warned of."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from stellar_emulator.broadening.broadening import FWHM_PER_SIGMA
from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.roles import RESOLUTION
from stellar_emulator.errors import InputError
from stellar_emulator.observed.spectrum import ObservedSpectrum

ROOM = 1.01
"""Factor by which resolutions may differ and be the same."""

FINEST = 2.0
"""Steps of the axis on which a spectrum is convolved, in one of its own pixels."""

LEAST_KNOWN = 0.5
"""Of the kernel's weight, that must lie on pixels with a flux."""


def largest_resolution(contract: Contract) -> float | None:
    """Of a model's spectra, wavelength over FWHM; None where it isn't known."""
    label = contract.of_role(RESOLUTION)
    if label is not None:
        return float(label.upper)
    return float(contract.instrument.resolution) if contract.instrument else None


def smallest_resolution(contract: Contract) -> float | None:
    """Of a model's spectra, wavelength over FWHM; None where it isn't known."""
    label = contract.of_role(RESOLUTION)
    return float(label.lower) if label is not None else largest_resolution(contract)


def about_bluntness(resolution: float | None, contract: Contract) -> list[str]:
    """A warning of a spectrum whose resolution, None if nobody states it, lies below all of a model's."""
    least = smallest_resolution(contract)
    if resolution is None or least is None or resolution >= least / ROOM:
        return []
    return [
        f"its resolution, {resolution:,.0f}, is below the model's smallest, {least:,.0f}: no spectrum of the model is "
        "as smooth, and the labels, v sin i first, make up for it; take a --model of such spectra"
    ]


def as_sharp_as(spectrum: ObservedSpectrum, contract: Contract, broaden: bool) -> ObservedSpectrum:
    """The spectrum, broadened by a Gaussian to the model's largest resolution if it is sharper, as far as is known.

    Errors of single pixels are kept, though neighbours now share their noise: so the broad features that are left weigh
    as they did, and chi-square lies below its degrees of freedom.

    Raises
    ------
    InputError
        If it is sharper and is not to be broadened.
    """
    most = largest_resolution(contract)
    if spectrum.resolution is None or most is None or spectrum.resolution <= most * ROOM:
        return spectrum
    if not broaden:
        raise InputError(
            f"{spectrum.name}: its resolution, {spectrum.resolution:,.0f}, is above the model's largest, {most:,.0f}: "
            "let --broaden yes bring it there, or take a sharper --model"
        )
    width = np.sqrt(most**-2 - spectrum.resolution**-2) / FWHM_PER_SIGMA
    flux, error = spectrum.flux.copy(), spectrum.error.copy()
    for piece in spectrum.orders:
        flux[piece], error[piece] = _convolved(spectrum.wavelength[piece], flux[piece], error[piece], float(width))
    return replace(
        spectrum,
        flux=np.where(np.isfinite(error), flux, 0.0),
        error=error,
        notes=(*spectrum.notes, f"broadened from resolution {spectrum.resolution:,.0f} to {most:,.0f}"),
        resolution=most,
    )


def _convolved(
    wavelength: NDArray[np.float64], flux: NDArray[np.float64], error: NDArray[np.float64], width: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Flux and error after a Gaussian whose standard deviation is relative to the wavelength; masks count nothing."""
    place = np.log(wavelength)
    step = min(float(np.median(np.diff(place))) / FINEST, width / FINEST)
    grid = np.arange(place[0], place[-1] + step, step)
    known = np.isfinite(error)

    def smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
        fine = gaussian_filter1d(np.interp(grid, place, values), width / step, mode="nearest")
        return np.interp(place, grid, fine)

    weight = smooth(known.astype(float))
    enough = known & (weight > LEAST_KNOWN)
    safe = np.where(enough, weight, 1.0)
    mean = smooth(np.where(known, flux, 0.0)) / safe
    variance = smooth(np.where(known, error, 0.0) ** 2) / safe
    return np.where(enough, mean, 0.0), np.where(enough, np.sqrt(np.maximum(variance, 0.0)), np.inf)
