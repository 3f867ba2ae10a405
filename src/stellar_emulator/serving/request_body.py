"""Reads the body of a request, in any of MLflow's forms, and checks it without coercing or dropping anything."""

import csv
import io
import json
import re
import reprlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.checks import check_names, is_number
from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import InputError
from stellar_emulator.serving.refusals import RequestError

MAXIMUM_BYTES = 64 * 2**20
"""Of any request's body."""

CELL_BYTES = 128
"""Of one value of a label in a request, with what stands around it but for the label's name."""

OTHER_BYTES = 64 * 2**10
"""Of all else in a request."""

PARSED_AT_ONCE = 2**20
"""Bytes of flux beyond which rows are read one by one: as Python objects a body takes 30 times its size."""

MAXIMUM_DEPTH = 32
"""Of lists and objects in each other; a request has four."""

MAXIMUM_ROWS = 2048
"""Largest number of spectra in one request, which bounds an answer's memory and the time that others wait."""

MAXIMUM_BRACKETS = 8 * MAXIMUM_ROWS
"""Of JSON; each row has two, or four where a value is wrong."""

JSON = "application/json"
CSV = "text/csv"

_PARAMS = "params"
_LABEL_FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
FLUX_FORMS = ("inputs", "instances")
"""Of a request to a validator."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)

Cells = NDArray[np.object_]
"""A table whose cells are as the request gave them, so that the checks see a string, a truth value or null."""


@dataclass(frozen=True)
class LabelRequest:
    """Labels (n, labels) still unchecked, their column names, and params."""

    names: list[str]
    labels: Cells
    params: Mapping[str, Any]

    @property
    def rows(self) -> Cells:
        return self.labels


@dataclass(frozen=True)
class FluxRequest:
    """Flux (n, pixels) still unchecked, and params."""

    flux: Cells | NDArray[np.float64]
    params: Mapping[str, Any]

    @property
    def rows(self) -> Cells | NDArray[np.float64]:
        return self.flux


def label_bytes(contract: Contract) -> int:
    """The most bytes that a request for spectra may have: those of `MAXIMUM_ROWS` rows in any form, well spaced."""
    row = sum(len(name) + CELL_BYTES for name in contract.label_names)
    return min(MAXIMUM_BYTES, MAXIMUM_ROWS * row + OTHER_BYTES)


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
    form, content, params = json_form(body, _LABEL_FORMS)
    if form == "dataframe_split":
        names, rows = _split(content)
    elif form == "inputs":
        names, rows = _columns(content)
    else:
        names, rows = _records(contract, form, content)
    return LabelRequest(names, _cells(rows, len(names)), params)


def read_flux(contract: Contract, body: bytes, content_type: str) -> FluxRequest:
    """Read a request to a validator: JSON, one list of flux values a spectrum. Raises as `read_labels`."""
    _media_type(content_type, (JSON,))
    if len(body) > PARSED_AT_ONCE:
        return FluxRequest(*read_large_flux(contract, body))
    form, content, params = json_form(body, FLUX_FORMS)
    rows = _list_of(content, list, form, "one list of flux values a spectrum")
    _check_count(rows)
    return FluxRequest(_cells(rows, len(rows[0])), params)


def read_large_flux(contract: Contract, body: bytes) -> tuple[NDArray[np.float64], Mapping[str, Any]]:
    """Flux (n, pixels) and params of a long body, one row at a time: no more is parsed than a row may have."""
    begun = _FLUX_BEGINS.search(body, 0, OTHER_BYTES)
    if begun is None:
        raise RequestError(
            413,
            f"the body exceeds {PARSED_AT_ONCE // 2**20} MiB and does not begin with spectra: send "
            f"{' or '.join(FLUX_FORMS)} first, or fewer spectra",
        )
    pixels, longest = contract.wavelength.count, contract.wavelength.count * CELL_BYTES + OTHER_BYTES
    rows: list[NDArray[np.float64]] = []
    place = begun.end()
    while True:
        end = body.find(b"]", place, place + longest)
        if end < 0:
            raise InputError(f"row {len(rows)} has no end within {longest} bytes: give {pixels} values a spectrum")
        rows.append(_flux_row(body[place : end + 1], len(rows), pixels))
        _check_count(rows)
        between = _ROW_ENDS.match(body, end + 1)
        if between is None:
            raise InputError(f"the body is no valid JSON: neither a comma nor a bracket follows on row {len(rows) - 1}")
        place = between.end()
        if between[1] == b"]":
            break
    if len(body) - place > OTHER_BYTES:
        raise RequestError(413, f"{len(body) - place} bytes follow on the spectra: send params alone beside them")
    rest = body[: begun.start(2)] + b"[]" + body[place:]
    form, content, params = json_form(rest, FLUX_FORMS)
    if form != begun[1].decode() or content != []:
        raise InputError(
            f"the body has spectra in another place than the field {form}: send one of "
            f"{', '.join(FLUX_FORMS)}, and params or not"
        )
    return np.stack(rows), params


_FLUX_BEGINS = re.compile(rb'"(inputs|instances)"\s*:\s*(\[)\s*(?=\[)')
_ROW_ENDS = re.compile(rb"\s{0,64}(,|\])\s{0,64}")


def _flux_row(text: bytes, row: int, pixels: int) -> NDArray[np.float64]:
    try:
        values = json.loads(_text(text))
    except (ValueError, RecursionError) as error:
        raise InputError(f"row {row} is no JSON list of numbers: {error!s:.80}") from error
    if not isinstance(values, list):
        raise InputError(f"row {row} is a JSON {_kind(values)}: send one list of flux values a spectrum")
    if len(values) != pixels:
        raise InputError(f"row {row} has {len(values)} values, not {pixels}: give one a pixel")
    for pixel, value in enumerate(values):
        if type(value) is not float and not is_number(value):
            raise InputError(
                f"flux = {reprlib.repr(value)} in row {row}, pixel {pixel} is no number: give a normalised flux"
            )
    return np.array(values, dtype=np.float64)


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


def json_form(body: bytes, forms: Sequence[str]) -> tuple[str, Any, Mapping[str, Any]]:
    """The one form that a JSON body uses, its content, and the params."""
    _check_depth(body)
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


_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def _check_depth(body: bytes) -> None:
    """Refuse a body of too many lists or too deep ones before it is parsed; brackets in strings count as well."""
    brackets, depth = body.translate(None, _NO_BRACKETS), 0
    for bracket in brackets[:MAXIMUM_BRACKETS]:
        depth += 1 if bracket in b"[{" else -1
        if depth > MAXIMUM_DEPTH:
            raise InputError(f"the body is JSON nested far too deeply, beyond {MAXIMUM_DEPTH}: send one table")
    if len(brackets) > MAXIMUM_BRACKETS:
        raise RequestError(413, f"the body holds {len(brackets)} brackets: send up to {MAXIMUM_ROWS} rows at a time")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise InputError(f"field {twice[:60]} is given twice in one JSON object: give it once")
    return content


def _split(content: Any) -> tuple[list[str], list[Any]]:
    form = "dataframe_split"
    if not isinstance(content, dict) or not {"columns", "data"} <= content.keys() <= {"columns", "data", "index"}:
        raise InputError(f"{form} must be an object of columns (label names) and data (one list a spectrum)")
    names = _list_of(content["columns"], str, f"{form}.columns", "label names")
    rows = _list_of(content["data"], list, f"{form}.data", "one list of label values a spectrum")
    index = content.get("index", rows)
    if not isinstance(index, list) or len(index) != len(rows):
        raise InputError(f"{form}.index is no list of {len(rows)} entries: give one a row of data, or leave it out")
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
        filled = (row for row in csv.reader(io.StringIO(_text(body), newline=""), strict=True) if row)
        header, *rows = islice(filled, MAXIMUM_ROWS + 2)
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
            f"more than {MAXIMUM_ROWS} rows are too many for one request: send up to {MAXIMUM_ROWS} at a time, or give "
            "the whole table to `stellar-emulator generate`",
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
