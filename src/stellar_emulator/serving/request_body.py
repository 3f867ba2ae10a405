"""Reads the body of a request, in any of MLflow's forms, and checks it without coercing or dropping anything."""

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.checks import check_names
from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import InputError

MAXIMUM_BYTES = 64 * 2**20
"""Largest size of a request's body."""

MAXIMUM_ROWS = 2048
"""Largest number of spectra in one request, which bounds an answer's memory and the time that others wait."""

JSON = "application/json"
CSV = "text/csv"

_PARAMS = "params"
_LABEL_FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_FLUX_FORMS = ("inputs", "instances")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)

Cells = NDArray[np.object_]
"""A table whose cells are as the request gave them, so that the checks see a string, a truth value or null."""


class RequestError(InputError):
    """A request that is refused with another HTTP status than 400."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class LabelRequest:
    """Labels (n, labels) still unchecked, their column names, and params."""

    names: list[str]
    labels: Cells
    params: Mapping[str, Any]


@dataclass(frozen=True)
class FluxRequest:
    """Flux (n, pixels) still unchecked, and params."""

    flux: Cells
    params: Mapping[str, Any]


def read_labels(contract: Contract, body: bytes, content_type: str) -> LabelRequest:
    """Read a request to an emulator: JSON in any of MLflow's four forms, or CSV with a header.

    Raises
    ------
    RequestError
        If the content type is another one (415), or there are more than `MAXIMUM_ROWS` rows (413).
    InputError
        If the body is broken, or holds anything but one table of the contract's labels and params.
    """
    if _media_type(content_type, (JSON, CSV)) == CSV:
        header, *rows = _csv_rows(body)
        return LabelRequest(header, _cells(rows, len(header)), {})
    form, content, params = _json_form(body, _LABEL_FORMS)
    if form == "dataframe_split":
        names, rows = _split(content)
    elif form == "inputs":
        names, rows = _columns(content)
    else:
        names, rows = _records(contract, form, content)
    return LabelRequest(names, _cells(rows, len(names)), params)


def read_flux(body: bytes, content_type: str) -> FluxRequest:
    """Read a request to a validator: JSON, one list of flux values a spectrum. Raises as `read_labels`."""
    _media_type(content_type, (JSON,))
    form, content, params = _json_form(body, _FLUX_FORMS)
    rows = _list_of(content, list, form, "one list of flux values a spectrum")
    _check_count(rows)
    return FluxRequest(_cells(rows, len(rows[0])), params)


def _media_type(content_type: str, accepted: Sequence[str]) -> str:
    media_type, *parameters = (part.strip().lower() for part in content_type.split(";"))
    if media_type not in accepted:
        raise RequestError(415, f"content type {media_type[:60]!r} is not read here: send {' or '.join(accepted)}")
    for parameter in parameters:
        if parameter.replace('"', "") not in ("charset=utf-8", ""):
            raise RequestError(415, f"content type parameter {parameter[:60]!r} is not known here: send UTF-8")
    return media_type


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"the body is no UTF-8 text (byte {error.start}): send UTF-8, not compressed") from error


def _json_form(body: bytes, forms: Sequence[str]) -> tuple[str, Any, Mapping[str, Any]]:
    """The one form that a JSON body uses, its content, and the params."""
    try:
        content = json.loads(_text(body), object_pairs_hook=_unique)
    except RecursionError as error:
        raise InputError("the body is JSON nested far too deeply: send one table") from error
    except ValueError as error:
        raise InputError(f"the body is no valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"the body is a JSON {_kind(content)}: send an object with one of {', '.join(forms)}")
    params = content.pop(_PARAMS, {})
    if not isinstance(params, dict):
        raise InputError(f"params is a JSON {_kind(params)}: send an object, a value for each param's name")
    found = list(content)
    if len(found) != 1 or found[0] not in forms:
        shown = ", ".join(found)[:200] or "none"
        raise InputError(f"the body has the field(s) {shown}: send one of {', '.join(forms)}, and params or not")
    return found[0], content[found[0]], params


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"field {twice[:60]} is given twice in one JSON object: give it once")
    return content


def _split(content: Any) -> tuple[list[str], list[Any]]:
    form = "dataframe_split"
    if not isinstance(content, dict) or not {"columns", "data"} <= content.keys() <= {"columns", "data", "index"}:
        raise InputError(f"{form} must be an object of columns (label names) and data (one list a spectrum)")
    names = _list_of(content["columns"], str, f"{form}.columns", "label names")
    rows = _list_of(content["data"], list, f"{form}.data", "one list of label values a spectrum")
    return names, rows


def _columns(content: Any) -> tuple[list[str], list[Any]]:
    """From ``{"teff": [5777.0, ...], ...}``."""
    if not isinstance(content, dict):
        raise InputError(f"inputs is a JSON {_kind(content)}: send an object, one list of values for each label")
    for name, column in content.items():
        if not isinstance(column, list):
            raise InputError(f"inputs.{name[:60]} is a JSON {_kind(column)}: send a list, one value a spectrum")
    if len({len(column) for column in content.values()}) > 1:
        raise InputError("inputs holds lists of different lengths: give every label one value a spectrum")
    return list(content), list(map(list, zip(*content.values(), strict=True)))


def _records(contract: Contract, form: str, content: Any) -> tuple[list[str], list[Any]]:
    """From ``[{"teff": 5777.0, ...}, ...]``."""
    records = _list_of(content, dict, form, "one object a spectrum, a value for each label")
    names = contract.label_names
    for row, record in enumerate(records):
        if record.keys() != set(names):
            try:
                check_names(contract, list(record))
            except InputError as error:
                raise InputError(f"row {row}: {error}") from error
    return names, [[record[name] for name in names] for record in records]


def _csv_rows(body: bytes) -> list[list[Any]]:
    """Header and rows; a cell that reads as a number is one, any other stays text, for the checks to name."""
    try:
        header, *rows = [row for row in csv.reader(io.StringIO(_text(body), newline=""), strict=True) if row]
    except (csv.Error, ValueError) as error:
        raise InputError(f"the body is no CSV table with a header: {error}") from error
    return [header, *([float(cell) if _NUMBER.fullmatch(cell) else cell for cell in row] for row in rows)]


def _cells(rows: Sequence[Sequence[Any]], columns: int) -> Cells:
    """Rows of equal length as one array of the very objects, shape (n, columns)."""
    _check_count(rows)
    for row, cells in enumerate(rows):
        if len(cells) != columns:
            raise InputError(f"row {row} has {len(cells)} values, not {columns}: give rows of equal length")
    flat: Iterable[Any] = (cell for cells in rows for cell in cells)
    return np.fromiter(flat, dtype=object, count=len(rows) * columns).reshape(len(rows), columns)


def _check_count(rows: Sequence[Any]) -> None:
    if not rows:
        raise InputError("the table has no rows: give one row a spectrum")
    if len(rows) > MAXIMUM_ROWS:
        raise RequestError(
            413,
            f"{len(rows)} rows are too many for one request: send up to {MAXIMUM_ROWS} at a time, or give the whole "
            "table to `stellar-emulator generate`",
        )


def _list_of(content: Any, kind: type, field: str, what: str) -> list[Any]:
    if not isinstance(content, list):
        raise InputError(f"{field} is a JSON {_kind(content)}: send a list, {what}")
    for index, item in enumerate(content):
        if not isinstance(item, kind):
            raise InputError(f"{field}[{index}] is a JSON {_kind(item)}: send {what}")
    return content


def _kind(value: Any) -> str:
    """What JSON calls a value."""
    if value is None:
        return "null"
    names: dict[type, str] = {bool: "truth value", int: "number", float: "number", str: "string", list: "list"}
    return names.get(type(value), "object")
