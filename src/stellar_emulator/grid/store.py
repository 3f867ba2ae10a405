"""Labelled spectra on disk: Parquet, one row per spectrum, read in row groups so that no grid need fit in memory."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stellar_emulator.contract.axis import WavelengthAxis
from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import InputError
from stellar_emulator.grid import sampling
from stellar_emulator.system.files import new_file

ROWS_PER_GROUP = 512
"""Rows of a row group, 8 MB with 4,000 float32 fluxes each: the unit of reading, shuffling and memory."""

FLUX, FLUX_ERROR = "flux", "flux_error"
"""Columns of flux and, if there are any, of its errors."""

_READ_BUFFER = 1 << 20

_METADATA = b"stellar_emulator"
_DIGEST = b"stellar_emulator_digest"


@dataclass(frozen=True)
class Rows:
    """Some spectra: labels (rows, labels) in physical units, flux (rows, pixels), run_id and weight (rows,).

    flux_error: standard deviation of each flux, shape as flux, infinite where there are no data; None if the flux is
    free of noise.
    """

    run_id: NDArray[np.int64]
    labels: NDArray[np.float64]
    weight: NDArray[np.float64]
    flux: NDArray[np.float32]
    flux_error: NDArray[np.float32] | None = None

    @property
    def digest(self) -> str:
        """First 12 hex digits of the SHA-256 over labels and flux, printed with every figure."""
        hasher = hashlib.sha256(np.ascontiguousarray(self.labels, dtype="<f8").tobytes())
        hasher.update(np.ascontiguousarray(self.flux, dtype="<f4").tobytes())
        return hasher.hexdigest()[:12]


@dataclass(frozen=True)
class Grid:
    """A grid on disk. Labels are read at once; flux is read group by group."""

    path: Path
    label_names: tuple[str, ...]
    wavelength: NDArray[np.float64]
    medium: str
    provenance: dict[str, object]

    @cached_property
    def file(self) -> pq.ParquetFile:
        return parquet_file(self.path)

    @property
    def rows(self) -> int:
        return int(self.file.metadata.num_rows)

    @property
    def pixels(self) -> int:
        return len(self.wavelength)

    @property
    def has_errors(self) -> bool:
        """Whether the grid has errors of the flux."""
        return FLUX_ERROR in self.file.schema_arrow.names

    @cached_property
    def group_starts(self) -> NDArray[np.int64]:
        """First row of each row group, then the number of rows; shape (groups + 1,)."""
        counts = [self.file.metadata.row_group(group).num_rows for group in range(self.file.num_row_groups)]
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    @cached_property
    def labels(self) -> NDArray[np.float64]:
        """All labels, shape (rows, labels), in the contract's order; missing values are NaN."""
        with readable(self.path):
            table = self.file.read(columns=list(self.label_names))
        return np.stack([_numbers(table[name]) for name in self.label_names], axis=1)

    @cached_property
    def run_id(self) -> NDArray[np.int64]:
        with readable(self.path):
            column = self.file.read(columns=["run_id"])["run_id"]
        if column.null_count:
            row = int(np.argmax(column.is_null().to_numpy()))
            raise InputError(f"grid {self.path} has no run_id in row {row}: fill it in, or leave the column out")
        return np.asarray(column.to_numpy(), dtype=np.int64)

    @cached_property
    def weight(self) -> NDArray[np.float64]:
        """Weight of each row relative to the uniform box, shape (rows,); missing values are NaN."""
        with readable(self.path):
            return _numbers(self.file.read(columns=["weight"])["weight"])

    def group_flux(self, group: int, column: str = FLUX) -> NDArray[np.float32]:
        """Flux of one row group, or its errors, shape (rows of the group, pixels)."""
        with readable(self.path):
            values = self.file.read_row_group(group, columns=[column])[column].combine_chunks()
        return flux_matrix(values, self.pixels, int(self.group_starts[group]))

    def batches(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """All row groups in order, as the rows they hold and their flux."""
        for group in range(self.file.num_row_groups):
            yield slice(int(self.group_starts[group]), int(self.group_starts[group + 1])), self.group_flux(group)

    def take(self, rows: NDArray[np.int64], column: str = FLUX) -> NDArray[np.float32]:
        """Flux of chosen rows, or their errors, shape (len(rows), pixels), in the order asked for."""
        flux = np.empty((len(rows), self.pixels), dtype=np.float32)
        groups = np.searchsorted(self.group_starts, rows, side="right") - 1
        for group in np.unique(groups):
            wanted = groups == group
            flux[wanted] = self.group_flux(int(group), column)[rows[wanted] - self.group_starts[group]]
        return flux

    @cached_property
    def digest(self) -> str:
        """SHA-256 over wavelengths, labels, flux and errors by row, whatever the file's compression or row groups."""
        return self._digest_of([digest for _, flux in self.batches() for digest in flux_digests(flux)])

    def note_digest(self, digests: Sequence[str]) -> str:
        """Keep the digest that follows from `flux_digests` of all rows, so that no later call reads the flux again."""
        self.__dict__["digest"] = self._digest_of(digests)
        return self.digest

    def _digest_of(self, digests: Sequence[str]) -> str:
        groups = range(self.file.num_row_groups) if self.has_errors else ()
        errors = [digest for group in groups for digest in flux_digests(self.group_flux(group, FLUX_ERROR))]
        return _digest(self.label_names, self.medium, self.wavelength, self.labels, [*digests, *errors])


def flux_digests(flux: NDArray[np.float32]) -> list[str]:
    """SHA-256 of each spectrum as little-endian float32, for flux (rows, pixels)."""
    return [hashlib.sha256(row).hexdigest() for row in np.ascontiguousarray(flux, dtype="<f4")]


def _digest(
    label_names: Sequence[str],
    medium: str,
    wavelength: NDArray[np.float64],
    labels: NDArray[np.float64],
    digests: Sequence[str],
) -> str:
    hasher = hashlib.sha256(json.dumps([list(label_names), medium]).encode())
    hasher.update(np.ascontiguousarray(wavelength, dtype="<f8").tobytes())
    hasher.update(np.ascontiguousarray(labels, dtype="<f8").tobytes())
    hasher.update("".join(digests).encode())
    return hasher.hexdigest()


def write_grid(
    path: Path,
    contract: Contract,
    batches: Iterable[Rows],
    wavelength: NDArray[np.float64],
    medium: str,
    provenance: dict[str, object],
) -> Grid:
    """Write batches of spectra to one Parquet file, atomically, and open it.

    ``wavelength`` (pixels,) in Angstrom and ``medium`` (air or vacuum) are stored beside the flux; the digest of the
    written grid is added to ``provenance``. Either all batches have errors of the flux, or none has.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    note = {"wavelength": wavelength.tolist(), "unit": "Angstrom", "medium": medium, "provenance": provenance}
    batches, first = _with_first(batches)
    errors = first is not None and first.flux_error is not None
    schema = grid_schema(contract, len(wavelength), errors).with_metadata({_METADATA: json.dumps(note).encode()})
    labels, digests, error_digests = [np.empty((0, len(contract.labels)))], list[str](), list[str]()
    with new_file(path) as partial, spectra_writer(partial, schema) as writer:
        for batch in batches:
            writer.write_table(_table(schema, contract, batch), row_group_size=ROWS_PER_GROUP)
            labels.append(batch.labels)
            digests += flux_digests(batch.flux)
            if batch.flux_error is not None:
                error_digests += flux_digests(batch.flux_error)
        digest = _digest(contract.label_names, medium, wavelength, np.concatenate(labels), digests + error_digests)
        writer.add_key_value_metadata({_DIGEST: digest.encode()})
    return open_parquet(path, contract)


def spectra_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Open a Parquet file for rows with a column ``flux`` of fixed-size lists of float32."""
    # Float noise barely compresses: splitting bytes and a light level cost little and save a third.
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=False,
        use_byte_stream_split=[f"{name}.list.element" for name in (FLUX, FLUX_ERROR) if name in schema.names],
        write_page_checksum=True,
    )


