"""The parts of a survey: rows of Parquet files, or a few of the archive's other files each."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stellar_emulator.errors import InputError
from stellar_emulator.observed.readers.parquet_rows import count_rows

PARQUET = ".parquet"
SUFFIXES = (".csv", ".csv.gz", ".ecsv", ".ecsv.gz", ".vot", ".xml", ".vot.gz", ".fits", ".fits.gz", ".npz", ".txt")
"""Of the files that a folder is searched for, beside Parquet."""

FILES = 64
"""Files of one spectrum each that make a chunk."""


@dataclass(frozen=True)
class Chunk:
    """Rows ``first`` to ``stop - 1`` of a Parquet file, or all spectra of other files, for which both are 0."""

    number: int
    paths: tuple[Path, ...]
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


def dataset_of(places: Sequence[Path], size: int) -> Dataset:
    """The chunks of files and folders, ``size`` rows of a Parquet file each at most.

    Raises
    ------
    InputError
        If a place does not exist or can't be read, or nothing in it can hold spectra.
    """
    files = [path for place in places for path in _files_in(place)]
    if not files:
        raise InputError(f"{', '.join(map(str, places))} holds no file of spectra: give Parquet, or files such as .csv")
    digest = hashlib.sha256()
    chunks: list[Chunk] = []
    for path in files:
        digest.update(f"{path.name} {path.stat().st_size}\n".encode())
    others = [path for path in files if path.suffix != PARQUET]
    for path in files:
        if path.suffix == PARQUET:
            rows = count_rows(path)
            chunks += [
                Chunk(len(chunks) + i, (path,), first, min(first + size, rows))
                for i, first in enumerate(range(0, rows, size))
            ]
    for first in range(0, len(others), FILES):
        chunks.append(Chunk(len(chunks), tuple(others[first : first + FILES])))
    for chunk in chunks:
        digest.update(f"{len(chunk.paths)} {chunk.first} {chunk.stop}\n".encode())
    return Dataset(tuple(chunks), digest.hexdigest())


def _files_in(place: Path) -> Iterator[Path]:
    """A file, or those of a folder and the folders in it, by name; hidden ones are left out."""
    if not place.is_dir():
        if not place.is_file():
            raise InputError(f"{place} is no file and no folder: check its name")
        yield place
        return
    for path in sorted(place.rglob("*")):
        hidden = any(part.startswith((".", "_")) for part in path.relative_to(place).parts)
        if path.is_file() and not hidden and path.name.lower().endswith((PARQUET, *SUFFIXES)):
            yield path
