"""Wavelength units: as a file or a user states them, or the only unit that puts a spectrum on a contract's axis."""

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.axis import WavelengthAxis
from stellar_emulator.errors import InputError

ANGSTROMS = {"Angstrom": 1.0, "nm": 10.0, "um": 1e4, "m": 1e10}
"""Angstroms in each of the units that are tried."""

SPELLINGS = {
    **dict.fromkeys(("a", "aa", "ang", "angs", "angstrom", "angstroms", "angstroem", "0.1nm"), "Angstrom"),
    **dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre", "nanometres"), "nm"),
    **dict.fromkeys(("um", "micron", "microns", "micrometer", "micrometre", "\u00b5m", "\u03bcm", "\u00e5"), "um"),
    **dict.fromkeys(("m", "meter", "metre"), "m"),
}
"""Units by how surveys and IRAF write them, in small letters."""

NO_UNIT = ("", "pixel", "pixels", "none", "unknown", "dimensionless")
"""What stands where a unit should, in small letters, and says nothing: IRAF writes pixel beside true wavelengths."""

Scale = Literal["linear", "log10", "ln"]

_LOGARITHM = re.compile(r"(log10|log|ln|dex)\s*[\[(]\s*(.*?)\s*[\])]", re.IGNORECASE)

_LOG10_RANGE, _LN_RANGE = (2.9, 5.4), (6.7, 12.5)
"""Logarithms of 800 to 250,000 Angstrom."""


@dataclass(frozen=True)
class Unit:
    """A wavelength unit, and whether numbers are logarithms of wavelengths in it."""

    name: str
    scale: Scale = "linear"

    def __str__(self) -> str:
        return self.name if self.scale == "linear" else f"{self.scale}({self.name})"


def parse_unit(name: str, text: str | None) -> Unit | None:
    """Read a unit in any spelling; None where the text says nothing.

    Raises
    ------
    InputError
        If it is no length that astropy knows; ``name``: of the spectrum, for the message.
    """
    words = (text or "").strip()
    if words.lower() in NO_UNIT:
        return None
    if logarithm := _LOGARITHM.fullmatch(words):
        inner = parse_unit(name, logarithm[2])
        return Unit(inner.name if inner else "Angstrom", "ln" if logarithm[1].lower() == "ln" else "log10")
    if words.lower() in SPELLINGS:
        return Unit(SPELLINGS[words.lower()])
    in_angstrom(name, np.ones(1), words)
    return Unit(words)


def linear(wavelength: NDArray[np.float64], scale: Scale) -> NDArray[np.float64]:
    """Wavelengths of logarithms of them, (pixels,); of other numbers, the same."""
    with np.errstate(over="ignore"):
        return wavelength if scale == "linear" else 10.0**wavelength if scale == "log10" else np.exp(wavelength)


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


def looks_logarithmic(wavelength: NDArray[np.float64]) -> Scale | None:
    """Whether numbers lie where logarithms of wavelengths in Angstrom do and no spectrum's wavelengths can.

    Micrometres lie there too, but no spectrum of many pixels is as narrow in them as logarithms are.
    """
    lowest, highest = float(wavelength.min()), float(wavelength.max())
    for scale, (least, most) in (("log10", _LOG10_RANGE), ("ln", _LN_RANGE)):
        if least < lowest and highest < most:
            return scale  # type: ignore[return-value]
    return None
