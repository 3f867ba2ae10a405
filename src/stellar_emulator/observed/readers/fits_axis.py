"""The wavelength axis that a FITS header states for an image's pixels: linear, log10 or natural logarithm."""

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.errors import InputError
from stellar_emulator.observed.readers.fits_file import Hdu

PIXEL_TYPES = ("pixel", "pixels", "multispe", "multispec")
"""Types of axes that count pixels."""

LINEAR_TYPES = ("lambda", "angstrom", "log-linear")

LARGEST_LOG10 = 6.0
"""log10 of a micrometre in Angstrom is 4; COEFF0 of more is no logarithm."""


def has_axis(hdu: Hdu) -> bool:
    """Whether a header states a start of its axis."""
    return "CRVAL1" in hdu.header or "COEFF0" in hdu.header


def wavelengths(hdu: Hdu, pixels: int) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Wavelengths in the header's own unit, (pixels,), and notes for the user.

    Sources: Greisen et al. 2006, A&A 446, 747, eq. 5 (-LOG); IRAF's onedspec (DC-FLAG, 1 for log10); SDSS's spec files
    (COEFF0 and COEFF1, log10 of Angstrom).

    Raises
    ------
    InputError
        If the header states no axis, one of pixels, or one of another kind.
    """
    header, path = hdu.header, hdu.path
    kind = str(header.get("CTYPE1", "")).strip()
    if kind.lower() in PIXEL_TYPES:
        raise InputError(f"{path}: CTYPE1 = '{kind}' counts pixels, and no WAT2 cards give their wavelengths")
    if "-" in kind and kind.lower() not in LINEAR_TYPES and not kind.upper().endswith("-LOG"):
        raise InputError(
            f"{path}: CTYPE1 = '{kind}' is no linear axis, nor a logarithmic one: give the wavelengths in a table"
        )
    if header.get("DC-FLAG", 0) == -1 and "CUNIT1" not in header:
        raise InputError(f"{path}: DC-FLAG = -1: its pixels have no wavelengths: calibrate them")
    if "CRVAL1" not in header and "COEFF0" in header:
        return _by_coefficients(hdu, pixels), ()
    notes: tuple[str, ...] = ()
    # FITS wants CDELT1 ignored where CD1_1 stands.
    step = hdu.number_of("CD1_1", 0.0) or hdu.number_of("CDELT1", 0.0)
    if not step:
        raise InputError(f"{path} states no step of its wavelength axis: CDELT1 or CD1_1")
    other = header.get("CDELT1", step)
    if isinstance(other, int | float) and abs(other - step) > 1e-6 * abs(step):
        notes = (f"CDELT1 = {other:g} and CD1_1 = {step:g} differ: FITS wants CD1_1",)
    first = hdu.number_of("CRVAL1")
    if first == step == 1.0 and not str(header.get("CUNIT1", "")).strip():
        raise InputError(f"{path}: CRVAL1 = CDELT1 = 1 counts pixels: calibrate them, or give their wavelengths")
    offset = np.asarray(step * (np.arange(pixels) + 1.0 - hdu.number_of("CRPIX1", 1.0)), dtype=np.float64)
    if kind.upper().endswith("-LOG"):
        return first * np.exp(offset / first), notes
    values = first + offset
    # SDSS's word for equal steps in log10, which DC-FLAG says too.
    by_type = kind.lower() == "log-linear" and "DC-FLAG" not in header and first < LARGEST_LOG10
    return (10.0**values if by_type or header.get("DC-FLAG", 0) == 1 else values), notes


def _by_coefficients(hdu: Hdu, pixels: int) -> NDArray[np.float64]:
    start, step = hdu.number_of("COEFF0"), hdu.number_of("COEFF1")
    values = np.asarray(start + step * np.arange(pixels), dtype=np.float64)
    flag = hdu.header.get("DC-FLAG")
    if flag == 0 or (flag is None and start > LARGEST_LOG10):
        return values
    return np.asarray(10.0**values)


def unit_of(hdu: Hdu) -> str:
    """The axis's unit as the header writes it, empty if it states none; IRAF states it in WAT1 alone."""
    import re

    stated = str(hdu.header.get("CUNIT1", "")).strip()
    if stated and stated.lower() not in ("pixel", "pixels"):
        return stated
    found = re.search(r"units=(\S+)", str(hdu.header.get("WAT1_001", "")))
    return found[1] if found else ""
