"""Reads files of spectra into raw tables: FITS, VOTable, ECSV, CSV, Parquet and NPZ. Nothing is ever unpickled.

All of them read in a process of their own, bounded in what a file may unpack into, which opens no other file.
"""

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stellar_emulator.errors import InputError
from stellar_emulator.observed.raw import FLUX, RawTable
from stellar_emulator.system.confined import Limits, confined, of_own_files

if TYPE_CHECKING:
    from astropy.io.fits import ImageHDU
    from astropy.table import Table

IMAGES_OF_ERRORS = ("error", "uncertainty", "sigma")


def read_tables(path: Path, limits: Limits | None = None) -> list[RawTable]:
    """Read every table (or image of spectra) of a file, by its suffix; ``.gz`` may follow.

    limits: what reading may take; by default, what files of the user's own may.

    Raises
    ------
    InputError
        If the file is missing, empty, damaged, of an unknown suffix, holds no table, names another file that is to be
        read with it, or takes more than the limits.
    """
    check_file(path)
    return confined(unconfined_tables, path, limits or of_own_files(path))


def check_file(path: Path) -> None:
    """Raise `InputError` for a file that is missing, empty, or of an unknown suffix."""
    suffix = _suffix(path)
    if suffix not in READERS:
        raise InputError(f"{path}: the suffix '{suffix}' is not known: give one of {', '.join(READERS)}")
    try:
        if not path.is_file():
            where = "" if path.is_absolute() else f" in {Path.cwd()}"
            raise InputError(f"{path} is no file{where}: check its name")
        if not path.stat().st_size:
            raise InputError(f"{path} is empty")
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}") from error


def unconfined_tables(path: Path) -> list[RawTable]:
    """What `read_tables` has done in a process of its own."""
    kind, read = READERS[_suffix(path)]
    try:
        tables = read(path)
    except (InputError, MemoryError):
        raise
    # What a damaged file makes of a reader is beyond listing: parsers of five formats raise at will.
    except Exception as error:
        reason = " ".join(str(error).split())[:150] or type(error).__name__
        raise InputError(f"{path} can't be read as {kind}: {reason}") from error
    if not tables:
        raise InputError(f"{path} holds no table and no image of spectra")
    return [replace(table, metadata=_plain_metadata(table.metadata)) for table in tables]


