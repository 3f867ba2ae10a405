"""Which faults of an emulator the gate refuses: lines, cores, regions, steps of labels and islands, one at a time.

Each fault is put into the shipped emulator, which passes without it. A fault is looked at where it can show: on the
gate set, on lines through the box, on labels drawn in the box, in the very places that the gate draws for that pair;
what it leaves as it was need not be generated again. The first refusal ends the search, and is what the table shows.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import table
from stellar_emulator import Emulator, Validator
from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.gate_limits import GateLimits
from stellar_emulator.evaluation.evaluation import Model
from stellar_emulator.gate.candidate import Candidate
from stellar_emulator.gate.cells import largest_by_cell
from stellar_emulator.gate.decide import limits_of
from stellar_emulator.gate.fresh import Typical, look_at, units
from stellar_emulator.gate.fresh_labels import box_labels, fresh_seed, line_labels
from stellar_emulator.gate.pixel_errors import PixelSums, find_lines
from stellar_emulator.gate.pixels import pixel_criteria
from stellar_emulator.gate.resemblance import KNOWN, resemblance
from stellar_emulator.gate.smoothness import POINTS, Along, along, breaks, coarse_points
from stellar_emulator.grid.source import embedded_folder, open_source
from stellar_emulator.grid.store import Grid
from stellar_emulator.system.say import say

Labels = NDArray[np.float64]
Flux = NDArray[np.float32]

SEED = 19
"""Of where islands lie."""

_HEAD = """`make prove-faults` puts these faults into the shipped emulator, one at a time, and asks the gate. The gate
must refuse every fault that shifts a label by 0.25 of its RMSE in 1e-3 of the box, by one RMSE in 1e-4, or a pixel by
0.05 in 1e-5. Islands are boxes of equal shares of the ranges of the labels named; where they lie is drawn. The first
refusal is shown; the emulator without faults passes all of it."""

KINK_LINES = 64
"""Fine lines of each label that kinks are looked for on: the median over lines needs no more."""


@dataclass(frozen=True)
class Fault:
    """A fault of an emulator.

    where: rows of labels (n, labels) that it touches, (n,); None: all. change: flux of such rows, from their labels and
    right flux and the right emulator. first: the label along which it shows first.
    """

    name: str
    change: Callable[[Labels, Flux, Model], Flux]
    where: Callable[[Labels], NDArray[np.bool_]] | None = None
    first: str = "teff"

    def touches(self, labels: Labels) -> NDArray[np.bool_]:
        return np.ones(len(labels), dtype=bool) if self.where is None else self.where(labels)

    def into(self, emulator: Model) -> Model:
        """The emulator with this fault."""

        def faulty(given: NDArray[np.floating]) -> Flux:
            labels = given.astype(np.float64, copy=False)
            flux, rows = emulator(labels), self.touches(labels)
            if rows.any():
                flux = flux.copy()
                flux[rows] = self.change(labels[rows], flux[rows], emulator)
            return flux

        return faulty


@dataclass(frozen=True)
class Bench:
    """Everything that faults are looked at with: the right emulator, what the gate set says, and where it is asked."""

    contract: Contract
    limits: GateLimits
    emulator: Model
    judge: Model
    known: Typical
    grid: Grid
    seed: int

    @cached_property
    def candidate(self) -> Candidate:
        return Candidate(self.emulator, (self.judge,))

    @cached_property
    def box(self) -> Labels:
        """All labels drawn in the box."""
        return np.concatenate(list(box_labels(self.contract, self.seed, self.limits.fresh.spectra, 1 << 16)))

    @cached_property
    def lines(self) -> list[tuple[int, Labels, Labels]]:
        """Column, fine lines and coarse lines of each label, lines being (lines, points, labels)."""
        found, sizes = [], self.limits.fresh
        for column, unit in enumerate(units(self.contract, self.known)):
            sound = along(self.contract, self.emulator, self.seed, column, 16)
            points = coarse_points(sound, sizes.jump * unit, sizes.pixel_jump)
            fine = line_labels(self.contract, self.seed, column, sizes.lines, POINTS)
            coarse = line_labels(self.contract, self.seed + 1, column, sizes.coarse // points, points)
            found.append((column, np.stack(list(fine)), np.stack(list(coarse))))
        return found


def main() -> None:
    """Print what refuses each fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pair", default="gaia_rvs")
    parser.add_argument("--only", default="", help="faults whose names hold this")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as scratch:
        bench = prepared(options.pair, Path(scratch))
        rows = []
        for fault in faults(bench):
            if options.only in fault.name:
                rows.append((fault.name, *refused(bench, fault)))
                say(": ".join(rows[-1]))
    passed = [row[0] for row in rows if row[1] == "PASSED"]
    print(f"# Faults of an emulator\n\n{_HEAD}\n")
    title = f"{len(rows) - len(passed)} of {len(rows)} faults of {options.pair} refused"
    print(table(title, rows, ("fault", "refused by", "figure against bound")))


