"""Reads a user's own grid, Parquet or NPZ, into the project's form.

NPZ: arrays ``flux`` (n, pixels), ``wavelength`` (pixels,) in Angstrom and one array (n,) for each label, by its name.
Parquet: one row a spectrum, a list column ``flux`` and one column for each label; the wavelengths lie in the schema's
metadata: ``wavelength``, a JSON list in Angstrom, or ``wavelength_start`` and ``wavelength_step``. With PyArrow:
``table.replace_schema_metadata({"wavelength_start": "8400.0", "wavelength_step": "0.1", "medium": "air"})``.

Optional in both: ``flux_error``, the standard deviation of each flux, of its shape, infinite where there is no data
(the flux there is any number in the contract's range), ``run_id`` (without it, rows equal in all of the run's own
labels form one run), ``weight`` relative to the uniform box (without it, the spectra are taken to follow the contract's
sampling density), and ``medium``, ``air`` or ``vacuum`` (without it, the contract's).
"""

import difflib
import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stellar_emulator.contract.checks import as_double
from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import InputError
from stellar_emulator.grid import sampling
from stellar_emulator.grid.nodes import node_weights
from stellar_emulator.grid.store import (
    FLUX,
    FLUX_ERROR,
    ROWS_PER_GROUP,
    Grid,
    Rows,
    flux_matrix,
    grid_schema,
    open_parquet,
    parquet_file,
    read_note,
    readable,
    write_grid,
)
from stellar_emulator.system.confined import check_unpacked

Numbers = NDArray[Any]

_Piece = tuple[NDArray[np.float32], NDArray[np.float32] | None]
"""Flux of some rows and, where there are any, its errors, (rows, pixels) each."""

_PER_ROW = ("run_id", "weight")
_MEDIA = ("air", "vacuum")

# Larger row groups would not stream: reading flux takes one whole group.
_LARGEST_GROUP = 4 * ROWS_PER_GROUP


def open_grid(path: Path, contract: Contract, scratch: Path) -> Grid:
    """Open a grid file; one that isn't in the project's form is rewritten to a Parquet file in ``scratch``.

    Raises
    ------
    InputError
        If the path is missing, a folder or of unknown suffix, or the file can't be read; the message says which array
        or column is at fault, and the remedy.
    """
    if path.is_dir():
        empty = not any(path.iterdir())
        raise InputError(f"grid {path} is {'an empty' if empty else 'a'} folder: name the Parquet or NPZ file itself")
    if not path.exists():
        raise InputError(f"grid {path} does not exist: check the path")
    try:
        with path.open("rb") as stream:
            empty = not stream.read(1)
    except OSError as error:
        raise InputError(f"grid {path} can't be read: {error.strerror}") from error
    if empty:
        raise InputError(f"grid {path} is an empty file: write or copy it again")
    destination = scratch / f"imported-{path.stem}.parquet"
    if path.suffix.lower() == ".npz":
        return import_npz(path, contract, destination)
    if path.suffix.lower() == ".parquet":
        return open_parquet(path, contract) if _is_own(path, contract) else import_parquet(path, contract, destination)
    raise InputError(f"grid {path} has the suffix '{path.suffix}': give a .parquet or .npz file")


def _is_own(path: Path, contract: Contract) -> bool:
    """Whether `store.write_grid` could have written the file: its columns, and row groups that stream."""
    file = parquet_file(path)
    note = read_note(path, file.schema_arrow)
    if note is None or not file.schema_arrow.equals(
        grid_schema(contract, len(note.wavelength), FLUX_ERROR in file.schema_arrow.names)
    ):
        return False
    return all(file.metadata.row_group(group).num_rows <= _LARGEST_GROUP for group in range(file.num_row_groups))


