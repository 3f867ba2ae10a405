"""Some rows of a Parquet file of spectra, one row a spectrum, without the others of the file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stellar_emulator.errors import InputError
from stellar_emulator.observed.raw import RawTable

if TYPE_CHECKING:
    import pyarrow as pa


BATCH_ROWS = 512
"""Rows that are unpacked at once."""


def count_rows(path: Path) -> int:
    """Number of rows of a file. Raises `InputError` if it can't be read."""
    import pyarrow.parquet as pq

    with _readable(path):
        return int(pq.read_metadata(path).num_rows)


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
