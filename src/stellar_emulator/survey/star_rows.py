"""Rows of stars with several epochs: those of `survey.rows`, and the epochs' velocities beside each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import InputError
from stellar_emulator.fitting.epochs import StarFit
from stellar_emulator.observed.gaia_archive import EPOCH, SOURCE
from stellar_emulator.observed.spectrum import ObservedSpectrum
from stellar_emulator.survey.flags import SURE, Flag
from stellar_emulator.survey.read import EXPOSURE, FILE, Observed, Part
from stellar_emulator.survey.rows import LISTED, row_of, table_of

if TYPE_CHECKING:
    import pyarrow as pa

_TESTS = ("velocity_chi_square", "velocity_p_value", "noise_factor")


@dataclass(frozen=True)
class Epochs:
    """Epochs of one star: its name, their rows in a part, and the spectra among them that can be used."""

    name: str
    rows: range
    seen: tuple[Observed, ...]

    @property
    def used(self) -> list[ObservedSpectrum]:
        return [one for one in self.seen if isinstance(one, ObservedSpectrum)]

    @property
    def unusable(self) -> InputError | None:
        """Why the first epoch is of no use, if none is."""
        return None if self.used else next(one for one in self.seen if isinstance(one, InputError))


def stars_of(part: Part) -> list[Epochs] | None:
    """The stars of a part whose rows are epochs, those of a star one after the other; None if rows are no epochs."""
    by_name = {name.lower(): name for name in part.passed.column_names}
    source = by_name.get(FILE if EXPOSURE in by_name else SOURCE)
    if source is None or not any(name in by_name for name in (*EPOCH, EXPOSURE)):
        return None
    ids = part.passed.column(source).to_pylist()
    borders = [0, *(row for row in range(1, len(ids)) if ids[row] != ids[row - 1] or ids[row] is None), len(ids)]
    return [
        Epochs(str(ids[first]), range(first, last), tuple(part.seen[first:last]))
        for first, last in pairwise(borders)
        if last > first
    ]


def star_rows(
    contract: Contract, part: Part, stars: Sequence[Epochs], found: Sequence[StarFit | InputError]
) -> "pa.Table":
    """The table of stars and their fits, a row each; what is passed through of each epoch becomes a list."""
    import pyarrow as pa

    source = next(name for name in part.passed.column_names if name.lower() == SOURCE)
    of_star = [name for name in part.passed.column_names if name == source or (name == FILE and _by_file(part))]
    first = part.passed.select(of_star).take([star.rows.start for star in stars])
    rows = [{"name": star.name, **row_of_star(contract, star, one)} for star, one in zip(stars, found, strict=True)]
    table = table_of(rows, first)
    offsets = pa.array([*(star.rows.start for star in stars), len(part.seen)], pa.int32())
    for name in part.passed.column_names:
        if name not in of_star:
            column = part.passed.column(name).combine_chunks()
            column = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
            table = table.append_column(LISTED + name, pa.ListArray.from_arrays(offsets, column))
    return table


def _by_file(part: Part) -> bool:
    """Whether a star's epochs are the spectra of a file."""
    return EXPOSURE in part.passed.column_names


def row_of_star(contract: Contract, star: Epochs, one: StarFit | InputError) -> dict[str, Any]:
    """The cells of a star, by column but for its name: those of its mean spectrum as the joint fit has them, and
    `epoch_cells`."""
    cells = epoch_cells(star, one)
    if isinstance(one, InputError):
        return {**row_of(contract, one), **cells}
    row = row_of(contract, one.fitted)
    row["pixels"] = int(one.pixels.sum())
    row["flags"] |= Flag.VELOCITY_VARIES if one.constancy.p_value < SURE else 0
    row["flags"] |= Flag.DOUBLE_LINED if one.double_lined else 0
    return {**row, **cells}


def epoch_cells(star: Epochs, one: StarFit | InputError) -> dict[str, Any]:
    """The cells of a star that a spectrum has not, by column: numbers, and lists with a value for each epoch."""
    lists = {name: [float("nan")] * len(star.rows) for name in ("velocity", "velocity_error", "chi_square", "snr")}
    if isinstance(one, InputError):
        return {
            "epochs": 0,
            **dict.fromkeys(_TESTS, float("nan")),
            **{LISTED + name: row for name, row in lists.items()},
        }
    places = [row for row, seen in enumerate(star.seen) if isinstance(seen, ObservedSpectrum)]
    for number, (row, spectrum) in enumerate(zip(places, star.used, strict=True)):
        lists["velocity"][row] = float(one.velocity[number])
        lists["velocity_error"][row] = float(one.velocity_error[number])
        lists["chi_square"][row] = float(one.chi_square[number])
        lists["snr"][row] = float(np.median(np.abs(spectrum.flux[spectrum.usable]) / spectrum.error[spectrum.usable]))
    tests = (one.constancy.chi_square, one.constancy.p_value, one.noise)
    epochs = int(np.isfinite(one.velocity).sum())
    return {
        "epochs": epochs,
        **dict(zip(_TESTS, tests, strict=True)),
        **{LISTED + name: row for name, row in lists.items()},
    }
