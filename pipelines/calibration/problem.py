"""Lines, stars and changes so far: what SYNSPEC computes with them, and its derivatives by each line."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
from benchmarks.computed_star import AXIS, CA_II, Computer
from numpy.typing import NDArray

from pipelines.calibration.lines import LONGEST, SHORTEST, Line
from pipelines.calibration.references import Reference
from stellar_emulator.grid.engines.synspec import linelist
from stellar_emulator.grid.engines.synspec.line_changes import GAIA_ESO, MOOG, LineChange, LineChanges
from stellar_emulator.grid.engines.synspec.line_data import LineData, calibrated

APART = 7.0
"""Angstrom between two lines that are changed in one run."""

REACH = 3.0
"""Angstrom from a line to where its change is seen."""


CN, C2, CA_II_DAMPING = 607, 606, 2001
"""What is changed as a whole: log gf of two molecules' lists, by Kurucz's codes, and damping of the Ca II triplet."""


@dataclass(frozen=True)
class State:
    """Changes so far, in dex: of log gf and damping by line, shape (lines,) each, and of what is changed as a whole."""

    gf: NDArray[np.float64]
    damping: NDArray[np.float64]
    wholes: dict[int, float]

    def rows(self, lines: Sequence[Line]) -> list[LineChange]:
        """Of single lines, without errors."""
        return [
            replace(line.row, log_gf_change=round(float(gf), 3), van_der_waals_change=round(float(damping), 3))
            for line, gf, damping in zip(lines, self.gf, self.damping, strict=True)
            if gf or damping or line.source == MOOG
        ]

    def with_whole(self, code: int, change: float) -> "State":
        """The same, but for one change as a whole."""
        return State(self.gf, self.damping, {**self.wholes, code: change})

    @property
    def molecules(self) -> list[LineChange]:
        """Rows of the molecules that are changed."""
        changed = [(code, change) for code, change in self.wholes.items() if change and code != CA_II_DAMPING]
        return [row for code, change in changed for row in whole_rows(code, change)]


def whole_rows(code: int, change: float, error: float = 0.0, stars: str = "") -> list[LineChange]:
    """Rows of a change as a whole: one of a molecule, three of the triplet."""
    change, error = round(change, 3), round(error, 3)
    if code == CA_II_DAMPING:
        return [replace(row, van_der_waals_change=change, van_der_waals_error=error, stars=stars) for row in triplet()]
    return [LineChange(float(code), 0.0, 0.0, change, error, 0.0, 0.0, GAIA_ESO, stars)]


@cache
def triplet() -> tuple[LineChange, ...]:
    """The Ca II triplet's lines as rows that change nothing."""
    atoms = linelist.atomic_lines(SHORTEST, LONGEST)
    lines = [atom for core in CA_II for atom in atoms if abs(atom.wavelength - core) < 0.1 and atom.species == 20.01]
    return tuple(Line(line, GAIA_ESO).row for line in lines)


def data_with(changes: LineChanges) -> LineData:
    """The calibrated line data with another table, and without TiO where no derivative needs it."""
    return replace(calibrated(), changes=changes, titanium_oxide_below=4700.0)


@dataclass
class Problem:
    """Lines to fit and the stars to fit them to."""

    lines: list[Line]
    stars: list[Reference]
    wholes: tuple[int, ...] = (CN, C2, CA_II_DAMPING)

    @cached_property
    def atoms(self) -> list[linelist.AtomicLine]:
        atoms = linelist.atomic_lines(SHORTEST - 2.0, LONGEST + 2.0)
        chosen = LineChanges(tuple(line.row for line in self.lines if line.source == MOOG))
        return atoms + chosen.chosen(linelist.further_atomic_lines(SHORTEST - 2.0, LONGEST + 2.0))

    def computer(self, state: State, changed: Sequence[int] = (), gf: float = 0.0, damping: float = 0.0) -> Computer:
        """SYNSPEC with the state's lines, those of some numbers changed further."""
        more = np.zeros(len(self.lines))
        more[list(changed)] = 1.0
        moved = State(state.gf + gf * more, state.damping + damping * more, {})
        calcium = state.wholes.get(CA_II_DAMPING, 0.0)
        changes = LineChanges((*moved.rows(self.lines), *(whole_rows(CA_II_DAMPING, calcium) if calcium else ())))
        molecular = data_with(LineChanges(tuple(state.molecules)))
        return Computer(molecular, tuple(changes.atom(line) for line in self.atoms))

    def groups(self, numbers: Sequence[int]) -> Iterator[list[int]]:
        """Lines in as few groups as possible, `APART` from each other within each."""
        left = list(numbers)
        while left:
            group: list[int] = []
            for number in left:
                last = self.lines[group[-1]].strongest.wavelength if group else -np.inf
                if self.lines[number].strongest.wavelength - last >= APART:
                    group.append(number)
            left = [number for number in left if number not in group]
            yield group

    def slopes(
        self, state: State, labels: dict[str, float], numbers: Sequence[int], gf: float = 0.0, damping: float = 0.0
    ) -> dict[int, NDArray[np.float64]]:
        """Derivatives of intrinsic flux by line, per dex, shape (bins,) each, nothing beyond `REACH`."""
        base = self.computer(state)(labels)
        found = {}
        for group in self.groups(numbers):
            difference = (self.computer(state, group, gf, damping)(labels) - base) / (gf + damping)
            for number in group:
                near = np.abs(AXIS.wavelength - self.lines[number].strongest.wavelength) <= REACH
                found[number] = np.where(near, difference, 0.0)
        return found
