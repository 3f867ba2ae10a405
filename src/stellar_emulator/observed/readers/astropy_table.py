"""Astropy's tables as raw ones."""

from typing import TYPE_CHECKING, Any

import numpy as np

from stellar_emulator.observed.raw import RawTable

if TYPE_CHECKING:
    from astropy.table import Table


def from_astropy(name: str, table: "Table", metadata: dict[str, Any]) -> RawTable:
    """A table with its units, NaN where it is masked. metadata: of the file around it."""
    units = {column: str(table[column].unit) for column in table.colnames if table[column].unit is not None}
    meanings = {
        f"ucd {column}": table[column].meta["ucd"] for column in table.colnames if table[column].meta.get("ucd")
    }
    columns = {column: _plain(table[column]) for column in table.colnames}
    return RawTable(name, columns, units, {**meanings, **metadata})


def _plain(column: Any) -> np.ndarray[Any, Any]:
    """A column as an array, NaN where it is masked."""
    if hasattr(column, "filled") and column.dtype.kind == "f":
        return np.asarray(column.filled(np.nan))
    if hasattr(column, "filled") and column.dtype.kind in "iu" and np.any(column.mask):
        return np.where(column.mask, np.nan, np.asarray(column.data, dtype=float))
    return np.asarray(column)
