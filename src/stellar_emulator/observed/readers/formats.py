"""The one place where files of observed spectra are opened: by what they hold, whatever they are called.

All of them are read in a process of their own, which is bounded in what a file may unpack into and opens no other file.
Nothing is ever unpickled.
"""

import gzip
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from stellar_emulator.errors import InputError, SetupError
from stellar_emulator.observed.columns import FLUX
from stellar_emulator.observed.raw import RawTable
from stellar_emulator.observed.readers.astropy_table import from_astropy
from stellar_emulator.observed.readers.by_specutils import read_by_specutils
from stellar_emulator.observed.readers.fits_file import FitsFile, open_fits
from stellar_emulator.observed.readers.fits_image import UnknownLayoutError, read_images
from stellar_emulator.observed.readers.hdf5 import read_hdf5
from stellar_emulator.observed.readers.plain_text import has_header, read_plain
from stellar_emulator.observed.readers.sme import read_sme
from stellar_emulator.observed.readers.surveys import form_of
from stellar_emulator.observed.selection import Selection, selected
from stellar_emulator.system.confined import Limits, confined, of_own_files
from stellar_emulator.system.web_page import is_web_page, web_page_fault

FIRST = 4096
"""Bytes of a file that tell what it is."""


@dataclass(frozen=True)
class Choice:
    """What the user says of a file: the form that it has, None where its content tells, and which spectra are meant."""

    form: str | None = None
    selection: Selection | None = None


def read_tables(path: Path, choice: Choice | None = None, limits: Limits | None = None) -> list[RawTable]:
    """Read the tables (or images of spectra) of a file that are meant; ``.gz`` may follow its name.

    limits: what reading may take; by default, what files of the user's own may.

    Raises
    ------
    InputError
        If the file is missing, empty, damaged, of an unknown kind, holds no table, or nothing of what is selected, if
        it names another file that is to be read with it, or if it takes more than the limits.
    """
    check_file(path)
    return confined(unconfined_tables, path, limits or of_own_files(path), choice)


def check_file(path: Path) -> None:
    """Raise `InputError` for a file that is missing or empty."""
    try:
        if not path.is_file():
            where = "" if path.is_absolute() else f" in {Path.cwd()}"
            raise InputError(f"{path} is no file{where}: check its name")
        if not path.stat().st_size:
            raise InputError(f"{path} is empty")
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror or error}") from error


def unconfined_tables(path: Path, choice: Choice | None = None) -> list[RawTable]:
    """What `read_tables` has done in a process of its own."""
    choice = choice or Choice()
    kind = _kind_of(path)
    try:
        tables = _READ[kind](path, choice)
    except (InputError, SetupError, MemoryError):
        raise
    # What a damaged file makes of a reader is beyond listing: parsers of five formats raise at will.
    except Exception as error:
        reason = CUT if _is_cut(error) else " ".join(str(error).split())[:150] or type(error).__name__
        raise InputError(f"{path} can't be read as {kind}: {reason}") from error
    if not tables:
        raise InputError(f"{path} holds no table and no image of spectra")
    chosen = selected(tables, choice.selection)
    return [replace(table, metadata=_plain_metadata(table.metadata)) for table in chosen]


def _is_cut(error: Exception) -> bool:
    """Whether what a library says of a file means that it ends early."""
    text = str(error)
    return isinstance(error, EOFError) or any(words in text for words in _EARLY)


def _plain_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata whose values are numbers, truth values and texts, whatever a library made of them."""
    return {
        str(name): value
        if isinstance(value, bool | int | float | str) and not isinstance(value, np.generic)
        else str(value)
        for name, value in metadata.items()
    }


def _kind_of(path: Path) -> str:
    """What a file is, by its first bytes; text and damaged files by their suffix.

    Raises
    ------
    InputError
        If the file can't be read, or neither tells.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    suffix = next((suffix for suffix in reversed(suffixes) if suffix != ".gz"), "")
    try:
        first = _first_bytes(path)
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror or error}") from error
    if is_web_page(first):
        raise InputError(web_page_fault(str(path)))
    found = next((kind for start, kind in _MAGIC if first.startswith(start)), None)
    if found is None and first.lstrip().lower().startswith((b"<?xml", b"<votable")):
        found = "a VOTable"
    if found is not None:
        return found
    if suffix not in READERS:
        if _is_text(first):
            return "text"
        raise InputError(f"{path}: the suffix '{suffix}' is not known: give one of {', '.join(READERS)}")
    return READERS[suffix]


