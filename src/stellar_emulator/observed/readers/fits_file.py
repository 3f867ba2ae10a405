"""A FITS file as readers of surveys see it: HDUs with headers, images and tables, whatever cards can't be parsed."""

import gzip
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.errors import InputError
from stellar_emulator.observed.raw import RawTable
from stellar_emulator.observed.readers.astropy_table import from_astropy

GZIP = b"\x1f\x8b"
PIECE = 2**20
"""Bytes that are unpacked at a time."""


@dataclass(frozen=True)
class Hdu:
    """One HDU. image: its array, None if it has none; table: its columns and their units, None if it is no table."""

    path: Path
    number: int
    name: str
    header: Mapping[str, Any]
    image: NDArray[Any] | None
    table: RawTable | None

    @property
    def part(self) -> dict[str, str]:
        """How a user selects it: by its number or its name."""
        return {"hdu": f"{self.number} {self.name}".strip()}

    @property
    def columns(self) -> set[str]:
        """Names of a table's columns, in small letters; empty for images."""
        return set() if self.table is None else {name.strip().lower() for name in self.table.columns}

    def number_of(self, keyword: str, otherwise: float | None = None) -> float:
        """A card's number.

        Raises
        ------
        InputError
            If it holds something else, or isn't there and there is no number to take otherwise.
        """
        value = self.header.get(keyword, otherwise)
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            raise InputError(f"{self.path}: {keyword} = {value!r:.40} is no number")
        return float(value)


@dataclass(frozen=True)
class FitsFile:
    """All HDUs of a file, and the keywords of cards that break FITS's rules, which nothing here needs."""

    path: Path
    hdus: tuple[Hdu, ...]
    broken: tuple[str, ...]

    @property
    def primary(self) -> Mapping[str, Any]:
        """Cards of the first HDU."""
        return self.hdus[0].header

    def text(self, keyword: str) -> str:
        """A card of the first HDU as text in small letters, empty if it isn't there."""
        return str(self.primary.get(keyword, "")).strip().lower()

    def named(self, name: str) -> Hdu | None:
        """The HDU of a name, whatever its case."""
        return next((hdu for hdu in self.hdus if hdu.name.lower() == name.lower()), None)

    @cached_property
    def images(self) -> list[Hdu]:
        """HDUs that hold images."""
        return [hdu for hdu in self.hdus if hdu.image is not None]

    @property
    def notes(self) -> tuple[str, ...]:
        """For the user: what of the header couldn't be read."""
        if not self.broken:
            return ()
        return (f"the header's cards {', '.join(self.broken[:6])} can't be parsed; they are not needed",)

    def image(self, number: int, what: str) -> NDArray[np.float64]:
        """An HDU's image as numbers.

        Raises
        ------
        InputError
            If there is none; ``what`` it was to be.
        """
        hdu = self.hdus[number] if number < len(self.hdus) else None
        if hdu is None or hdu.image is None:
            raise InputError(f"{self.path} has no image of {what} in HDU {number}: the file is damaged or cut short")
        return np.asarray(hdu.image, dtype=np.float64)


def open_fits(path: Path) -> FitsFile:
    """Read a FITS file into memory. Errors of astropy pass through.

    Raises
    ------
    InputError
        If the file is cut short.
    """
    import warnings

    from astropy.io import fits
    from astropy.table import Table

    _require_whole(path)
    broken: list[str] = []
    hdus: list[Hdu] = []
    # astropy leaves a file open that it refuses.
    with (
        path.open("rb") as file,
        warnings.catch_warnings(record=True) as told,
        fits.open(file, memmap=False) as content,
    ):
        warnings.simplefilter("always")
        first: dict[str, Any] = {}
        for number, hdu in enumerate(content):
            own = _cards(hdu.header, broken)
            first = first if number else own
            table = image = None
            if isinstance(hdu, fits.BinTableHDU | fits.TableHDU):
                if len(hdu.columns):
                    name = str(path) if number <= 1 else f"{path}[{number}]"
                    table = from_astropy(name, Table.read(hdu), {**first, **own})
            elif hdu.data is not None and hdu.data.dtype.kind in "fiu":
                image = np.asarray(hdu.data)
            hdus.append(Hdu(path, number, str(own.get("EXTNAME", "")).strip(), own, image, table))
    if any("truncated" in str(one.message) for one in told):
        raise InputError(f"{path} is cut short: its last HDU is not complete: fetch it again")
    return FitsFile(path, tuple(hdus), tuple(dict.fromkeys(broken)))


def _require_whole(path: Path) -> None:
    """Return if a gzipped file unpacks to its end: astropy reads the HDUs before that, and says nothing.

    Raises
    ------
    InputError
        If it doesn't.
    """
    with path.open("rb") as file:
        if file.read(2) != GZIP:
            return
    try:
        with gzip.open(path, "rb") as unpacked:
            while unpacked.read(PIECE):
                pass
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is cut short or damaged: it can't be unpacked to its end: fetch it again") from error


def _cards(header: Any, broken: list[str]) -> dict[str, Any]:
    """Cards by keyword; keywords of those that can't be parsed are added to ``broken``."""
    from astropy.io.fits import VerifyError

    found: dict[str, Any] = {}
    for card in header.cards:
        try:
            found[card.keyword] = card.value
        except (VerifyError, ValueError):
            broken.append(card.keyword)
    return found
