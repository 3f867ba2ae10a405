"""Converts labels as users give them (numbers, arrays, quantities, tables) to plain columns in the contract's units."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.checks import check_names, unmasked
from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.label import Label
from stellar_emulator.errors import InputError

Columns = list[tuple[str, Any]]

LOGARITHMIC = ("", "dex", "dex(1)", "dex(cm / s2)")
"""Units, as astropy writes them, of logarithms to the base 10; those of gravity are in CGS."""


def given_labels(texts: Mapping[str, str]) -> dict[str, float]:
    """Labels of a command line as numbers. Raises `InputError` if one is not a number."""
    labels = {}
    for name, text in texts.items():
        try:
            labels[name] = float(text)
        except ValueError:
            raise InputError(f"--{name} = {text!r:.60} is no number") from None
    return labels


def named_columns(contract: Contract, table: Any, labels: Mapping[str, Any]) -> Columns:
    """Names and values of the columns of a table and of labels given by name.

    table: of pandas or astropy, a mapping, an array (n, labels) in the contract's order, or None.

    Raises
    ------
    InputError
        If the array has another shape.
    """
    return [*_table_columns(contract, table), *labels.items()]


def _table_columns(contract: Contract, table: Any) -> Columns:
    if table is None:
        return []
    if isinstance(table, Mapping):
        return list(table.items())
    names = getattr(table, "colnames", None)
    if names is None:
        names = getattr(table, "columns", None)
    if names is not None:
        return [(str(name), table[name]) for name in names]
    array = unmasked(table, "the table of labels")
    if array.ndim != 2 or array.shape[1] != len(contract.labels):
        raise InputError(
            f"labels have shape {array.shape}: give one row a spectrum and {len(contract.labels)} columns "
            f"({', '.join(contract.label_names)}), or give labels by name"
        )
    return list(zip(contract.label_names, array.T, strict=True))


def broadcast(contract: Contract, columns: Columns) -> tuple[NDArray[Any], tuple[int, ...]]:
    """Labels (n, labels) in the contract's order, and the shape that all of them have in common.

    Raises
    ------
    InputError
        If a label is missing, unknown or given twice, has a unit that can't be converted to its own, or the shapes do
        not fit.
    """
    check_names(contract, [name for name, _ in columns])
    given = dict(columns)
    values = [in_unit(label, given[label.name]) for label in contract.labels]
    try:
        shape = np.broadcast_shapes(*(value.shape for value in values))
    except ValueError as error:
        shapes = ", ".join(f"{name} {value.shape}" for name, value in zip(contract.label_names, values, strict=True))
        raise InputError(f"labels have shapes that can't be broadcast: {shapes}") from error
    # The array holds objects if one value is not a number: in an array of text, all of them would look wrong.
    kind = np.float64 if all(value.dtype.kind in "fiu" for value in values) else object
    spread = [np.broadcast_to(value.astype(kind), shape).ravel() for value in values]
    return np.stack(spread, axis=1), shape


def in_unit(label: Label, value: Any) -> NDArray[Any]:
    """Convert a value or column to a plain array in a label's unit; missing entries become NaN.

    Raises
    ------
    InputError
        If it is not an array, or has a unit that can't be converted.
    """
    scale = 1.0
    if getattr(value, "unit", None) is not None:
        value, scale = getattr(value, "value", value), _scale(label, value.unit)
    values = unmasked(value, f"label {label.name}")
    return values if scale == 1.0 else values * scale


def _scale(label: Label, unit: Any) -> float:
    """Factor for values in an astropy unit; logarithms are kept as they are, whatever their argument."""
    from astropy.units import Unit, UnitConversionError

    if label.unit == "dex":
        if str(unit) in LOGARITHMIC:
            return 1.0
    else:
        try:
            return float(unit.to(Unit(label.unit)))
        except UnitConversionError:
            pass
    raise InputError(f"label {label.name} has unit {unit}: give it in {label.unit or 'plain numbers, without a unit'}")
