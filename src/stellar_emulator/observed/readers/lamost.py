"""LAMOST's spectra, low and medium resolution (its data releases' descriptions; real files of DR6 and DR7).

Low: an image of five rows, FLUX, IVAR, WAVELENGTH, ANDMASK, ORMASK; its cards say LINEAR of an axis that is log10.
Later releases: a table COADD of one row of vectors, of which no real file could be had. Medium: tables COADD_B and
COADD_R with LOGLAM, then an exposure each. Vacuum, heliocentric, as their cards say. IVAR is 0 where there is no
measurement, which the masks do not always flag. Resolutions: Cui et al. 2012, RAA 12, 1197; Liu et al. 2020,
arXiv:2005.07210.
"""

from dataclasses import replace

import numpy as np

from stellar_emulator.observed.raw import RawTable, Told
from stellar_emulator.observed.readers.fits_file import FitsFile, Hdu

ROWS = ("FLUX", "IVAR", "WAVELENGTH", "ANDMASK", "ORMASK")

TOLD = Told(because="LAMOST's convention", medium="vacuum", frame="heliocentric")

LOW = replace(TOLD, form="LAMOST low resolution", resolution=1800.0)
MEDIUM = replace(TOLD, form="LAMOST medium resolution", resolution=7500.0)


def _is_lamost(file: FitsFile) -> bool:
    return "lamost" in file.text("TELESCOP") or "lamost" in file.text("ORIGIN")


def is_low(file: FitsFile) -> bool:
    """Whether it is an image of LAMOST's five rows."""
    image = file.hdus[0].image
    return _is_lamost(file) and image is not None and image.ndim == 2 and image.shape[0] == len(ROWS)


def is_table(file: FitsFile) -> bool:
    """Whether it has LAMOST's table of vectors."""
    return _is_lamost(file) and any(hdu.columns >= {"flux", "ivar", "wavelength"} for hdu in file.hdus)


def is_medium(file: FitsFile) -> bool:
    """Whether it has LAMOST's tables with logarithms of wavelengths."""
    return _is_lamost(file) and any(hdu.columns >= {"flux", "ivar", "loglam"} for hdu in file.hdus)


def read_low(file: FitsFile) -> list[RawTable]:
    """The one spectrum of the image."""
    rows = dict(zip(ROWS, file.image(0, "a spectrum"), strict=True))
    rows["ANDMASK"] = rows["ANDMASK"].astype(np.int64)
    columns = {name: rows[name] for name in ("FLUX", "IVAR", "WAVELENGTH", "ANDMASK")}
    told = replace(LOW, notes=file.notes)
    return [RawTable(str(file.path), columns, {"WAVELENGTH": "Angstrom"}, _cards(file), told)]


def read_table(file: FitsFile) -> list[RawTable]:
    """The combined spectrum of a file of tables."""
    return [_table(hdu, file, LOW) for hdu in file.hdus if hdu.columns >= {"flux", "wavelength"}]


def read_medium(file: FitsFile) -> list[RawTable]:
    """The combined spectra of both arms; exposures are read when selected."""
    found = []
    for hdu in file.hdus:
        if hdu.columns >= {"flux", "ivar", "loglam"}:
            arm, _, exposure = hdu.name.replace("COADD_", "").partition("-")
            table = _table(hdu, file, MEDIUM)
            part = {**hdu.part, "arm": arm, **({"exposure": exposure} if exposure else {})}
            combined = hdu.name.upper().startswith("COADD")
            name = f"{file.path}[{hdu.name}]"
            found.append(replace(table, name=name, part=part, default=combined, order=True))
    return found


def _table(hdu: Hdu, file: FitsFile, told: Told) -> RawTable:
    table = hdu.table
    assert table is not None  # the callers ask for columns
    columns = {name: values for name, values in table.columns.items() if name.lower() in KEPT}
    units = {name: "Angstrom" for name in columns if name.lower() == "wavelength"}
    told = replace(told, notes=file.notes)
    return replace(table, columns=columns, units=units, metadata=_cards(file), told=told, part=hdu.part)


def _cards(file: FitsFile) -> dict[str, object]:
    """Cards of the first HDU, without those of an axis that is not what they say."""
    return {
        key: value
        for key, value in file.primary.items()
        if not key.startswith(("CTYPE", "CRVAL", "CD1", "OBJECT", "NAME"))
    }


KEPT = ("flux", "ivar", "loglam", "wavelength", "andmask", "pixmask")
