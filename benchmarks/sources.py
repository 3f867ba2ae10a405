"""Reads real spectra of many sources and prints what was read of each, or why it was refused.

``python -m benchmarks.sources FOLDER [FOLDER ...]``: folders of files as their sources give them; none comes with
the project. The axis is as wide as all of them, so that nothing is refused for lying elsewhere.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.machine import table
from stellar_emulator.contract.axis import SPEED_OF_LIGHT, WavelengthAxis
from stellar_emulator.contract.medium import converted
from stellar_emulator.errors import InputError
from stellar_emulator.observed.interpret import Stated
from stellar_emulator.observed.orders import spectra_in
from stellar_emulator.observed.raw import RawTable
from stellar_emulator.observed.readers.formats import read_tables
from stellar_emulator.observed.spectrum import ObservedSpectrum

AXIS = WavelengthAxis(start=3000.0, step=0.1, count=180_000, unit="Angstrom", medium="air")

COLUMNS = ("files", "read as", "range (Angstrom)", "pixels, left out", "S/N", "Ca II 8542 (km/s)", "asked")

CALCIUM = 8542.09
"""Angstrom in air; where it is seen proves axis and medium."""

NEAR = 8.0
"""Angstrom around it."""


@dataclass(frozen=True)
class Read:
    """What one file gave, in words, without its name."""

    folder: str
    reading: str
    span: str
    pixels: str
    signal: float
    velocity: float
    asked: str


def main() -> None:
    """Print one row for all files of a folder that were read alike."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--each", action="store_true", help="a row a file")
    options = parser.parse_args()
    rows: dict[tuple[str, ...], list[tuple[str, Read]]] = {}
    for folder in options.folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                for read in _read(folder, path):
                    key = (str(path),) if options.each else (read.folder, _without_numbers(read.reading), read.asked)
                    rows.setdefault(key, []).append((path.name, read))
    print(table("What was read", [_row(found) for found in rows.values()], COLUMNS))


def _read(folder: Path, path: Path) -> Iterator[Read]:
    where = str(path.parent.relative_to(folder)) if path.parent != folder else folder.name
    try:
        tables = read_tables(path)
    except InputError as error:
        yield Read(where, "refused: " + _reason(error, path), "", "", np.nan, np.nan, "")
        return
    yield from (_spectrum(found, where, path, tables) for found in _spectra(tables, Stated(), path, where))


def _spectra(tables: list[RawTable], stated: Stated, path: Path, where: str) -> Iterator[ObservedSpectrum | InputError]:
    try:
        yield from spectra_in(tables, AXIS, stated)
    except InputError as error:
        yield error


def _spectrum(found: ObservedSpectrum | InputError, where: str, path: Path, tables: list[RawTable]) -> Read:
    asked = ""
    if isinstance(found, InputError) and "state --medium" in str(found):
        asked = "for the medium (air stated)"
        found = next(_spectra(tables, Stated(medium="air"), path, where))
    if isinstance(found, InputError):
        return Read(where, "refused: " + _reason(found, path), "", "", np.nan, np.nan, asked)
    usable = found.usable
    span = f"{found.wavelength[0]:.1f}-{found.wavelength[-1]:.1f}"
    signal = float(np.median(np.abs(found.flux[usable]) / found.error[usable]))
    return Read(where, found.reading, span, f"{len(usable)}, {(~usable).sum()}", signal, _velocity(found), asked)


def _velocity(spectrum: ObservedSpectrum) -> float:
    """Of the lowest pixel near Ca II 8542, NaN where there is none."""
    air = converted(spectrum.wavelength, spectrum.medium, "air")
    near = spectrum.usable & (np.abs(air - CALCIUM) < NEAR)
    if near.sum() < 5:
        return float("nan")
    return float((air[near][np.argmin(spectrum.flux[near])] / CALCIUM - 1.0) * SPEED_OF_LIGHT)


def _reason(error: InputError, path: Path) -> str:
    return str(error).replace(str(path), path.name if len(path.name) < 40 else f"{path.name[:37]}...")


def _without_numbers(text: str) -> str:
    return "".join("#" if letter.isdigit() else letter for letter in text).replace("##", "#").replace("##", "#")


def _row(found: list[tuple[str, Read]]) -> tuple[str, ...]:
    first = found[0][1]
    signal, velocity = (
        _range(values) for values in zip(*((read.signal, read.velocity) for _, read in found), strict=True)
    )
    return f"{first.folder} ({len(found)})", first.reading, first.span, first.pixels, signal, velocity, first.asked


def _range(values: Sequence[float]) -> str:
    there = [round(value) for value in values if np.isfinite(value)]
    return "" if not there else f"{min(there)}" + (f" to {max(there)}" if len(there) > 1 else "")


if __name__ == "__main__":
    main()
