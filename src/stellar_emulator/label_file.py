"""Reads tables of labels, Parquet or CSV with a header, in batches: one row a spectrum, one column a label."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import csv

from stellar_emulator.checks import check_labels, check_names
from stellar_emulator.contract import Contract
from stellar_emulator.errors import InputError
from stellar_emulator.grid.store import as_double

ROWS = 2048
"""In one batch."""


def label_batches(path: Path, contract: Contract) -> Iterator[NDArray[np.float64]]:
    """Labels (n, labels) in the contract's order and the file's, up to `ROWS` at a time, checked like a request's.

    Raises
    ------
    InputError
        If the file can't be read, or a row breaks the contract; the message names file, row (from 0), label and bounds.
    """
    first = 0
    try:
        for batch in _batches(path, contract):
            for start in range(0, batch.num_rows, ROWS):
                part = batch.slice(start, ROWS)
                cells = np.column_stack([_cells(column) for column in part.columns])
                yield check_labels(contract, part.schema.names, cells, first)
                first += part.num_rows
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"labels {path} can't be read: {' '.join(str(error).split())[:200]}") from error
    except InputError as error:
        raise InputError(f"labels {path}: {error}") from error
    if not first:
        raise InputError(f"labels {path} has no rows: give one row a spectrum")


def _batches(path: Path, contract: Contract) -> Iterator[pa.RecordBatch]:
    if path.suffix.lower() == ".csv":
        names = csv.open_csv(path).schema.names
        # As text: a column's type would be guessed from its first rows, and a bad cell reported without its row.
        as_text = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
        reader = csv.open_csv(path, convert_options=as_text)
        check_names(contract, names)
        yield from reader
    elif path.suffix.lower() == ".parquet":
        with pq.ParquetFile(path, buffer_size=2**20, pre_buffer=False) as file:
            check_names(contract, file.schema_arrow.names)
            yield from file.iter_batches(ROWS)
    else:
        raise InputError(f"the suffix '{path.suffix}' is not known: give a .parquet or .csv file")


def _cells(column: pa.Array) -> NDArray[np.generic]:
    """A column as numbers, NaN where a value is missing; as Python objects if some cell is no number."""
    if pa.types.is_string(column.type):
        try:
            column = pc.cast(column, pa.float64())
        except pa.ArrowInvalid:
            return np.array([_number_or_text(cell) for cell in column.to_pylist()], dtype=object)
    cells = column.to_numpy(zero_copy_only=False)
    return as_double(cells) if cells.dtype.kind == "f" else cells


def _number_or_text(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell
