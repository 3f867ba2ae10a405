"""Sections "fresh" and "smooth": what an emulator does where no spectrum was computed and no gate run lies."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.gate_limits import GateLimits
from stellar_emulator.gate.candidate import Candidate
from stellar_emulator.gate.cells import cell_numbers, largest_by_cell
from stellar_emulator.gate.decision import Criterion
from stellar_emulator.gate.described import described
from stellar_emulator.gate.expected import broken
from stellar_emulator.gate.fresh_labels import box_labels
from stellar_emulator.gate.measured_spectra import Measured
from stellar_emulator.gate.resemblance import Resemblance
from stellar_emulator.gate.smoothness import Along, along, coarse_points
from stellar_emulator.system.cores import side_by_side

BATCH_PIXELS = 64 * 4000
"""Of flux at a time, 1 MB: residuals and differences of it stay in the cores' caches."""

MOST_ROWS = 1024


@dataclass(frozen=True)
class Typical:
    """What the gate set says of true spectra and of the judges.

    resemblance: to the gate set's spectra. error: largest error of each judge by cell and accuracy label, from computed
    or from generated spectra (judges, cells, labels). rmse, generated_rmse: of the judges over the box, from computed
    and from generated spectra (labels,). Labels are the accuracy labels, in physical units.
    """

    resemblance: Resemblance
    error: NDArray[np.float64]
    rmse: NDArray[np.float64]
    generated_rmse: NDArray[np.float64]


@dataclass(frozen=True)
class Worst:
    """How many of the drawn spectra a question was answered no for, the worst figure, and the labels of that one."""

    count: int
    figure: float
    labels: NDArray[np.float64]

    def __add__(self, other: "Worst") -> "Worst":
        # NaN is worse than any number, and no number is larger.
        worse = other if np.isnan(other.figure) or other.figure > self.figure else self
        return Worst(self.count + other.count, worse.figure, worse.labels)


@dataclass(frozen=True)
class Box:
    """Of spectra drawn in the box: offences by name, and the judges' summed squared errors by label; seed, number."""

    spectra: int
    offences: Mapping[str, Worst]
    squares: NDArray[np.float64]

    def __add__(self, other: "Box") -> "Box":
        offences = {name: worst + other.offences[name] for name, worst in self.offences.items()}
        return Box(self.spectra + other.spectra, offences, self.squares + other.squares)


@dataclass(frozen=True)
class Fresh:
    """All that was seen at fresh labels: in the box, and along fine and coarse lines of each label."""

    seed: int
    box: Box
    fine: tuple[Along, ...]
    coarse: tuple[Along, ...]


UNSEEN = 10.0
"""In ceilings of the MAE: what an emulator errs by at some pixel of some spectrum makes none unlike the others."""

UNINFERRED = 0.01
"""Of a label's range, in place of its RMSE where it has no accuracy: those of Teff and logg are about that."""

RESEMBLANCE = "unlike the gate set's spectra"


def outlier_of(label: str) -> str:
    """Name of the question whether judges infer a label far from the one that was asked for."""
    return f"{label}: inferred far from what was asked for"


def typical(contract: Contract, measured: Measured) -> Typical:
    """Sum up what was measured on the gate set."""
    largest = np.maximum(np.abs(measured.test), np.abs(measured.generated))
    error = np.stack([largest_by_cell(contract, measured.labels, one) for one in largest])
    share = measured.weight / measured.weight.sum()
    rmse, generated = (np.sqrt(share @ (one**2).mean(axis=0)) for one in (measured.test, measured.generated))
    return Typical(measured.seen, error, rmse, generated)


