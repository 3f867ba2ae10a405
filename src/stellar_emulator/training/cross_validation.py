"""Errors of a training by cross-validation over runs, for grids too small to spare a test part that proves anything.

All runs are parted into folds by the order of their hashes; networks that are trained without a fold reproduce it. The
same folds are interpolated by cubic radial basis functions (SciPy), so that readers see what networks gain.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.grid.nodes import hull_corners
from stellar_emulator.grid.shards import IntrinsicGrid
from stellar_emulator.grid.split import SplitRows
from stellar_emulator.grid.store import Grid
from stellar_emulator.networks.preset import AnyPreset
from stellar_emulator.training.baseline import interpolated
from stellar_emulator.training.train_emulator import StageReport, train_emulator
from stellar_emulator.training.train_validator import train_validator

FOLDS = 5

FEW_RUNS = 500
"""Runs below which errors come from cross-validation."""

VALUES_HELD = 2**25
"""Flux values of the grid that are measured at most, so that memory stays bounded: fewer draws of each run, then."""

_OF_TRAINING = 8
"""One in so many of a fold's training runs tells which epoch was the best. They are trained on as well: with few runs
none can be spared, and the learning rate of the presets for them falls to zero."""

Flux = NDArray[np.float32]


@dataclass(frozen=True)
class CrossValidated:
    """Spectra of a grid as networks reproduce them that were trained without their runs.

    rows: those of the grid that were measured, (n,); generated, reference: flux (n, pixels) by the networks and by
    radial basis functions, the latter None if there are too few nodes for them; inferred: labels (n, labels); inner:
    whether a spectrum's node lies within the hull of the others, where nothing is extrapolated, (n,); runs, folds:
    their numbers.
    """

    rows: NDArray[np.int64]
    generated: Flux
    reference: Flux | None
    inferred: Flux
    inner: NDArray[np.bool_]
    runs: int
    folds: int


def cross_validate(
    grid: Grid,
    intrinsic: IntrinsicGrid | None,
    hashes: NDArray[np.str_],
    contract: Contract,
    preset: AnyPreset,
    seed: int,
    folder: Path,
    report: StageReport,
    judged: bool = True,
) -> CrossValidated:
    """Train and measure once for each fold; ``folder`` keeps the state of each training. hashes: of the rows' runs;
    judged: whether validators are trained too, inferred labels are NaN otherwise."""
    unique, run_of_row = np.unique(hashes, return_inverse=True)
    folds = min(FOLDS, len(unique))
    fold = np.arange(len(unique))[run_of_row.ravel()] % folds
    rows = rows_measured(grid.pixels, run_of_row.ravel())
    flux = np.empty((len(rows), grid.pixels), dtype=np.float32)
    inferred = np.full((len(rows), len(contract.labels)), np.nan, dtype=np.float32)
    reference: Flux | None = np.empty_like(flux)
    for number in range(folds):
        split = _fold_split(fold, run_of_row.ravel(), number)
        place = folder / f"fold-{number}"
        inside = fold[rows] == number
        labels = grid.labels[rows[inside]]
        emulator = train_emulator(grid, intrinsic, split, contract, preset, seed, place, _silent(report, number))
        flux[inside] = emulator.network(labels)
        if judged:
            judge = train_validator(grid, split, contract, preset.validator, place, _silent(report, number))
            inferred[inside] = judge.network(grid.take(rows[inside]))
        made = interpolated(grid, intrinsic, split.train, contract, labels)
        if made is None or reference is None:
            reference = None
        else:
            reference[inside] = made
    return CrossValidated(rows, flux, reference, inferred, inner_runs(contract, grid.labels)[rows], len(unique), folds)


def _silent(report: StageReport, fold: int) -> StageReport:
    return lambda name: report(f"fold {fold + 1} {name}")


def rows_measured(pixels: int, run_of_row: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows to measure, of runs that are numbered from 0: of each as many as keep within `VALUES_HELD`, one at least."""
    most = max(1, VALUES_HELD // (pixels * (int(run_of_row.max()) + 1)))
    order = np.argsort(run_of_row, kind="stable")
    starts = np.searchsorted(run_of_row[order], np.arange(int(run_of_row.max()) + 1))
    place = np.arange(len(order)) - starts[run_of_row[order]]
    return np.sort(order[place < most])


def _fold_split(fold: NDArray[np.int64], run_of_row: NDArray[np.int64], number: int) -> SplitRows:
    """Rows of all other folds to train on, some of which also tell the best epoch, and those of one fold to test."""
    training, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
    runs = np.unique(run_of_row[training])
    validation = training[np.isin(run_of_row[training], runs[::_OF_TRAINING])]
    return SplitRows(training, validation, test)


def inner_runs(contract: Contract, labels: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether the run of each row is no corner of the hull of all runs, (rows,)."""
    nodes, node_of_row = np.unique(labels[:, contract.columns(contract.run_labels)], axis=0, return_inverse=True)
    return ~np.isin(node_of_row.ravel(), hull_corners(nodes))


def cross_validation_rows(contract: Contract, grid: Grid, found: CrossValidated) -> list[dict[str, float | str | int]]:
    """Flux errors of networks and reference, over inner and over all spectra: MAE, 90 % quantile of MAE, RMS."""
    computed = grid.take(found.rows)
    made = {"emulator": found.generated, "cubic RBF": found.reference}
    told: list[dict[str, float | str | int]] = []
    for what, flux in made.items():
        if flux is None:
            continue
        by_spectrum = np.abs(flux - computed).mean(axis=1)
        square = np.square(flux - computed).mean(axis=1)
        for where, inside in (("inner nodes", found.inner), ("all nodes", np.ones(len(found.rows), dtype=bool))):
            if inside.any():
                told.append(
                    {
                        "what": what,
                        "where": where,
                        "mae": float(by_spectrum[inside].mean()),
                        "p90_mae": float(np.quantile(by_spectrum[inside], 0.9)),
                        "rms": float(np.sqrt(square[inside].mean())),
                        "spectra": int(inside.sum()),
                    }
                )
    return told


def label_errors(contract: Contract, grid: Grid, found: CrossValidated) -> dict[str, float]:
    """RMSE of each inferred label, in its unit."""
    error = found.inferred - grid.labels[found.rows]
    return {name: float(np.sqrt(np.mean(error[:, column] ** 2))) for column, name in enumerate(contract.label_names)}


def cross_validation_table(
    contract: Contract, rows: Sequence[dict[str, float | str | int]], labels: dict[str, float], found: CrossValidated
) -> str:
    """The table for readers."""
    head = (
        f"errors by {found.folds}-fold cross-validation over {found.runs} runs (each fold by networks that did not see "
        "it)"
    )
    lines = [head, f"{'flux error':<16}{'nodes':<14}{'MAE':>10}{'90 % below':>12}{'RMS':>10}{'spectra':>9}"]
    for row in rows:
        numbers = f"{row['mae']:>10.2e}{row['p90_mae']:>12.2e}{row['rms']:>10.2e}{row['spectra']:>9}"
        lines.append(f"{row['what']:<16}{row['where']:<14}{numbers}")
    lines += [f"RMSE of {one.name}: {labels[one.name]:.4g} {one.unit}".rstrip() for one in contract.labels]
    return "\n".join(lines)