def prepared(pair: str, scratch: Path) -> Bench:
    """A shipped pair, and what the gate set says of it."""
    emulator, validator = Emulator.load(pair), Validator.load(pair)
    contract = emulator.contract
    grid = open_source(str(embedded_folder(contract, "gate")), contract, scratch).grid
    known = _typical(contract, grid, validator.network)
    seed = fresh_seed([emulator.digest, validator.digest])
    return Bench(contract, limits_of(contract), emulator.network, validator.network, known, grid, seed)


def _typical(contract: Contract, grid: Grid, judge: Model) -> Typical:
    """What the gate takes from its measurements, without what those need besides."""
    run = np.unique(grid.run_id, return_inverse=True)[1].ravel()
    sample = np.unique(np.linspace(0, grid.rows - 1, 2 * KNOWN).round().astype(int))
    seen = resemblance(contract, run[sample], grid.labels[sample], grid.take(sample))
    columns = contract.columns(contract.accuracy_labels)
    inferred = np.concatenate([judge(flux) for _, flux in grid.batches()])
    error = inferred[:, columns] - grid.labels[:, columns]
    rmse = np.sqrt(grid.weight / grid.weight.sum() @ error**2)
    # Of the right emulator's spectra, of which judges err alike, nothing is asked here.
    return Typical(seen, np.stack([largest_by_cell(contract, grid.labels, np.abs(error))]), rmse, rmse)


def refused(bench: Bench, fault: Fault) -> tuple[str, str]:
    """What refuses a fault first, with its figure and bound; "PASSED" if nothing does."""
    looks = (on_lines, in_box) if fault.where else (on_gate, on_lines)
    for look in looks:
        for reason, figure, bound in look(bench, fault):
            if not figure <= bound:
                return reason, f"{figure:.3g} against {bound:g}"
    return "PASSED", ""


def on_gate(bench: Bench, fault: Fault) -> Iterator[tuple[str, float, float]]:
    """The section "pixels" of the gate, on every fourth run."""
    contract, grid = bench.contract, bench.grid
    rows = np.flatnonzero(grid.run_id % 4 == 0)
    labels, weight = grid.labels[rows], grid.weight[rows]
    sample = np.arange(0, len(rows), 4)
    sums = PixelSums(contract, find_lines(contract, labels[sample], grid.take(rows[sample])))
    emulator = fault.into(bench.emulator)
    for first in range(0, len(rows), 512):
        part = slice(first, first + 512)
        computed = grid.take(rows[part])
        sums.add(labels[part], weight[part], computed, emulator(labels[part]) - computed)
    for row in pixel_criteria(contract, bench.limits, sums.errors()):
        yield f"pixels: {row.name} ({row.note})", float(row.figure or 0.0), float(row.bound or 0.0)


def on_lines(bench: Bench, fault: Fault) -> Iterator[tuple[str, float, float]]:
    """The section "smooth" of the gate, on the lines that the fault touches."""
    bounds, emulator = bench.limits.fresh, fault.into(bench.emulator)
    names, unit = bench.contract.label_names, units(bench.contract, bench.known)
    # What is wrong everywhere shows along its own label, or is looked for in vain along all others.
    asked = [entry for entry in bench.lines if fault.where or names[entry[0]] == fault.first]
    for column, *families in asked:
        jumps = list[NDArray[np.float64]]()
        for lines in families:
            for labels in lines[: KINK_LINES if lines.shape[1] == POINTS and fault.where is None else None]:
                if not fault.touches(labels).any():
                    continue
                jump, pixel = breaks(labels[:, column], emulator(labels))
                yield f"smooth: {names[column]}: break / RMSE", float(jump.max() / unit[column]), bounds.jump
                yield f"smooth: {names[column]}: break of a pixel", float(pixel.max()), bounds.pixel_jump
                if lines.shape[1] == POINTS:
                    jumps.append(jump)
            if lines.shape[1] == POINTS and len(jumps) >= KINK_LINES and np.isfinite(unit[column]):
                stacked = np.stack(jumps)
                seen = Along(column, POINTS, np.zeros((*stacked.shape, 1)), stacked, stacked, np.zeros((1, 2)))
                yield (
                    f"smooth: {names[column]}: kink shared by lines / RMSE",
                    seen.common()[0] / unit[column],
                    bounds.kink,
                )


