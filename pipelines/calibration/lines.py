"""Lines that reference stars may change, and how far: candidates with their priors."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from benchmarks.computed_star import CA_II

from stellar_emulator.grid.engines.synspec import linelist, run
from stellar_emulator.grid.engines.synspec.line_changes import GAIA_ESO, MOOG, LineChange

SHORTEST, LONGEST = 8366.5, 8893.5

WEAKEST = -1.6
"""Crude strength (`_strength`) from which lines are looked at; about 1 mA in the Sun or a K giant."""

WELL_STUDIED, OTHERS, HIGHLY_EXCITED, TAKEN_IN, DAMPING, MOLECULE = 0.15, 0.25, 0.35, 0.4, 0.1, 0.5
"""Standard deviations in dex of the prior: lines with Barklem's damping were chosen for abundance analysis; levels over
5.5 eV have log gf of calculations alone; lines of MOOG's list were left out by others for a reason."""


@dataclass(frozen=True)
class Line:
    """All components of one line; wavelength, species and energy are those of the strongest."""

    strongest: linelist.AtomicLine
    source: str

    @cached_property
    def row(self) -> LineChange:
        """As a row that changes nothing."""
        energy = round(self.strongest.lower_energy / linelist.CM_PER_EV, 3)
        return LineChange(
            self.strongest.species, self.strongest.wavelength, energy, 0.0, 0.0, 0.0, 0.0, self.source, ""
        )

    @property
    def prior(self) -> float:
        """Standard deviation of log gf in dex."""
        if self.source == MOOG:
            return TAKEN_IN
        if self.row.lower_energy > 5.5 and not self.strongest.barklem:
            return HIGHLY_EXCITED
        return WELL_STUDIED if self.strongest.barklem else OTHERS


def _strength(line: linelist.AtomicLine) -> float:
    """log10 of gf times abundance and Boltzmann factor, the larger of the Sun's and a K giant's, roughly ionised."""
    number = int(line.species)
    charge = round(100.0 * (line.species - number))
    if number <= 2 or charge >= 2:
        return -9.0
    strength = float(run.SOLAR_ABUNDANCES.split()[number - 1]) + line.log_gf - (0.0 if charge else _ionised(number))
    volts = line.lower_energy / linelist.CM_PER_EV
    return max(strength - 5040.0 / kelvin * volts - less for kelvin, less in ((5300.0, 0.0), (4400.0, 0.5)))


def _ionised(number: int) -> float:
    """How far neutral atoms fall behind, dex: alkalis, metals, and those that are hard to ionise."""
    if number in (3, 11, 19, 37, 55):
        return 3.0
    return 0.0 if number in (6, 7, 8, 14, 16, 30) else 1.2


def candidates() -> list[Line]:
    """Lines that can be seen in the Sun or in a K giant, Ca II's triplet excepted, by wavelength."""
    atoms = linelist.atomic_lines(SHORTEST + 10.0, LONGEST - 10.0)
    found = _grouped([line for line in atoms if _strength(line) > WEAKEST], GAIA_ESO)
    further = linelist.further_atomic_lines(SHORTEST + 10.0, LONGEST - 10.0)
    unknown = [line for line in further if _strength(line) > WEAKEST and not _known(line, atoms)]
    found += _grouped(unknown, MOOG)
    return sorted(
        (line for line in found if min(abs(line.strongest.wavelength - core) for core in CA_II) > 0.01),
        key=lambda line: line.strongest.wavelength,
    )


def _grouped(lines: Sequence[linelist.AtomicLine], source: str) -> list[Line]:
    groups: list[Line] = []
    for line in sorted(lines, key=_strength, reverse=True):
        if not any(group.row.is_of(line.species, line.wavelength, line.lower_energy) for group in groups):
            groups.append(Line(line, source))
    return groups


def _known(line: linelist.AtomicLine, atoms: Sequence[linelist.AtomicLine]) -> bool:
    """Whether the Gaia-ESO list has it, energies and wavelengths of rougher lists allowed for."""
    return any(
        abs(other.wavelength - line.wavelength) < 0.2
        and abs(other.species - line.species) < 0.001
        and abs(other.lower_energy - line.lower_energy) < 0.03 * linelist.CM_PER_EV
        for other in atoms
    )
