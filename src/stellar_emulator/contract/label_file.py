"""Reads tables of labels in batches: one row per spectrum, one column per label.

Parquet and CSV with a header are streamed; FITS and ECSV are read at once, and their columns' units are converted.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.checks import as_double, check_labels, check_names
from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.label_table import in_unit
from stellar_emulator.errors import InputError
from stellar_emulator.system.confined import check_unpacked, confined, of_own_files

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

ROWS = 2048
"""Rows in one batch."""

_BATCH_BYTES = 256 * 2**20

SUFFIXES = (".parquet", ".csv", ".fits", ".ecsv")

Part = tuple[list[str], list[NDArray[Any]]]
"""Names of columns, and as many arrays of equal length."""


def label_batches(
    path: Path, contract: Contract, common: Mapping[str, float] | None = None
) -> Iterator[NDArray[np.float64]]:
    """Labels (n, labels), rows as in the file and columns as in the contract, up to `ROWS` at a time, checked as in
    requests.

    common: labels that all rows share and that the file lacks.

    Raises
    ------
    InputError
        If the file can't be read, or a row breaks the contract; the message names file, row (from 0), label and bounds.
    """
    import pyarrow as pa

    common, first = common or {}, 0
    try:
        for names, columns in _parts(path, contract, list(common)):
            rows = len(columns[0])
            shared = [np.full(rows, value) for value in common.values()]
            yield check_labels(contract, [*names, *common], _together([*columns, *shared]), first)
            first += rows
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"labels {path} can't be read: {' '.join(str(error).split())[:200]}") from error
    except InputError as error:
        raise InputError(f"labels {path}: {error}") from error
    if not first:
        raise InputError(f"labels {path} has no rows: give one row a spectrum")


def _parts(path: Path, contract: Contract, common: list[str]) -> Iterator[Part]:
    suffix = path.suffix.lower()
    if suffix in (".fits", ".ecsv"):
        yield from _table_parts(path, contract, common)
    elif suffix in (".parquet", ".csv"):
        for batch in (_csv if suffix == ".csv" else _parquet)(path, contract, common):
            for start in range(0, batch.num_rows, ROWS):
                part = batch.slice(start, ROWS)
                yield part.schema.names, [_cells(column) for column in part.columns]
    else:
        raise InputError(f"the suffix '{path.suffix}' is not known: give a file of {', '.join(SUFFIXES)}")


def _csv(path: Path, contract: Contract, common: list[str]) -> Iterator["pa.RecordBatch"]:
    import pyarrow as pa
    from pyarrow import csv

    try:
        names = csv.open_csv(path).schema.names
    except UnicodeDecodeError as error:
        raise InputError("its first line, the names of the columns, is no UTF-8: save it as UTF-8") from error
    # The cells are read as text: else a column's type would be guessed from its first rows, and a bad cell reported
    # without its row.
    as_text = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
    reader = csv.open_csv(path, convert_options=as_text)
    check_names(contract, [*names, *common])
    yield from reader


def _parquet(path: Path, contract: Contract, common: list[str]) -> Iterator["pa.RecordBatch"]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, buffer_size=2**20, pre_buffer=False) as file:
        check_names(contract, [*file.schema_arrow.names, *common])
        yield from file.iter_batches(_rows_at_once(path, file))


def _rows_at_once(path: Path, file: "pq.ParquetFile") -> int:
    """Rows of a batch: `ROWS`, or fewer where each may be a long text of the file's dictionary.

    Raises `InputError` if the file unpacks into more than its size allows.
    """
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    chunks = [group.column(number) for group in groups for number in range(group.num_columns)]
    check_unpacked(path, sum(chunk.total_uncompressed_size for chunk in chunks))
    longest = max((chunk.total_uncompressed_size for chunk in chunks if chunk.physical_type == "BYTE_ARRAY"), default=1)
    return int(np.clip(_BATCH_BYTES // max(1, longest), 1, ROWS))


def _table_parts(path: Path, contract: Contract, common: list[str]) -> Iterator[Part]:
    """A table that astropy reads; of a FITS file, the first one."""
    names, columns = confined(unconfined_table, path, of_own_files(path), contract, common)
    for start in range(0, len(columns[0]), ROWS):
        yield names, [column[start : start + ROWS] for column in columns]


def unconfined_table(path: Path, contract: Contract, common: list[str]) -> Part:
    """The whole table of a FITS or ECSV file, as it is read in a process of its own."""
    import warnings

    from astropy.table import Table
    from astropy.units import UnitsWarning

    form = {".fits": "fits", ".ecsv": "ascii.ecsv"}[path.suffix.lower()]
    try:
        with warnings.catch_warnings():
            # FITS has no unit dex: astropy warns and keeps the unit, which is what is needed.
            warnings.simplefilter("ignore", UnitsWarning)
            table = Table.read(path, format=form)
    except (ValueError, TypeError, IndexError, KeyError) as error:
        raise InputError(f"it holds no table that can be read: {' '.join(str(error).split())[:200]}") from error
    names = list(table.colnames)
    check_names(contract, [*names, *common])
    known = {label.name: label for label in contract.labels}
    columns = [in_unit(known[name], table[name]) for name in names]
    if any(column.ndim != 1 for column in columns):
        raise InputError("a column holds more than one number a row: give one column a label")
    return names, [as_double(column) if column.dtype.kind == "f" else column for column in columns]


def _together(columns: list[NDArray[Any]]) -> NDArray[Any]:
    """Columns as one table, of objects if a column holds no numbers, since they would be cast to one type."""
    kind = np.float64 if all(column.dtype.kind in "fiu" for column in columns) else object
    return np.column_stack([column.astype(kind) for column in columns])


def _cells(column: "pa.Array") -> NDArray[np.generic]:
    """A column as numbers, NaN where a value is missing; as Python objects if some cell is no number."""
    import pyarrow as pa
    import pyarrow.compute as pc

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