def _suffix(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return next((suffix for suffix in reversed(suffixes) if suffix != ".gz"), "")


def _plain_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata whose values are numbers, truth values and texts, whatever a library made of them."""
    return {
        str(name): value
        if isinstance(value, bool | int | float | str) and not isinstance(value, np.generic)
        else str(value)
        for name, value in metadata.items()
    }


def _fits(path: Path) -> list[RawTable]:
    import warnings

    from astropy.io import fits
    from astropy.table import Table

    tables: list[RawTable] = []
    images: list[ImageHDU] = []
    errors: list[ImageHDU] = []
    with warnings.catch_warnings(), fits.open(path, memmap=False) as hdus:
        warnings.simplefilter("ignore")
        for number, hdu in enumerate(hdus):
            header = {**hdus[0].header, **hdu.header}
            if isinstance(hdu, fits.BinTableHDU | fits.TableHDU):
                tables.append(_from_astropy(_part(path, number), Table.read(hdu), header))
            elif hdu.data is not None:
                (errors if hdu.name.lower() in IMAGES_OF_ERRORS else images).append(hdu)
        # Other tables may stand beside spectra, such as the labels that the verb generate writes.
        spectra = [table for table in tables if table.column(FLUX)]
        if images and not spectra:
            return [_image(path, images[0], errors[0] if errors else None, dict(hdus[0].header))]
    return spectra or tables


def _part(path: Path, number: int) -> str:
    return str(path) if number <= 1 else f"{path}[{number}]"


def _image(path: Path, image: "ImageHDU", error: "ImageHDU | None", shared: dict[str, Any]) -> RawTable:
    """Spectra (pixels,) or (n, pixels) with a linear or logarithmic wavelength axis in the header."""
    header = {**shared, **image.header}
    flux = np.atleast_2d(np.asarray(image.data, dtype=float))
    if flux.ndim != 2:
        raise InputError(f"{path} holds an image of shape {flux.shape}: give one row a spectrum")
    if "CRVAL1" not in header:
        raise InputError(f"{path} holds an image of shape {flux.shape} without the wavelength axis CRVAL1, CDELT1")
    kind = str(header.get("CTYPE1", "")).strip().upper()
    if "-" in kind and not kind.endswith("-LOG"):
        raise InputError(
            f"{path}: CTYPE1 = '{header['CTYPE1']}' is no linear axis, nor a logarithmic one: give the wavelengths in "
            "a table"
        )
    step = _header_number(path, header, "CDELT1" if "CDELT1" in header else "CD1_1")
    if not step:
        raise InputError(f"{path} states no step of its wavelength axis: CDELT1 or CD1_1")
    first = _header_number(path, header, "CRVAL1")
    offset = step * (np.arange(flux.shape[1]) + 1.0 - _header_number(path, header, "CRPIX1", 1.0))
    # Greisen et al. 2006, A&A 446, 747, eq. 5.
    wavelength = first * np.exp(offset / first) if kind.endswith("-LOG") else first + offset
    if header.get("DC-FLAG", 0) == 1:
        wavelength = 10.0**wavelength
    columns = {"wavelength": wavelength, "flux": flux}
    if error is not None:
        columns["flux_error"] = np.atleast_2d(np.asarray(error.data, dtype=float))
    units = {"wavelength": str(header["CUNIT1"])} if header.get("CUNIT1") else {}
    return RawTable(str(path), columns, units, header)


def _header_number(path: Path, header: dict[str, Any], keyword: str, otherwise: float = 0.0) -> float:
    value = header.get(keyword, otherwise)
    if not isinstance(value, int | float):
        raise InputError(f"{path}: {keyword} = {value!r:.40} is no number")
    return float(value)


def _votable(path: Path) -> list[RawTable]:
    import warnings

    from astropy.io import votable

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = votable.parse(path, verify="ignore")
    tables: list[RawTable] = []
    for resource in content.resources:
        shared = {param.name: param.value for param in [*content.params, *resource.params, *resource.infos]}
        for table in resource.tables:
            own = {param.name: param.value for param in [*table.params, *table.infos]}
            if len(table.array):
                name = _part(path, len(tables) + 1)
                tables.append(_from_astropy(name, table.to_table(use_names_over_ids=True), shared | own))
    return tables


def _text(style: str) -> Callable[[Path], list[RawTable]]:
    def read(path: Path) -> list[RawTable]:
        from astropy.table import Table

        # A byte order mark, as spreadsheets begin with, is no part of the first column's name.
        comment = {"comment": "#"} if style == "ascii.csv" else {}
        table = Table.read(path, format=style, encoding="utf-8-sig", **comment)
        return [_from_astropy(str(path), table, dict(table.meta))]

    return read


def _csv(path: Path) -> list[RawTable]:
    """CSV with a header; the archive's bulk files carry ECSV's header over a CSV."""
    import gzip

    opener = gzip.open if path.suffix.lower() == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig") as file:
        first = file.readline()
    return _text("ascii.ecsv" if first.startswith("# %ECSV") else "ascii.csv")(path)


def _from_astropy(name: str, table: "Table", metadata: dict[str, Any]) -> RawTable:
    units = {column: str(table[column].unit) for column in table.colnames if table[column].unit is not None}
    return RawTable(name, {column: _plain(table[column]) for column in table.colnames}, units, metadata)


def _plain(column: Any) -> np.ndarray[Any, Any]:
    """A column as an array, NaN where it is masked."""
    if hasattr(column, "filled") and column.dtype.kind == "f":
        return np.asarray(column.filled(np.nan))
    if hasattr(column, "filled") and column.dtype.kind in "iu" and np.any(column.mask):
        return np.where(column.mask, np.nan, np.asarray(column.data, dtype=float))
    return np.asarray(column)


def _parquet(path: Path) -> list[RawTable]:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    columns = {}
    for name in table.column_names:
        cells = table[name].combine_chunks()
        if hasattr(cells, "flatten") and hasattr(cells.type, "value_type"):
            columns[name] = _rows([np.asarray([] if cell is None else cell, float) for cell in cells.to_pylist()])
        else:
            columns[name] = cells.to_numpy(zero_copy_only=False)
    metadata = {key.decode(): value.decode(errors="replace") for key, value in (table.schema.metadata or {}).items()}
    return [RawTable(str(path), columns, {}, metadata)]


def _rows(cells: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """Arrays of one column, as one array where all are of equal length."""
    if len({cell.shape for cell in cells}) == 1:
        return np.array(cells)
    column = np.empty(len(cells), dtype=object)
    column[:] = cells
    return column


def _npz(path: Path) -> list[RawTable]:
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path} can't be read as NPZ: it is no file of numpy.savez")
    with np.load(path, allow_pickle=False) as file:
        arrays = {}
        for name in file.files:
            try:
                arrays[name] = file[name]
            except ValueError as error:
                raise InputError(
                    f"{path}: array {name} is pickled, and unpickling could run anything: save numbers"
                ) from error
    metadata = {name: str(array) for name, array in arrays.items() if array.ndim == 0}
    return [RawTable(str(path), {name: array for name, array in arrays.items() if array.ndim}, {}, metadata)]


READERS: dict[str, tuple[str, Callable[[Path], list[RawTable]]]] = {
    ".fits": ("FITS", _fits),
    ".fit": ("FITS", _fits),
    ".csv": ("CSV", _csv),
    ".ecsv": ("ECSV", _text("ascii.ecsv")),
    ".vot": ("a VOTable", _votable),
    ".votable": ("a VOTable", _votable),
    ".xml": ("a VOTable", _votable),
    ".parquet": ("Parquet", _parquet),
    ".npz": ("NPZ", _npz),
}