def examine(contract: Contract, limits: GateLimits, challenger: Candidate, known: Typical, seed: int) -> Fresh:
    """Generate spectra at fresh labels, some at a time, and look at each alone and at lines of them."""
    generate, sizes = challenger.emulator, limits.fresh
    fine, coarse = list[Along](), list[Along]()
    for column, unit in enumerate(units(contract, known)):
        fine.append(along(contract, generate, seed, column, sizes.lines))
        points = coarse_points(fine[-1], sizes.jump * unit, sizes.pixel_jump)
        coarse.append(along(contract, generate, seed + 1, column, max(1, sizes.coarse // points), points))
    return Fresh(seed, examine_box(contract, limits, challenger, known, seed), tuple(fine), tuple(coarse))


def units(contract: Contract, known: Typical) -> list[float]:
    """RMSE of each label in its unit; of those that nobody infers `UNINFERRED` of their range."""
    accuracy = contract.columns(contract.accuracy_labels)
    return [
        float(known.rmse[accuracy.index(column)]) if column in accuracy else UNINFERRED * (label.upper - label.lower)
        for column, label in enumerate(contract.labels)
    ]


def examine_box(contract: Contract, limits: GateLimits, challenger: Candidate, known: Typical, seed: int) -> Box:
    """Look at each of the spectra at labels drawn in the box; the judges take turns."""

    def look(piece: tuple[int, NDArray[np.float64]]) -> Box:
        number, labels = piece
        return look_at(contract, limits, labels, challenger.emulator(labels), challenger, number, known)

    rows = max(1, min(MOST_ROWS, BATCH_PIXELS // contract.wavelength.count))
    pieces = enumerate(box_labels(contract, seed, limits.fresh.spectra, rows))
    found = side_by_side(look, pieces)
    whole = next(found)
    for part in found:
        whole = whole + part
    return whole


def look_at(
    contract: Contract,
    limits: GateLimits,
    labels: NDArray[np.float64],
    flux: NDArray[np.float32],
    challenger: Candidate,
    turn: int,
    known: Typical,
) -> Box:
    """What some spectra (n, pixels) at labels (n, labels) show; ``turn`` counts up, and chooses the judge."""
    columns, judge = contract.columns(contract.accuracy_labels), turn % len(challenger.judges)
    with np.errstate(all="ignore"):
        offences = {
            name: _counted(rows.astype(float), rows, labels)
            for name, rows in broken(contract, labels, flux, limits.fresh.place_room).items()
        }
        floor = UNSEEN * limits.flux_error.mae
        excess = known.resemblance.excess(contract, labels, flux, floor)
        offences[RESEMBLANCE] = _counted(excess, ~(excess <= limits.fresh.resemblance), labels)
        error = np.asarray(challenger.judges[judge](flux), dtype=np.float64)[:, columns] - labels[:, columns]
        ratio = np.abs(error) / known.error[judge][cell_numbers(contract, labels)]
    for i, label in enumerate(contract.accuracy_labels):
        offences[outlier_of(label.name)] = _counted(ratio[:, i], ~(ratio[:, i] <= limits.fresh.outlier), labels)
    return Box(len(labels), offences, (error**2).sum(axis=0))


def _counted(figures: NDArray[np.float64], offending: NDArray[np.bool_], labels: NDArray[np.float64]) -> Worst:
    # NaN is the worst of all, and argmax finds it first.
    worst = int(np.argmax(figures))
    return Worst(int(offending.sum()), float(figures[worst]), labels[worst])


def fresh_criteria(contract: Contract, limits: GateLimits, known: Typical, fresh: Fresh) -> list[Criterion]:
    """Ask whether all spectra at fresh labels look like true ones of these labels, and follow labels smoothly."""
    return [*_box_criteria(contract, limits, known, fresh.box), *_line_criteria(contract, limits, known, fresh)]


def _box_criteria(contract: Contract, limits: GateLimits, known: Typical, box: Box) -> list[Criterion]:
    wanted = limits.fresh.spectra
    found = [Criterion("fresh", "labels drawn after training", box.spectra, wanted, box.spectra >= wanted, rule=">=")]
    measured_by_gate = {RESEMBLANCE, *(outlier_of(label.name) for label in contract.accuracy_labels)}
    for name, worst in box.offences.items():
        where = f"worst at {described(contract, worst.labels)}" if worst.count else ""
        if worst.count and name in measured_by_gate:
            where = f"{worst.figure:.3g} times the gate set's largest; {where}"
        found.append(Criterion("fresh", f"spectra: {name}", worst.count, 0, worst.count == 0, note=where, rule="=="))
    ratio = np.sqrt(box.squares / box.spectra) / known.generated_rmse
    for label, figure in zip(contract.accuracy_labels, ratio.tolist(), strict=True):
        name, bound = f"{label.name}: RMSE over that on the gate set", limits.fresh.ratio
        found.append(Criterion("fresh", name, figure, bound, figure <= bound, rule="<="))
    return found


def _line_criteria(contract: Contract, limits: GateLimits, known: Typical, fresh: Fresh) -> list[Criterion]:
    bounds, found = limits.fresh, list[Criterion]()
    for fine, coarse, unit in zip(fresh.fine, fresh.coarse, units(contract, known), strict=True):
        label = contract.labels[fine.column].name
        figure, where = max((_largest(lines.jump / unit, lines.labels) for lines in (fine, coarse)), key=_first)
        found.append(_smooth(contract, f"{label}: break / RMSE", figure, bounds.jump, where))
        figure, where = fine.common()
        found.append(_smooth(contract, f"{label}: kink shared by lines / RMSE", figure / unit, bounds.kink, where))
        figure, where = max((_largest(lines.pixel, lines.labels) for lines in (fine, coarse)), key=_first)
        found.append(_smooth(contract, f"{label}: break of a pixel", figure, bounds.pixel_jump, where))
    return found


def _first(pair: tuple[float, NDArray[np.float64]]) -> float:
    """NaN first of all."""
    return np.inf if np.isnan(pair[0]) else pair[0]


def _largest(values: NDArray[np.float64], labels: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    place = np.unravel_index(int(np.argmax(values)), values.shape)
    return float(values[place]), labels[place]


def _smooth(contract: Contract, name: str, figure: float, bound: float, where: NDArray[np.float64]) -> Criterion:
    passed = figure <= bound
    note = "" if passed else f"at {described(contract, where)}"
    return Criterion("smooth", name, figure, bound, passed, note=note, rule="<=")