def import_npz(path: Path, contract: Contract, destination: Path) -> Grid:
    """Rewrite an NPZ file as a Parquet grid. Nothing is ever unpickled.

    Raises
    ------
    InputError
        If the file is no NPZ, was cut short, holds Python objects, lacks an array or has one too many, or an array is
        empty, of the wrong shape or no numbers.
    """
    arrays = _read_npz(path, (FLUX, "wavelength", *contract.label_names), (*_PER_ROW, "medium", FLUX_ERROR))
    medium, notes = _medium(path, arrays.pop("medium", None), contract)
    for name, array in arrays.items():
        _check_array(path, name, array, 2 if name in (FLUX, FLUX_ERROR) else 1)
    wavelength, flux, error = arrays.pop("wavelength"), arrays.pop(FLUX), arrays.pop(FLUX_ERROR, None)
    if flux.shape[1] != len(wavelength):
        raise InputError(f"grid {path}: flux has {flux.shape[1]} pixels, but wavelength has {len(wavelength)}")
    if error is not None and error.shape != flux.shape:
        raise InputError(f"grid {path}: flux_error has shape {error.shape}, but flux has {flux.shape}: give one a flux")
    columns = _columns(path, contract, arrays, len(flux))
    pieces = _npz_pieces(path, flux, error)
    return _write(path, contract, destination, columns, pieces, as_double(wavelength), medium, notes)


def _read_npz(path: Path, needed: Sequence[str], optional: Sequence[str]) -> dict[str, Numbers]:
    with path.open("rb") as stream:
        start = stream.read(6)
    if start == b"\x93NUMPY":
        raise InputError(f"grid {path} is a single NumPy array: save all arrays into one file with numpy.savez")
    if not zipfile.is_zipfile(path):
        cut = start.startswith(b"PK")
        raise InputError(f"grid {path} {'was cut short' if cut else 'is no NPZ file'}: save it with numpy.savez")
    try:
        with zipfile.ZipFile(path) as archive:
            check_unpacked(path, sum(member.file_size for member in archive.infolist()))
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as content:
            _check_names(path, "array", content.files, needed, optional)
            return {name: _member(path, name, content) for name in content.files}
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        raise InputError(f"grid {path} is damaged and can't be read: {error}") from error


def _member(path: Path, name: str, content: Mapping[str, object]) -> Numbers:
    try:
        array = content[name]
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise InputError(
                f"grid {path}: {name} holds pickled Python objects, which are never read: save plain numbers"
            ) from error
        raise InputError(f"grid {path}: array {name} is damaged: {error}") from error
    except MemoryError as error:
        raise InputError(f"grid {path}: array {name} doesn't fit in memory: give the grid as Parquet") from error
    if not isinstance(array, np.ndarray):
        raise InputError(f"grid {path}: {name} is no NumPy array: save it with numpy.savez")
    return array


def import_parquet(path: Path, contract: Contract, destination: Path) -> Grid:
    """Rewrite a user's Parquet file as a Parquet grid, streaming its flux.

    Raises
    ------
    InputError
        If the file is no Parquet, was cut short, lacks a column or has one too many, holds no spectrum, says nothing of
        its wavelengths, or a column is no numbers.
    """
    file = parquet_file(path)
    schema = file.schema_arrow
    _check_names(path, "column", schema.names, (FLUX, *contract.label_names), (*_PER_ROW, FLUX_ERROR))
    _check_types(path, schema)
    if not file.metadata.num_rows:
        raise InputError(f"grid {path} holds no spectrum")
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    check_unpacked(path, sum(8 * group.column(one).num_values for group in groups for one in range(group.num_columns)))
    wavelength, medium, notes = _parquet_axis(path, file, contract)
    with readable(path):
        table = file.read(columns=[name for name in schema.names if name not in (FLUX, FLUX_ERROR)])
    arrays = {name: _whole(path, name, table[name]) for name in table.column_names}
    columns = _columns(path, contract, arrays, file.metadata.num_rows)
    pieces = _parquet_pieces(path, file, len(wavelength))
    return _write(path, contract, destination, columns, pieces, wavelength, medium, notes)


def _check_types(path: Path, schema: pa.Schema) -> None:
    for field in schema:
        kind = field.type
        if field.name in (FLUX, FLUX_ERROR):
            if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
                raise InputError(
                    f"grid {path}: column {field.name} is {kind}, but must be a list of numbers in every row"
                )
            kind = kind.value_type
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
            raise InputError(f"grid {path}: column {field.name} holds {kind}, not numbers")