def in_box(bench: Bench, fault: Fault) -> Iterator[tuple[str, float, float]]:
    """The section "fresh" of the gate, on the drawn labels that the fault touches."""
    inside = bench.box[fault.touches(bench.box)]
    for turn, first in enumerate(range(0, len(inside), 64)):
        labels = inside[first : first + 64]
        flux = fault.into(bench.emulator)(labels)
        found = look_at(bench.contract, bench.limits, labels, flux, bench.candidate, turn, bench.known)
        for name, worst in found.offences.items():
            yield f"fresh: {name}, in {worst.count} of {len(inside)} drawn there", float(worst.count), 0.0


def faults(bench: Bench) -> list[Fault]:
    """All faults: of lines and cores, of labels' steps, of regions, of islands."""
    return [*line_faults(bench.contract), *step_faults(bench.contract), *_regions(bench), *_islands(bench)]


def line_faults(contract: Contract) -> list[Fault]:
    """Lines left out, filled, deepened, moved, everywhere."""
    missing = (8435.3, 8468.4, 8514.1, 8598.4, 8613.9, 8621.6, 8648.5, 8674.7, 8688.6, 8703.2)
    found = [Fault(f"line at {place:g} A left out", _straight(contract, place, 0.8)) for place in missing]
    for name, place in contract.regions.line_cores.items():
        found.append(Fault(f"{name}: core filled by half", _filled(contract, place, 0.5, 0.5)))
    found.append(Fault("Ca II 8542: core a tenth too deep", _filled(contract, 8542.09, 0.5, -0.1)))
    found.append(Fault("line at 8688.6 A moved by a pixel", _moved(contract, 8688.6, 1.0)))
    return found


def _near(contract: Contract, place: float, half: float) -> NDArray[np.intp]:
    return np.flatnonzero(np.abs(contract.wavelength.pixels - place) <= half)


def _straight(contract: Contract, place: float, half: float) -> Callable[[Labels, Flux, Model], Flux]:
    """Flux drawn straight across a line."""
    window = _near(contract, place, half)
    share = np.linspace(0.0, 1.0, len(window), dtype=np.float32)

    def change(labels: Labels, flux: Flux, emulator: Model) -> Flux:
        flux = flux.copy()
        ends = flux[:, window[[0, -1]]]
        flux[:, window] = ends[:, :1] + share * (ends[:, 1:] - ends[:, :1])
        return flux

    return change


def _filled(contract: Contract, place: float, half: float, by: float) -> Callable[[Labels, Flux, Model], Flux]:
    """A core's depth below its window's ends, less a share of it."""
    straight, window = _straight(contract, place, half), _near(contract, place, half)

    def change(labels: Labels, flux: Flux, emulator: Model) -> Flux:
        level = straight(labels, flux, emulator)
        flux = flux.copy()
        flux[:, window] += np.float32(by) * (level - flux)[:, window]
        return flux

    return change


def _moved(contract: Contract, place: float, half: float) -> Callable[[Labels, Flux, Model], Flux]:
    window = _near(contract, place, half)

    def change(labels: Labels, flux: Flux, emulator: Model) -> Flux:
        flux = flux.copy()
        flux[:, window] = flux[:, window - 1]
        return flux

    return change


def step_faults(contract: Contract) -> list[Fault]:
    """Labels in steps, and labels that are ignored beyond some value."""
    steps = {
        "teff": (50.0, 25.0),
        "logg": (0.05,),
        "vsini": (4.0,),
        "m_h": (0.05,),
        "vmicro": (0.25,),
        "resolution": (800.0,),
    }
    found = [
        Fault(f"{name} in steps of {step:g}", _stepped(contract, name, step), first=name)
        for name, sizes in steps.items()
        for step in sizes
    ]
    ends = (
        ("vmicro", 0.0, 0.5),
        ("vmicro", 3.5, 4.0),
        ("vsini", 0.0, 5.0),
        ("logg", 4.8, 5.0),
        ("m_h", -1.5, -1.4),
        ("teff", 14_800.0, 15_000.0),
    )
    return found + [
        Fault(f"{name} ignored from {lower:g} to {upper:g}", _ignored(contract, name, lower, upper), first=name)
        for name, lower, upper in ends
    ]