def _is_text(first: bytes) -> bool:
    """Whether bytes are those of a text: no control characters but ends of lines and tabs."""
    return bool(first) and all(byte > 31 or byte in b"\t\n\r\f" for byte in first)


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        first = file.read(FIRST)
    if first.startswith(b"\x1f\x8b"):
        try:
            with gzip.open(path, "rb") as unpacked:
                return unpacked.read(FIRST)
        except EOFError:
            return b""
    return first


def _fits(path: Path, choice: Choice) -> list[RawTable]:
    file = open_fits(path)
    form = form_of(file, choice.form)
    if form is not None:
        return form.read(file)
    tables = [replace(hdu.table, part=hdu.part).noted(*file.notes) for hdu in file.hdus if hdu.table is not None]
    # Other tables may stand beside spectra, such as the labels that the verb generate writes.
    spectra = [table for table in tables if table.column(FLUX)]
    if file.images and not spectra:
        return _images(file, choice.selection)
    return spectra or tables


def _images(file: FitsFile, selection: Selection | None) -> list[RawTable]:
    """Images by our own rules; where these don't know them, by specutils' loaders, if it is installed and does."""
    try:
        return read_images(file, selection)
    except UnknownLayoutError as error:
        found = read_by_specutils(file.path)
        if found is None:
            raise
        return [found.noted(f"read by specutils, since {error}")]


def _votable(path: Path, _: Choice) -> list[RawTable]:
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
                name = str(path) if not tables else f"{path}[{len(tables) + 1}]"
                tables.append(from_astropy(name, table.to_table(use_names_over_ids=True), shared | own))
    return tables


def _text(style: str) -> Callable[[Path, Choice], list[RawTable]]:
    def read(path: Path, _: Choice) -> list[RawTable]:
        from astropy.table import Table

        # A byte order mark, as spreadsheets begin with, is no part of the first column's name.
        comment = {"comment": "#"} if style == "ascii.csv" else {}
        table = Table.read(path, format=style, encoding="utf-8-sig", **comment)
        return [from_astropy(str(path), table, dict(table.meta))]

    return read


def _csv(path: Path, choice: Choice) -> list[RawTable]:
    """CSV with a header; the archive's bulk files carry ECSV's header over a CSV, and some have none at all."""
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig") as file:
        first = file.readline()
    if first.startswith("# %ECSV"):
        return _text("ascii.ecsv")(path, choice)
    return _text("ascii.csv")(path, choice) if has_header(path) else read_plain(path)


def _parquet(path: Path, _: Choice) -> list[RawTable]:
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


def _npz(path: Path, _: Choice) -> list[RawTable]:
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path} can't be read as NPZ: it is no file of numpy.savez")
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
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


_READ: dict[str, Callable[[Path, Choice], list[RawTable]]] = {
    "FITS": _fits,
    "CSV": _csv,
    "ECSV": _text("ascii.ecsv"),
    "a VOTable": _votable,
    "Parquet": _parquet,
    "NPZ": _npz,
    "text": lambda path, _: read_plain(path),
    "HDF5": lambda path, _: read_hdf5(path),
    "an IDL file": lambda path, _: read_sme(path),
}

CUT = "it is cut short, its data end early: fetch it again"

_EARLY = ("cannot reshape array", "end-of-stream marker", "buffer is too small", "requires a buffer", "truncated")
"""Words of libraries about files that end early."""

_MAGIC = (
    (b"SIMPLE  =", "FITS"),
    (b"PK\x03\x04", "NPZ"),
    (b"PAR1", "Parquet"),
    (b"\x89HDF\r\n", "HDF5"),
    (b"SR\x00\x04", "an IDL file"),
    (b"# %ECSV", "ECSV"),
)
"""How files of a kind begin."""

READERS = {
    ".fits": "FITS",
    ".fit": "FITS",
    ".fts": "FITS",
    ".csv": "CSV",
    ".ecsv": "ECSV",
    ".vot": "a VOTable",
    ".votable": "a VOTable",
    ".xml": "a VOTable",
    ".parquet": "Parquet",
    ".npz": "NPZ",
    ".txt": "text",
    ".dat": "text",
    ".asc": "text",
    ".ascii": "text",
    ".spec": "text",
    ".tsv": "text",
    ".h5": "HDF5",
    ".hdf5": "HDF5",
    ".inp": "an IDL file",
}
"""Kinds by suffix, for text, which doesn't say what it is, and for messages."""
