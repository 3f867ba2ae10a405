"""GALAH's spectra: DR3 (five images, or four) and the reductions of DR4 (eight).

Air, barycentric (reductions say BARYEFF), linear, one CCD a file. Errors are relative to the flux, though DR3 calls
them ``input_sigma``. Normalised spectra have an axis of their own (DR3 shifts them to rest) and no errors; they are
read when selected. Forms: real files of DR3; those of reduction 6.0 as measured, without one to test on.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from stellar_emulator.errors import InputError
from stellar_emulator.observed.raw import Frame, RawTable, Told
from stellar_emulator.observed.readers.fits_axis import unit_of, wavelengths
from stellar_emulator.observed.readers.fits_file import FitsFile, Hdu

TOLD = Told(because="GALAH's convention", medium="air")


def _later(file: FitsFile) -> bool:
    names = [hdu.name.lower() for hdu in file.hdus]
    return "relative_error" in names and "normalized" in names


def is_galah(file: FitsFile) -> bool:
    """Whether it has DR3's or DR4's images, by their names, and HERMES at the Anglo-Australian Telescope."""
    earlier = len(file.hdus) in (4, 5) and file.hdus[1].name.lower() == "input_sigma"
    return (earlier or _later(file)) and file.hdus[0].image is not None


def read_galah(file: FitsFile) -> list[RawTable]:
    """The reduced spectrum with its errors; the normalised one is read when selected by its HDU."""
    later = _later(file)
    relative = file.named("relative_error") if later else file.hdus[1]
    normalised = file.named("normalized") if later else (file.hdus[4] if len(file.hdus) > 4 else None)
    assert relative is not None  # is_galah asks for it
    release = "GALAH DR4 reduction" if later else "GALAH DR3"
    found = [_spectrum(file, file.hdus[0], relative, f"{release}, reduced", "observed" if later else "barycentric")]
    if normalised is not None and normalised.image is not None and np.size(normalised.image):
        frame: Frame | None = None if later else "rest"
        found.append(replace(_spectrum(file, normalised, None, f"{release}, normalised", frame), default=False))
    return found


def _spectrum(file: FitsFile, hdu: Hdu, relative: Hdu | None, form: str, frame: Frame | None) -> RawTable:
    flux = file.image(hdu.number, "a spectrum")
    axis = hdu if "CRVAL1" in hdu.header else file.hdus[0]
    wavelength, _ = wavelengths(axis, len(flux))
    columns: dict[str, Any] = {"wavelength": wavelength, "flux": flux}
    told = replace(TOLD, form=form, frame=frame, notes=file.notes)
    if relative is not None:
        columns["relative_error"] = file.image(relative.number, "relative errors")
        told = replace(told, error="relative_error", errors="relative")
        if len(columns["relative_error"]) != len(flux):
            raise InputError(f"{file.path} has {len(flux)} fluxes and {len(columns['relative_error'])} relative errors")
    name = str(file.path) if hdu.number == 0 else f"{file.path}[{hdu.name or hdu.number}]"
    header = {key: file.primary[key] for key in ("RV", "SNR", "BARYEFF") if key in file.primary}
    return RawTable(name, columns, {"wavelength": unit_of(axis) or "Angstrom"}, header, told, hdu.part)
