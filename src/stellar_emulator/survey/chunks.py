"""The parts of a survey: rows of Parquet files, or a few of the archive's other files each."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.errors import InputError
from stellar_emulator.observed.readers.parquet_rows import layout_of

PARQUET = ".parquet"
SUFFIXES = (".csv", ".csv.gz", ".ecsv", ".ecsv.gz", ".vot", ".xml", ".vot.gz", ".fits", ".fits.gz", ".npz", ".txt")
"""Of the files that a folder is searched for, beside Parquet."""

FILES, BYTES = 64, 16 * 2**20
"""Files that make a chunk at most, and their size in all; a larger file is a chunk of its own."""

EPOCHS = 8
"""Spectra of stars with several epochs that count as one of a chunk's: they are shorter, and fitted together."""


@dataclass(frozen=True)
class Chunk:
    """Rows ``first`` to ``stop - 1`` of a Parquet file, or all spectra of other files, for which both are 0.

    paths: as texts, of which millions take less memory.
    """

    number: int
    paths: tuple[str, ...]
    first: int = 0
    stop: int = 0

    @property
    def name(self) -> str:
        """Of the file that holds its rows."""
        return f"part-{self.number:06d}.parquet"

    @property
    def size(self) -> int:
        """Rows, or files."""
        return self.stop - self.first if self.stop else len(self.paths)


@dataclass(frozen=True)
class Dataset:
    """The chunks of a survey in order; digest: of its files' names and sizes, and of each chunk's beginning and end."""

    chunks: tuple[Chunk, ...]
    digest: str

    @property
    def unit(self) -> str:
        """Of the chunks' sizes: files where any holds its spectra in files."""
        return " spectra" if all(chunk.stop for chunk in self.chunks) else " files"


@dataclass(frozen=True)
class _File:
    path: str
    size: int


def dataset_of(places: Sequence[Path], size: int, together: bool = True) -> Dataset:
    """The chunks of files and folders, ``size`` rows of a Parquet file each at most.

    together: a star's epochs, which must follow each other, are one fit and not divided.

    Raises
    ------
    InputError
        If a place does not exist, nothing in it can hold spectra, or epochs of one star stand apart.
    """
    files = [file for place in places for file in _files_in(place)]
    if not files:
        raise InputError(f"{', '.join(map(str, places))} holds no file of spectra: give Parquet, or files such as .csv")
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{Path(file.path).name} {file.size}\n".encode())
    chunks: list[Chunk] = []
    others, sources = [], []
    for file in files:
        layout = layout_of(file.path) if file.path.lower().endswith(PARQUET) else None
        if layout is None:
            others.append(file)
            continue
        starts = layout.starts if together else None
        sources.append(layout.sources if together else layout.sources[:0])
        for first, stop in _parts(layout.rows, starts, size):
            chunks.append(Chunk(len(chunks), (file.path,), first, stop))
    _require_together(np.concatenate(sources) if sources else np.empty(0, np.int64))
    for part in _few(others):
        chunks.append(Chunk(len(chunks), tuple(part)))
    for chunk in chunks:
        digest.update(f"{len(chunk.paths)} {chunk.first} {chunk.stop}\n".encode())
    return Dataset(tuple(chunks), digest.hexdigest())


def _parts(rows: int, starts: NDArray[np.int64] | None, size: int) -> Iterator[tuple[int, int]]:
    """First rows and those after the last of parts; ``starts``: first rows of stars that are not to be divided."""
    if starts is None:
        borders = [*range(0, rows, size), rows]
    else:
        wanted = np.arange(0, rows, size * EPOCHS)
        own = starts[np.searchsorted(starts, wanted, side="right") - 1]
        borders = [*dict.fromkeys(own.tolist()), rows]
    yield from ((first, stop) for first, stop in pairwise(borders) if stop > first)


def _require_together(sources: NDArray[np.int64]) -> None:
    """Refuse sources, one for each run of rows with epochs of one star, of which one stands twice."""
    found, counts = np.unique(sources, return_counts=True)
    if (counts > 1).any():
        raise InputError(
            f"epochs of source {found[counts > 1][0]} stand in {counts.max()} places, but are one fit: sort the rows "
            "by source_id, with all of a star's in one file, or let --epochs apart fit each alone"
        )


def _few(files: Sequence[_File]) -> Iterator[list[str]]:
    part: list[str] = []
    held = 0
    for file in files:
        if part and (len(part) == FILES or held + file.size > BYTES):
            yield part
            part, held = [], 0
        part.append(file.path)
        held += file.size
    if part:
        yield part


def _files_in(place: Path) -> Iterator[_File]:
    """A file, or those of a folder and the folders in it, by name; hidden ones are left out."""
    if not place.is_dir():
        if not place.is_file():
            raise InputError(f"{place} is no file and no folder: check its name")
        yield _File(str(place), place.stat().st_size)
        return
    with os.scandir(place) as found:
        entries = sorted((entry for entry in found if not entry.name.startswith((".", "_"))), key=lambda one: one.name)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _files_in(Path(entry.path))
        elif entry.is_file() and entry.name.lower().endswith((PARQUET, *SUFFIXES)):
            yield _File(entry.path, entry.stat().st_size)
