"""Wavelength units: as a file or a user states them, or the only unit that puts a spectrum on a contract's axis."""

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.axis import WavelengthAxis
from stellar_emulator.errors import InputError

ANGSTROMS = {"Angstrom": 1.0, "nm": 10.0, "um": 1e4, "m": 1e10}
"""Angstroms in each of the units that are tried."""


def in_angstrom(name: str, wavelength: NDArray[np.float64], unit: str) -> NDArray[np.float64]:
    """Convert wavelengths to Angstrom from a unit, given by its name.

    Raises
    ------
    InputError
        If the unit is not a length in astropy.
    """
    if unit in ANGSTROMS:
        return wavelength * ANGSTROMS[unit]
    from astropy import units

    try:
        return np.asarray(wavelength * float(units.Unit(unit).to(units.Angstrom)))
    except (ValueError, TypeError) as error:
        raise InputError(f"{name}: wavelengths in '{unit}' are not known: state --unit Angstrom, nm or um") from error


def fitting_unit(wavelength: NDArray[np.float64], axis: WavelengthAxis) -> str | None:
    """Find the unit in which wavelengths lie near the axis; units are so far apart that at most one fits."""
    room = 0.02 * axis.start
    for unit, angstroms in ANGSTROMS.items():
        inside = (wavelength * angstroms > axis.start - room) & (wavelength * angstroms < axis.stop + room)
        if inside.any():
            return unit
    return None
