"""Some rows of a Parquet file of spectra, one row a spectrum, without the others of the file."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.errors import InputError
from stellar_emulator.observed import gaia_archive
from stellar_emulator.observed.raw import RawTable

if TYPE_CHECKING:
    import pyarrow as pa


BATCH_ROWS = 512
"""Rows that are unpacked at once."""

ID_ROWS = 2**20
"""Rows whose identifiers are unpacked at once."""


@dataclass(frozen=True)
class Layout:
    """Of a file with a spectrum in each row.

    starts: first row of each run of rows that are epochs of one source, None if rows aren't epochs; sources: the runs'.
    """

    rows: int
    starts: NDArray[np.int64] | None
    sources: NDArray[np.int64]


def layout_of(path: str) -> Layout | None:
    """What the rows of a file are; None if it can't be read as Parquet, or no row can hold a spectrum."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            schema, rows = file.schema_arrow, int(file.metadata.num_rows)
            if not any(pa.types.is_nested(field.type) for field in schema):
                return None
            by_name = {name.lower(): name for name in schema.names}
            source = by_name.get(gaia_archive.SOURCE)
            epochs = any(name in by_name for name in gaia_archive.EPOCH)
            if not epochs or source is None or not pa.types.is_integer(schema.field(source).type):
                return Layout(rows, None, np.empty(0, np.int64))
            ids = _ids(file, source)
    except (OSError, pa.ArrowException):
        return None
    starts = np.flatnonzero(np.diff(ids, prepend=ids[:1] - 1)) if len(ids) else np.empty(0, np.int64)
    return Layout(rows, starts, ids[starts])


def _ids(file: Any, source: str) -> NDArray[np.int64]:
    """The sources of all rows, -1 where there is none."""
    batches = file.iter_batches(columns=[source], batch_size=ID_ROWS)
    parts = [batch.column(0).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64) for batch in batches]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} can't be read as Parquet: {' '.join(str(error).split())[:150]}") from error


def read_rows(path: Path, first: int, stop: int) -> tuple[RawTable, "pa.Table"]:
    """Rows ``first`` to ``stop - 1``: as a table of spectra, and the columns that hold one value a row as they are.

    Raises
    ------
    InputError
        If the file can't be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _readable(path), pq.ParquetFile(path) as file:
        groups, starts = _groups(file, first, stop)
        table = _slice(file, groups, first - starts, stop - first)
    units = {field.name: (field.metadata or {}).get(b"unit", b"").decode() for field in table.schema if field.metadata}
    columns = {name: _array(table.column(name)) for name in table.column_names}
    told = {name: unit for name, unit in units.items() if unit}
    nested = [field.name for field in table.schema if pa.types.is_nested(field.type)]
    return RawTable(str(path), columns, told), table.drop_columns(nested)


def _slice(file: Any, groups: list[int], skip: int, count: int) -> "pa.Table":
    """Some rows of some row groups, which may be larger than memory: other rows are dropped as they are read."""
    import pyarrow as pa

    kept: list[pa.RecordBatch] = []
    for batch in file.iter_batches(batch_size=BATCH_ROWS, row_groups=groups):
        own = batch.slice(min(skip, batch.num_rows), count)
        skip, count = max(0, skip - batch.num_rows), count - own.num_rows
        kept += [own] if own.num_rows else []
        if not count:
            break
    return pa.Table.from_batches(kept, file.schema_arrow)


def _groups(file: Any, first: int, stop: int) -> tuple[list[int], int]:
    """Row groups that hold the rows, and the number of the first row in them."""
    groups: list[int] = []
    start = begin = 0
    for number in range(file.num_row_groups):
        count = file.metadata.row_group(number).num_rows
        if start < stop and start + count > first:
            begin = begin if groups else start
            groups.append(number)
        start += count
    return groups, begin


def _array(column: "pa.ChunkedArray") -> np.ndarray[Any, Any]:
    """A column as an array: of two dimensions where all rows have as many numbers, of objects where they differ."""
    import pyarrow as pa

    whole = column.combine_chunks()
    if not pa.types.is_nested(whole.type):
        return np.asarray(whole.to_numpy(zero_copy_only=False))
    lengths = np.asarray(whole.value_lengths().fill_null(0))
    if len(lengths) and (lengths == lengths[0]).all() and not whole.null_count:
        return np.asarray(whole.flatten().to_numpy(zero_copy_only=False)).reshape(len(lengths), -1)
    rows = [np.asarray(row.values.to_numpy(zero_copy_only=False)) if row.is_valid else np.empty(0) for row in whole]
    found = np.empty(len(rows), dtype=object)
    found[:] = rows
    return found