def _parquet_axis(path: Path, file: pq.ParquetFile, contract: Contract) -> tuple[NDArray[np.float64], str, list[str]]:
    note = read_note(path, file.schema_arrow)
    if note is not None:
        return note.wavelength, note.medium, []
    metadata = {key.decode(): value.decode() for key, value in (file.schema_arrow.metadata or {}).items()}
    medium, notes = _medium(path, metadata.get("medium"), contract)
    return _stated_wavelength(path, file, metadata), medium, notes


def _stated_wavelength(path: Path, file: pq.ParquetFile, metadata: Mapping[str, str]) -> NDArray[np.float64]:
    try:
        if "wavelength" in metadata:
            return np.array(json.loads(metadata["wavelength"]), dtype=np.float64).ravel()
        if {"wavelength_start", "wavelength_step"} <= set(metadata):
            start, step = np.float64(metadata["wavelength_start"]), np.float64(metadata["wavelength_step"])
            return np.asarray(start + step * np.arange(_first_length(path, file)), dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise InputError(f"grid {path}: its metadata give no numbers for the wavelengths: {error}") from error
    raise InputError(
        f"grid {path} says nothing of its wavelengths: add wavelength (a JSON list in Angstrom), or wavelength_start "
        "and wavelength_step, to the schema's metadata"
    )


def _first_length(path: Path, file: pq.ParquetFile) -> int:
    with readable(path):
        first = next(file.iter_batches(batch_size=1, columns=["flux"])).column("flux")[0]
    return len(first) if first.is_valid else 0


def _parquet_pieces(path: Path, file: pq.ParquetFile, pixels: int) -> Iterator[_Piece]:
    first, names = 0, [name for name in (FLUX, FLUX_ERROR) if name in file.schema_arrow.names]
    with readable(path):
        for batch in file.iter_batches(batch_size=ROWS_PER_GROUP, columns=names):
            flux, *errors = (flux_matrix(batch.column(name), pixels, first) for name in names)
            yield flux, _checked_error(path, errors[0], first) if errors else None
            first += batch.num_rows


def _npz_pieces(path: Path, flux: Numbers, error: Numbers | None) -> Iterator[_Piece]:
    for first in range(0, len(flux), ROWS_PER_GROUP):
        part = slice(first, first + ROWS_PER_GROUP)
        yield _single(flux[part]), None if error is None else _checked_error(path, _single(error[part]), first)


def _checked_error(path: Path, error: NDArray[np.float32], first: int) -> NDArray[np.float32]:
    """Errors as they are; ``first``: number of the first row. Raises `InputError` if one is no standard deviation."""
    wrong = ~(error > 0.0)
    if wrong.any():
        row, pixel = (int(place) for place in np.argwhere(wrong)[0])
        raise InputError(
            f"grid {path}: flux_error = {error[row, pixel]:g} in row {first + row}, pixel {pixel}: give the standard "
            "deviation of the flux, above 0, or inf where there is no data"
        )
    unseen = ~np.isfinite(error).any(axis=1)
    if unseen.any():
        row = first + int(np.argmax(unseen))
        raise InputError(f"grid {path}: flux_error is infinite in all pixels of row {row}: leave the spectrum out")
    return error


def _whole(path: Path, name: str, column: pa.ChunkedArray) -> Numbers:
    """A column as an array; missing values become NaN, which the expectations name."""
    if name == "run_id" and column.null_count:
        raise InputError(f"grid {path}: run_id has {column.null_count} missing values: fill them in or leave it out")
    return np.asarray(column.to_numpy())


def _check_names(path: Path, what: str, names: Sequence[str], needed: Sequence[str], optional: Sequence[str]) -> None:
    known = [*needed, *optional]
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name.lower(), known, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise InputError(f"grid {path} has the unknown {what} {name}: {hint}Known are {', '.join(known)}")
        if names.count(name) > 1:
            raise InputError(f"grid {path} has {names.count(name)} {what}s named {name}: give each once")
    missing = [name for name in needed if name not in names]
    if missing:
        raise InputError(f"grid {path} lacks the {what}(s) {', '.join(missing)}; it has {', '.join(names) or 'none'}")


def _check_array(path: Path, name: str, array: Numbers, dimensions: int) -> None:
    if array.dtype.kind not in "fiu":
        raise InputError(f"grid {path}: array {name} holds {array.dtype}, not numbers")
    if array.ndim != dimensions:
        wanted = "(spectra, pixels)" if dimensions == 2 else "(pixels,)" if name == "wavelength" else "(spectra,)"
        raise InputError(f"grid {path}: array {name} has shape {array.shape}, but must be {wanted}")
    if not array.size:
        raise InputError(f"grid {path} holds no spectrum: array {name} has shape {array.shape}")


def _medium(path: Path, given: object, contract: Contract) -> tuple[str, list[str]]:
    default = contract.wavelength.medium
    if given is None:
        return default, [f"the grid does not state its medium: taken as {default}, as in contract {contract.name}"]
    medium = str(given).strip()
    if medium not in _MEDIA:
        raise InputError(f"grid {path}: medium is {medium[:40]!r}, but must be {' or '.join(_MEDIA)}")
    return medium, []


@dataclass(frozen=True)
class _Columns:
    """All but the flux: labels (rows, labels) in the contract's order, run_id and weight (rows,)."""

    labels: NDArray[np.float64]
    run_id: NDArray[np.int64]
    weight: NDArray[np.float64]


def _columns(path: Path, contract: Contract, arrays: Mapping[str, Numbers], rows: int) -> _Columns:
    for name, array in arrays.items():
        if len(array) != rows:
            raise InputError(f"grid {path}: {name} has {len(array)} values for {rows} spectra")
    labels = np.stack([as_double(arrays[name]) for name in contract.label_names], axis=1)
    run_id = _run_id(path, arrays["run_id"]) if "run_id" in arrays else _grouped(contract, labels)
    weight = as_double(arrays["weight"]) if "weight" in arrays else _weight(contract, labels)
    return _Columns(labels, run_id, weight)


def _run_id(path: Path, given: Numbers) -> NDArray[np.int64]:
    if given.dtype.kind == "f" and not (np.isfinite(given).all() and (given == np.rint(given)).all()):
        raise InputError(f"grid {path}: run_id must be whole numbers")
    return given.astype(np.int64)


def _grouped(contract: Contract, labels: NDArray[np.float64]) -> NDArray[np.int64]:
    """Number runs in order of first appearance; rows of equal run labels are one run, as in `sampling.run_hash`."""
    own = labels[:, contract.columns(contract.run_labels)].astype(np.float32)
    _, first, inverse = np.unique(own, axis=0, return_index=True, return_inverse=True)
    number = np.empty(len(first), dtype=np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    return number[inverse.ravel()]


def _weight(contract: Contract, labels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights by the contract's density; 1 outside its box, where the expectations refuse the spectrum anyway."""
    weight = np.ones(len(labels))
    if contract.sampling.on_nodes and np.isfinite(labels).all():
        return node_weights(contract, labels[:, contract.columns(contract.run_labels)])
    inside = ((labels >= contract.lower) & (labels <= contract.upper)).all(axis=1)
    weight[inside] = sampling.weights(contract, labels[inside])
    return weight


def _single(flux: Numbers) -> NDArray[np.float32]:
    # A double too large for single precision becomes infinite, which the expectations name.
    with np.errstate(over="ignore"):
        return flux.astype(np.float32)


def _write(
    path: Path,
    contract: Contract,
    destination: Path,
    columns: _Columns,
    pieces: Iterable[_Piece],
    wavelength: NDArray[np.float64],
    medium: str,
    notes: list[str],
) -> Grid:
    provenance: dict[str, object] = {"imported_from": path.name, "notes": notes}
    return write_grid(destination, contract, _rows(columns, pieces), wavelength, medium, provenance)


def _rows(columns: _Columns, pieces: Iterable[_Piece]) -> Iterator[Rows]:
    first = 0
    for flux, error in pieces:
        part = slice(first, first + len(flux))
        yield Rows(columns.run_id[part], columns.labels[part], columns.weight[part], flux, error)
        first = part.stop
