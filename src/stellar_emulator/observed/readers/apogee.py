"""APOGEE's apStar, apVisit and aspcapStar files (SDSS's data model; DR12 to DR17).

Wavelengths are in vacuum. apStar and aspcapStar are at rest on one log10 axis; apVisit is as observed, one row a chip,
red to blue. Missing pixels have flux 0 and error 1e10, and bits of the mask.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from stellar_emulator.errors import InputError
from stellar_emulator.observed.raw import RawTable, Told
from stellar_emulator.observed.readers.fits_axis import wavelengths
from stellar_emulator.observed.readers.fits_file import FitsFile

FATAL = sum(1 << bit for bit in (0, 1, 2, 3, 4, 5, 6, 7, 12))
"""Bits of APOGEE_PIXMASK that spoil a pixel: BADPIX, CRPIX, SATPIX, UNFIXABLE, BADDARK, BADFLAT, BADERR, NOSKY and
SIG_SKYLINE; the others, such as persistence and telluric lines that were corrected, leave it usable."""

TOLD = Told(form="APOGEE", because="APOGEE's convention", medium="vacuum", fatal=FATAL, error="error")

STACKS = ("weighted by pixel", "weighted as a whole")
"""Combinations in the first two rows of an apStar file of several visits; a file of one visit has that one alone."""


def _units(file: FitsFile, number: int) -> str:
    return str(file.hdus[number].header.get("BUNIT", "")).lower() if number < len(file.hdus) else ""


def _is_apogee(file: FitsFile) -> bool:
    return len(file.hdus) > 3 and _units(file, 1).startswith("flux") and _units(file, 2).startswith(("err", "flux err"))


def is_star(file: FitsFile) -> bool:
    """Whether it is an apStar file: images of flux, error and mask on one log10 axis."""
    return _is_apogee(file) and "mask" in _units(file, 3) and file.hdus[1].header.get("CTYPE1") == "LOG-LINEAR"


def is_visit(file: FitsFile) -> bool:
    """Whether it is an apVisit file: an image of wavelengths beside flux and error, a row a chip."""
    return _is_apogee(file) and _units(file, 4).startswith("wave")


def is_aspcap(file: FitsFile) -> bool:
    """Whether it is an aspcapStar file: images of spectrum, error and best fit on one log10 axis, no mask."""
    if len(file.hdus) < 4 or file.hdus[1].image is None or file.hdus[1].image.ndim != 1:
        return False
    header = file.hdus[1].header
    return header.get("CTYPE1") == "LOG-LINEAR" and not is_star(file) and file.hdus[3].image is not None


def read_star(file: FitsFile) -> list[RawTable]:
    """The combined spectrum; other combinations and visits are read when selected by their row."""
    flux, error, mask = (np.atleast_2d(file.image(number, "apStar")) for number in (1, 2, 3))
    if not flux.shape == error.shape == mask.shape:
        raise InputError(f"{file.path}: flux, error and mask have the shapes {flux.shape}, {error.shape}, {mask.shape}")
    wavelength, _ = wavelengths(file.hdus[1], flux.shape[1])
    rows = len(flux)
    stacks = [] if rows == 1 else [{"combined": how} for how in STACKS]
    parts = [*stacks, *({"exposure": f"visit {number + 1}"} for number in range(rows - len(stacks)))]
    told = replace(TOLD, form="APOGEE apStar", frame="rest", notes=file.notes)
    found = []
    for row, own in enumerate(parts):
        columns: dict[str, Any] = {"wavelength": wavelength, "flux": flux[row], "error": error[row]}
        columns["mask"] = mask[row].astype(np.int64)
        name = str(file.path) if row == 0 else f"{file.path}[{row}]"
        part = {"row": str(row), **own}
        header = _without_object(file)
        found.append(RawTable(name, columns, {"wavelength": "Angstrom"}, header, told, part, default=row == 0))
    return found


def read_visit(file: FitsFile) -> list[RawTable]:
    """Three chips, each a piece with its own continuum."""
    flux, error, mask, wavelength = (np.atleast_2d(file.image(number, "apVisit")) for number in (1, 2, 3, 4))
    if not flux.shape == error.shape == mask.shape == wavelength.shape:
        shapes = ", ".join(str(array.shape) for array in (flux, error, mask, wavelength))
        raise InputError(f"{file.path}: flux, error, mask and wavelength have the shapes {shapes}")
    told = replace(TOLD, form="APOGEE apVisit", frame="observed", notes=file.notes)
    found = []
    for chip in range(len(flux)):
        columns = {"wavelength": wavelength[chip], "flux": flux[chip], "error": error[chip]}
        columns["mask"] = mask[chip].astype(np.int64)
        name, part = f"{file.path}[chip {chip}]", {"chip": "abc"[chip] if chip < 3 else str(chip)}
        found.append(RawTable(name, columns, {"wavelength": "Angstrom"}, _without_object(file), told, part, order=True))
    return found


def read_aspcap(file: FitsFile) -> list[RawTable]:
    """The pseudo-normalised spectrum. No real file could be had: by SDSS's data model, HDU 1 to 3."""
    flux, error = file.image(1, "the spectrum"), file.image(2, "its error")
    wavelength, _ = wavelengths(file.hdus[1], len(flux))
    told = replace(TOLD, form="APOGEE aspcapStar", frame="rest", fatal=None, notes=file.notes)
    columns = {"wavelength": wavelength, "flux": flux, "error": error}
    return [RawTable(str(file.path), columns, {"wavelength": "Angstrom"}, _without_object(file), told)]


def _without_object(file: FitsFile) -> dict[str, Any]:
    return {key: value for key, value in file.primary.items() if key != "OBJECT"}
