"""Plain text of two or three columns: wavelength, flux and its error, with or without a line of names."""

import gzip
from itertools import islice
from pathlib import Path

import numpy as np

from stellar_emulator.errors import InputError
from stellar_emulator.observed.columns import FLUX, WAVELENGTH
from stellar_emulator.observed.raw import RawTable, Told

COMMENTS = "#;!%"

MOST_COLUMNS = 3

NO_ERROR = 0.5
"""Of the flux: a third column of larger numbers holds no flux errors, but such as fluxes in another unit."""


def has_header(path: Path) -> bool:
    """Whether the first line that is no comment holds a word that is no number."""
    return not _numbers_of(next(iter(_lines(path, 1)), ""))


def read_plain(path: Path) -> list[RawTable]:
    """The one spectrum.

    Raises
    ------
    InputError
        If lines differ in length, hold no numbers, or columns can't be told apart.
    """
    lines = _lines(path, None)
    names = [word.strip('"').lower() for word in _words(lines[0])] if lines and not _numbers_of(lines[0]) else []
    rows = [_numbers_of(line) for line in (lines[1:] if names else lines)]
    count = len(rows[0]) if rows else 0
    if rows and not count:
        raise InputError(f"{path} begins with no numbers, nor with names of columns: it is no spectrum")
    for number, row in enumerate(rows):
        if not row or len(row) != count:
            raise InputError(f"{path}: row {number + 1} of {len(rows)} holds {len(row)} numbers, the first {count}")
    if not rows:
        raise InputError(f"{path} has no rows of numbers")
    values = np.array(rows).T
    if names and len(names) == count:
        return [RawTable(str(path), dict(zip(names, values, strict=True)), {}, {}, Told(form="text"))]
    if not 2 <= count <= MOST_COLUMNS:
        raise InputError(
            f"{path} has {count} columns without names: two or three are read, wavelength, flux and its error: "
            f"begin it with a line of names such as {WAVELENGTH[0]} {FLUX[0]}"
        )
    columns = dict(zip(("wavelength", "flux", "flux_error"), values, strict=False))
    if count == MOST_COLUMNS:
        _require_errors(path, values[1], values[2])
    return [RawTable(str(path), columns, {}, {}, Told(form="text without names"))]


def _require_errors(path: Path, flux: np.ndarray, third: np.ndarray) -> None:
    there = np.isfinite(flux) & np.isfinite(third)
    if (
        not there.any()
        or (third[there] < 0).any()
        or np.median(third[there]) > NO_ERROR * np.median(np.abs(flux[there]))
    ):
        raise InputError(
            f"{path}: its third column has no name and holds no flux errors (median {np.nanmedian(third):.3g} beside a "
            f"flux of {np.nanmedian(flux):.3g}): begin it with a line of names"
        )


def _lines(path: Path, most: int | None) -> list[str]:
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig", errors="replace") as file:
        lines = (line.strip() for line in file)
        return list(islice((line for line in lines if line and line[0] not in COMMENTS), most))


def _words(line: str) -> list[str]:
    return line.replace(",", " ").replace(";", " ").split()


def _numbers_of(line: str) -> list[float]:
    """The numbers of a line, none if it holds anything else."""
    try:
        return [float(word) for word in _words(line)]
    except ValueError:
        return []
