"""What can be wrong with a grid's wavelengths, and the remedy."""

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.axis import WavelengthAxis
from stellar_emulator.grid.store import axis_matches

_UNITS = {"nm": 1e1, "micrometres": 1e4, "centimetres": 1e8, "metres": 1e10}

# A vacuum wavelength exceeds its air wavelength by this share, from the near ultraviolet to the infrared.
_REFRACTIVITY = (2.7e-4, 2.95e-4)


def axis_fault(wavelength: NDArray[np.float64], medium: str, axis: WavelengthAxis) -> str:
    """What is wrong with wavelengths, in one line with the remedy; empty if they are the contract's."""
    wanted = f"{axis.count} pixels, {axis.start:g} to {axis.stop:.10g} {axis.unit} in steps of {axis.steps}"
    resample = f"resample the flux to {wanted}"
    if wavelength.ndim != 1 or not len(wavelength) or not np.isfinite(wavelength).all():
        return f"wavelengths are not finite numbers, one a pixel: give {wanted}"
    given = f"{wavelength[0]:.10g}-{wavelength[-1]:.10g}"
    for unit, factor in _UNITS.items():
        if 0.8 < np.median(wavelength) * factor / np.median(axis.pixels) < 1.25:
            return f"wavelengths {given} look like {unit}: multiply by {factor:.0f} to get {axis.unit}"
    if len(wavelength) != axis.count:
        return f"the spectra have {len(wavelength)} pixels ({given}), the contract wants {axis.count}: {resample}"
    if not (np.diff(wavelength) > 0).all():
        return f"wavelengths {given} don't increase from pixel to pixel: sort them, and the flux with them"
    if medium != axis.medium:
        return f"wavelengths are in {medium}, the contract wants {axis.medium}: convert them, then {resample}"
    if axis_matches(wavelength, axis):
        return ""
    shift = np.median(wavelength / axis.pixels - 1.0) * (1.0 if axis.medium == "air" else -1.0)
    if _REFRACTIVITY[0] < shift < _REFRACTIVITY[1]:
        other = "vacuum" if axis.medium == "air" else "air"
        return f"wavelengths {given} look like {other}, the contract wants {axis.medium}: convert them"
    pixel = int(np.argmin(axis.matches(wavelength)))
    return (
        f"wavelengths {given} are not the contract's: pixel {pixel} lies at {wavelength[pixel]:.10g} instead of "
        f"{axis.pixels[pixel]:.10g}: {resample}"
    )
