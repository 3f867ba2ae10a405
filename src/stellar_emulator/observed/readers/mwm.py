"""SDSS-V's mwmStar and mwmVisit files (Milky Way Mapper; astra's data model).

Tables of BOSS and APOGEE spectra, HDU 1 to 4, a row a spectrum: ``flux``, ``ivar``, ``pixel_flags`` and, in mwmStar,
``wavelength``; mwmVisit has its log10 axis in the cards CRVAL, CDELT and NPIXELS. Vacuum; mwmStar is at rest, mwmVisit
barycentric. No real file could be had: by the data model, as specutils' loader has it. Resolutions: Smee et al. 2013,
AJ 146, 32; Majewski et al. 2017, AJ 154, 94.
"""

from dataclasses import replace

import numpy as np

from stellar_emulator.observed.raw import RawTable, Told
from stellar_emulator.observed.readers.fits_file import FitsFile, Hdu

BOSS, APOGEE = 2000.0, 22500.0
"""Resolutions of the two spectrographs."""

BETWEEN = 12000.0
"""Angstrom: BOSS sees less, APOGEE more."""


def is_mwm(file: FitsFile) -> bool:
    """Whether it has astra's cards and tables of flux."""
    known = "V_ASTRA" in file.primary and "SDSS_ID" in file.primary
    return known and any({"flux", "ivar"} <= hdu.columns for hdu in file.hdus)


def read_mwm(file: FitsFile) -> list[RawTable]:
    """One table for each instrument and observatory that has spectra."""
    return [_table(hdu, file) for hdu in file.hdus if {"flux", "ivar"} <= hdu.columns and _rows(hdu)]


def _rows(hdu: Hdu) -> int:
    return 0 if hdu.table is None else len(next(iter(hdu.table.columns.values())))


def _table(hdu: Hdu, file: FitsFile) -> RawTable:
    table = hdu.table
    assert table is not None  # read_mwm asks for columns
    visit = "wavelength" not in hdu.columns
    columns = {name.lower(): values for name, values in table.columns.items() if name.lower() in KEPT}
    if visit:
        count = int(hdu.number_of("NPIXELS", np.shape(columns["flux"])[-1]))
        columns["wavelength"] = 10.0 ** (hdu.number_of("CRVAL") + hdu.number_of("CDELT") * np.arange(count))
    told = Told(
        form="SDSS-V mwmVisit" if visit else "SDSS-V mwmStar",
        because="SDSS's convention",
        medium="vacuum",
        frame="barycentric" if visit else "rest",
        notes=file.notes,
        resolution=BOSS if np.nanmin(columns["wavelength"]) < BETWEEN else APOGEE,
    )
    return replace(table, columns=columns, units={"wavelength": "Angstrom"}, told=told, part=hdu.part)


KEPT = ("flux", "ivar", "pixel_flags", "wavelength")