def open_parquet(path: Path, contract: Contract) -> Grid:
    """Open a Parquet grid that `write_grid` wrote; its rules are checked by the grid's expectations, not here.

    Raises
    ------
    InputError
        If the file is not Parquet, lacks a column or has another, or does not state its wavelengths.
    """
    file = parquet_file(path)
    schema = file.schema_arrow
    needed = grid_schema(contract, 1).names
    missing = [name for name in needed if name not in schema.names]
    if missing:
        raise InputError(f"grid {path} lacks the column(s) {', '.join(missing)}; it has {', '.join(schema.names)}")
    note = read_note(path, schema)
    if note is None:
        raise InputError(
            f"grid {path} says nothing of its wavelengths: write it with stellar_emulator.grid.store.write_grid"
        )
    expected = grid_schema(contract, len(note.wavelength), FLUX_ERROR in schema.names)
    wrong = [field for field in expected if schema.field(field.name).type != field.type]
    if wrong:
        found = schema.field(wrong[0].name).type
        raise InputError(f"column {wrong[0].name} of grid {path} is {found}, but must be {wrong[0].type}")
    recorded = (file.metadata.metadata or {}).get(_DIGEST)
    provenance = {**note.provenance, "digest": recorded.decode(errors="replace")} if recorded else note.provenance
    return Grid(path, tuple(contract.label_names), note.wavelength, note.medium, provenance)


