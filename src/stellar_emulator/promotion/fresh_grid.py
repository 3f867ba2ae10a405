"""A grid that the emulator generates at fresh labels, checked like any other grid against the data contract."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from stellar_emulator.contract.contract import Contract
from stellar_emulator.evaluation.evaluation import Model
from stellar_emulator.gate.decision import Criterion
from stellar_emulator.grid import sampling
from stellar_emulator.grid.expand import drawn_labels
from stellar_emulator.grid.store import Rows, write_grid
from stellar_emulator.validation.check import check

RUNS = 512
"""Of the grid; with the contract's eight spectra a run, enough for all that is asked of grids as a whole."""

_RUNS_PER_BATCH = 64
_SHOWN = 2


def fresh_grid_criterion(contract: Contract, emulator: Model, seed: int) -> Criterion:
    """Whether spectra generated as a grid is drawn, by another seed, pass the check that a grid must pass."""
    realisations = contract.sampling.realisations if contract.broadening_labels else 1
    with tempfile.TemporaryDirectory() as folder:
        grid = write_grid(
            Path(folder) / "fresh.parquet",
            contract,
            _generated(contract, emulator, seed, realisations),
            contract.wavelength.pixels,
            contract.wavelength.medium,
            {"generated": f"by the emulator at labels of seed {seed}"},
        )
        verdict = check(grid, contract).verdict
    shown = [" ".join(str(fault.message).split()) for fault in verdict.faults[:_SHOWN]]
    more = [f"and {len(verdict.faults) - _SHOWN} more"] if len(verdict.faults) > _SHOWN else []
    name = f"faults of a generated grid of {RUNS} runs by the data contract"
    return Criterion("fresh", name, len(verdict.faults), 0, verdict.passed, note="; ".join([*shown, *more]), rule="==")


def _generated(contract: Contract, emulator: Model, seed: int, realisations: int) -> Iterator[Rows]:
    runs = sampling.run_labels(contract, seed, 0, RUNS)
    for first in range(0, RUNS, _RUNS_PER_BATCH):
        run_id = np.arange(first, min(first + _RUNS_PER_BATCH, RUNS))
        labels = drawn_labels(contract, seed, run_id, runs[run_id], realisations)
        yield Rows(np.repeat(run_id, realisations), labels, sampling.weights(contract, labels), emulator(labels))