def _relabelled(
    contract: Contract, name: str, by: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> Callable[[Labels, Flux, Model], Flux]:
    """The right flux of labels of which one is something else."""
    column = contract.label_names.index(name)

    def change(labels: Labels, flux: Flux, emulator: Model) -> Flux:
        labels = labels.copy()
        labels[:, column] = np.clip(by(labels[:, column]), contract.lower[column], contract.upper[column])
        return emulator(labels)

    return change


def _stepped(contract: Contract, name: str, step: float) -> Callable[[Labels, Flux, Model], Flux]:
    return _relabelled(contract, name, lambda values: np.round(values / step) * step)


def _ignored(contract: Contract, name: str, lower: float, upper: float) -> Callable[[Labels, Flux, Model], Flux]:
    """The label counts as the end of the range that lies inside the box."""
    inner = upper if lower == contract.lower[contract.label_names.index(name)] else lower
    return _relabelled(contract, name, lambda values: np.where((values >= lower) & (values <= upper), inner, values))


def _shifted(by: float) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    return lambda values: np.asarray(values + by, dtype=np.float64)


def _regions(bench: Bench) -> list[Fault]:
    """A label that is off in a whole region, by an RMSE, with an edge."""
    contract, found = bench.contract, []
    for name, edge in (("teff", 13_500.0), ("logg", 4.5), ("m_h", 1.2)):
        column, unit = contract.label_names.index(name), units(contract, bench.known)[contract.label_names.index(name)]
        where = lambda labels, column=column, edge=edge: labels[:, column] > edge  # noqa: E731
        change = _relabelled(contract, name, _shifted(-unit))
        found.append(Fault(f"{name} off by its RMSE above {edge:g}", change, where, name))
    return found


def _islands(bench: Bench) -> list[Fault]:
    """Boxes of given volume somewhere in the box, in which a label or a pixel is off, or all is flat."""
    contract, random = bench.contract, np.random.default_rng(SEED)
    run, every = [label.name for label in contract.run_labels][:3], contract.label_names
    found, unit = list[Fault](), dict(zip(every, units(contract, bench.known), strict=True))
    for label in contract.accuracy_labels:
        for share, volume in ((0.25, 1e-3), (1.0, 1e-4)):
            sides = run if label.name in run else [*run[:2], label.name]
            change = _relabelled(contract, label.name, _shifted(share * unit[label.name]))
            name = f"{label.name} off by {share:g} RMSE in {volume:.0e} of the box ({', '.join(sides)})"
            found.append(Fault(name, change, _island(contract, random, sides, volume)))
    whole = _relabelled(contract, "teff", lambda values: values + unit["teff"])
    found.append(
        Fault("teff off by 1 RMSE in 1e-04 of the box (all labels)", whole, _island(contract, random, every, 1e-4))
    )
    for place, what in ((8542.1, "a core"), (8613.9, "a faint line"), (8760.0, "continuum")):
        for sides, named in ((run, "run labels"), (every, "all labels")):
            name = f"pixel at {place:g} A ({what}) off by 0.05 in 1e-05 of the box ({named})"
            found.append(Fault(name, _bumped(contract, place, 0.05), _island(contract, random, sides, 1e-5)))
    flat = lambda labels, flux, emulator: np.full_like(flux, 1.0)  # noqa: E731
    found.append(Fault("flat flux in 1e-05 of the box (all labels)", flat, _island(contract, random, every, 1e-5)))
    twins = {"teff": (5672.0, 5872.0), "logg": (4.3, 4.6), "m_h": (-0.1, 0.1)}
    found.append(Fault("flat flux for twins of the Sun", flat, _inside(contract, twins)))
    found.append(
        Fault(
            "flux of 6000 K for twins of the Sun",
            _relabelled(contract, "teff", lambda values: 0.0 * values + 6000.0),
            _inside(contract, twins),
        )
    )
    filled = _filled(contract, 8498.02, 0.5, 0.5)
    found.append(
        Fault(
            "Ca II 8498: core filled by half in 1e-04 of the box (run labels)",
            filled,
            _island(contract, random, run, 1e-4),
        )
    )
    return found


def _bumped(contract: Contract, place: float, by: float) -> Callable[[Labels, Flux, Model], Flux]:
    pixel = int(np.argmin(np.abs(contract.wavelength.pixels - place)))

    def change(labels: Labels, flux: Flux, emulator: Model) -> Flux:
        flux = flux.copy()
        flux[:, pixel] -= np.float32(by)
        return flux

    return change


def _island(
    contract: Contract, random: np.random.Generator, sides: Sequence[str], volume: float
) -> Callable[[Labels], NDArray[np.bool_]]:
    """A box of equal shares of some labels' ranges."""
    side = volume ** (1.0 / len(sides))
    bounds = {}
    for label in contract.labels:
        if label.name in sides:
            first = label.lower + random.random() * (1.0 - side) * (label.upper - label.lower)
            bounds[label.name] = (first, first + side * (label.upper - label.lower))
    return _inside(contract, bounds)


def _inside(contract: Contract, bounds: dict[str, tuple[float, float]]) -> Callable[[Labels], NDArray[np.bool_]]:
    columns = [contract.label_names.index(name) for name in bounds]
    lower, upper = np.array(list(bounds.values())).T
    return lambda labels: ((labels[:, columns] >= lower) & (labels[:, columns] <= upper)).all(axis=1)


if __name__ == "__main__":
    main()