@dataclass(frozen=True)
class Note:
    """Metadata that `write_grid` stores beside the columns: wavelength (pixels,) in Angstrom, medium, provenance."""

    wavelength: NDArray[np.float64]
    medium: str
    provenance: dict[str, object]


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn errors of PyArrow on damaged data into an `InputError` that names the file."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        # PyArrow can't read a missing value in a column of fixed-size lists either.
        raise InputError(f"grid {path} is damaged or lacks a spectrum: {_line(error)}") from error


def parquet_file(path: Path) -> pq.ParquetFile:
    """Open any Parquet file. Raises `InputError` if it is not Parquet, or was cut short."""
    try:
        # Not memory-mapped: mapped pages would count as resident until a 6 GB grid is 6 GB. Buffered: a user's file may
        # be one huge row group.
        return pq.ParquetFile(path, buffer_size=_READ_BUFFER, pre_buffer=False, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"grid {path} is no Parquet file, was cut short or can't be read: {_line(error)}") from error


def read_note(path: Path, schema: pa.Schema) -> Note | None:
    """Read the metadata that `write_grid` stored in a file; None if there are none. Raises `InputError` if damaged."""
    note = (schema.metadata or {}).get(_METADATA)
    if note is None:
        return None
    try:
        content = json.loads(note)
        return Note(
            np.array(content["wavelength"], dtype=float).ravel(), str(content["medium"]), dict(content["provenance"])
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"grid {path} has damaged metadata ({_line(error)}): write it again") from error


def grid_schema(contract: Contract, pixels: int, errors: bool = False) -> pa.Schema:
    """Columns of a grid in order, without metadata; ``errors``: whether the grid has errors of the flux."""
    labels = [(name, pa.float64()) for name in contract.label_names]
    arrays = [(name, pa.list_(pa.float32(), pixels)) for name in ((FLUX, FLUX_ERROR) if errors else (FLUX,))]
    return pa.schema([("run_id", pa.int64()), *labels, ("weight", pa.float64()), *arrays])


def flux_matrix(column: pa.Array, pixels: int, first: int) -> NDArray[np.float32]:
    """Flux of a list column, (rows, pixels); a missing spectrum is all NaN. ``first`` is the row number it starts at.

    Raises
    ------
    InputError
        If a spectrum has another number of pixels; the message names its row.
    """
    present = np.asarray(column.is_valid())
    lengths = np.asarray(column.value_lengths().fill_null(pixels))
    if (lengths != pixels).any():
        row = int(np.argmax(lengths != pixels))
        raise InputError(f"flux of row {first + row} has {lengths[row]} pixels, but there are {pixels} wavelengths")
    values = column.flatten().to_numpy(zero_copy_only=False)
    if present.all():
        return np.asarray(values, dtype=np.float32).reshape(-1, pixels)
    flux = np.full((len(column), pixels), np.nan, dtype=np.float32)
    flux[present] = values.reshape(-1, pixels)
    return flux


def axis_matches(wavelength: NDArray[np.float64], axis: WavelengthAxis) -> bool:
    """Whether pixels are those of a contract's axis, to a hundredth of a pixel: single precision passes."""
    return len(wavelength) == axis.count and bool(axis.matches(wavelength).all())


def run_hashes(grid: Grid, contract: Contract) -> NDArray[np.str_]:
    """Hash of the run's own labels for each row, shape (rows,): the same for all rows of a run."""
    own = grid.labels[:, contract.columns(contract.run_labels)]
    unique, inverse = np.unique(own, axis=0, return_inverse=True)
    return np.array(sampling.run_hash(unique))[inverse.ravel()]


def _table(schema: pa.Schema, contract: Contract, rows: Rows) -> pa.Table:
    given = [rows.flux, *([] if rows.flux_error is None else [rows.flux_error])]
    arrays = [pa.FixedSizeListArray.from_arrays(pa.array(array.ravel()), array.shape[1]) for array in given]
    labels = [rows.labels[:, column] for column in range(len(contract.label_names))]
    return pa.table([rows.run_id, *labels, rows.weight, *arrays], schema=schema)


def _with_first(batches: Iterable[Rows]) -> tuple[Iterator[Rows], Rows | None]:
    """All batches, and the first of them, which determines the columns; None if there is none."""
    rest = iter(batches)
    first = next(rest, None)
    return (rest if first is None else chain([first], rest)), first


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """A column as float64; missing values become NaN, which the expectations name."""
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
