"""Reads a chunk of a survey: its spectra, or why there is none, beside what is passed through of each."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stellar_emulator.contract.axis import WavelengthAxis
from stellar_emulator.errors import InputError
from stellar_emulator.observed.gaia_archive import SOURCE
from stellar_emulator.observed.interpret import Stated
from stellar_emulator.observed.orders import spectra_in
from stellar_emulator.observed.raw import RawTable
from stellar_emulator.observed.readers.formats import Choice, read_tables
from stellar_emulator.observed.readers.parquet_rows import read_rows
from stellar_emulator.observed.spectrum import ObservedSpectrum
from stellar_emulator.survey.chunks import Chunk

if TYPE_CHECKING:
    import pyarrow as pa

FILE = "file"
"""Column with the name of the file that a spectrum is from, where files hold one or some each."""

EXPOSURE = "file_exposure"
"""Column with what a file calls an exposure, where all spectra of a file are one star's."""

DESIGNATION = re.compile(r"Gaia[ _]?E?DR\d[ _](\d{4,19})(?!\d)", re.IGNORECASE)
"""How the archive names sources, also in the names of its files."""

LARGEST = 2**63 - 1

Observed = ObservedSpectrum | InputError


@dataclass(frozen=True)
class Part:
    """Spectra, or why they can't be used, and as many rows of columns that are passed through."""

    seen: list[Observed]
    passed: "pa.Table"


def together(parts: Iterable[Part], most: int) -> Iterator[Part]:
    """The same spectra in parts of ``most`` at least, but for the last; rows of one source stay in one part."""
    import pyarrow as pa

    waiting: list[Part] = []

    def whole() -> Part:
        seen = [one for part in waiting for one in part.seen]
        return Part(seen, pa.concat_tables([part.passed for part in waiting], promote_options="permissive"))

    for part in parts:
        for first, stop in _pieces(part, most):
            waiting.append(Part(part.seen[first:stop], part.passed.slice(first, stop - first)))
            if sum(len(one.seen) for one in waiting) >= most:
                yield whole()
                waiting.clear()
    if waiting:
        yield whole()


def _pieces(part: Part, most: int) -> Iterator[tuple[int, int]]:
    """First rows of pieces and those after the last: ``most`` rows each, and on to where the next source begins."""
    names = part.passed.column_names
    key = FILE if EXPOSURE in names else SOURCE
    ids = part.passed.column(key).to_pylist() if key in names else []
    first = 0
    while first < len(part.seen):
        stop = min(first + most, len(part.seen))
        while ids and stop < len(ids) and ids[stop] is not None and ids[stop] == ids[stop - 1]:
            stop += 1
        yield first, stop
        first = stop


def read_chunk(
    chunk: Chunk, axis: WavelengthAxis, stated: Stated, choice: Choice, by_file: bool = False
) -> Iterator[Part]:
    """The spectra of a chunk, in order; what can't be read comes as the error that says why. by_file: all spectra of a
    file are exposures of one star."""
    if chunk.stop:
        yield _rows(chunk, axis, stated)
        return
    for path in chunk.paths:
        try:
            tables = read_tables(Path(path), choice)
        except InputError as error:
            yield _unreadable(error, path)
            continue
        if by_file:
            yield _exposures(tables, axis, stated, path)
            continue
        whole = [table for table in tables if not table.order]
        for table in whole:
            yield _of_tables([table], axis, stated, path)
        if len(whole) < len(tables):
            yield _of_tables([table for table in tables if table.order], axis, stated, path)


def _rows(chunk: Chunk, axis: WavelengthAxis, stated: Stated) -> Part:
    import pyarrow as pa

    count = chunk.stop - chunk.first
    try:
        raw, passed = read_rows(Path(chunk.paths[0]), chunk.first, chunk.stop)
    except InputError as error:
        return Part([error] * count, pa.table({SOURCE: pa.nulls(count, pa.int64())}))
    try:
        seen = list(spectra_in([raw], axis, stated))
    except InputError as error:
        seen = [error] * count
    return Part(seen, passed)


def _unreadable(error: InputError, path: str) -> Part:
    import pyarrow as pa

    return Part([error], pa.table({FILE: [path], SOURCE: pa.array([identifier(path)], pa.int64())}))


def _of_tables(tables: list[RawTable], axis: WavelengthAxis, stated: Stated, path: str) -> Part:
    """Spectra of one table, or of the tables that are orders of one."""
    import pyarrow as pa

    try:
        seen = list(spectra_in(tables, axis, stated))
    except InputError as error:
        return _unreadable(error, path)
    columns: dict[str, Any] = {FILE: pa.array([path] * len(seen), pa.string())}
    own = tables[0].columns
    if all(len(column) == len(seen) for column in own.values()):
        columns |= {name: _arrow(column) for name, column in own.items() if name != FILE and not _arrays(column)}
    if not any(name.lower() == SOURCE for name in columns):
        stated_name = tables[0].stated(SOURCE, "object") or ""
        names = ["" if isinstance(one, InputError) else one.name for one in seen]
        columns[SOURCE] = pa.array([identifier(name, stated_name, path) for name in names], pa.int64())
    return Part(seen, pa.table(columns))


def _exposures(tables: list[RawTable], axis: WavelengthAxis, stated: Stated, path: str) -> Part:
    """All spectra of a file, as exposures of one star."""
    import pyarrow as pa

    try:
        seen = list(spectra_in(tables, axis, stated))
    except InputError as error:
        seen = [error]
    own = identifier(*(tables[0].stated(SOURCE, "object") or "",), path)
    names = ["" if isinstance(one, InputError) else one.exposure or one.name for one in seen]
    columns = {FILE: [path] * len(seen), SOURCE: pa.array([own] * len(seen), pa.int64()), EXPOSURE: names}
    return Part(seen, pa.table(columns))


def _arrays(column: np.ndarray[Any, Any]) -> bool:
    """Whether each row is an array, as numbers or as their text."""
    if column.ndim > 1 or not len(column):
        return True
    first = column[0]
    return isinstance(first, np.ndarray | list | tuple) or (isinstance(first, str) and first.lstrip()[:1] in "[({")


def _arrow(column: np.ndarray[Any, Any]) -> "pa.Array":
    """A column of one value a row; whole numbers stay so, and what is of no plain kind becomes text."""
    import pyarrow as pa

    if column.dtype.kind in "biuf":
        return pa.array(column.astype(column.dtype.newbyteorder("=")))
    if column.dtype.kind == "S":
        column = np.char.decode(column, "utf-8", "replace")
    return pa.array([str(value) for value in column.tolist()], pa.string())


def identifier(*texts: str) -> int | None:
    """The number that the first of some texts is, or that the archive's designation in it names; None if none does."""
    for text in texts:
        found = DESIGNATION.search(text)
        digits = found[1] if found else text.strip()
        if digits.isdecimal() and digits.isascii() and int(digits) <= LARGEST:
            return int(digits)
    return None
