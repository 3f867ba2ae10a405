"""Writes a grid in two: the good spectra, and the bad ones with their reasons. All files appear at once or none."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import RefusedError
from stellar_emulator.grid.store import FLUX_ERROR, Grid, Rows, write_grid
from stellar_emulator.registry import tracking
from stellar_emulator.system.files import settle
from stellar_emulator.validation.check import Validation, check
from stellar_emulator.validation.quarantine import Quarantine, quarantine
from stellar_emulator.validation.validated import record
from stellar_emulator.validation.verdict import WAVELENGTH_AXIS, require_passed

GOOD, QUARANTINED, REASONS = "good.parquet", "quarantined.parquet", "reasons.parquet"
"""Files in ``output``. A row of ``reasons`` tells the same row of ``quarantined``: its row in the grid, and why."""

_UNFINISHED = ".quarantine.partial"


def set_aside(grid: Grid, contract: Contract, validation: Validation, output: Path) -> str:
    """Write both parts of a checked grid to ``output``, and say how many spectra are in each.

    The good part is checked as well, in a child run, before any file gets its name. Files of an earlier call, finished
    or killed, are removed first.

    Raises
    ------
    InputError
        If the wavelengths aren't the contract's.
    RefusedError
        If the grid can't be parted, see `validation.quarantine.quarantine`, or its good part breaks the contract.
    """
    unfinished = output / _UNFINISHED
    shutil.rmtree(unfinished, ignore_errors=True)
    for name in (GOOD, QUARANTINED, REASONS):
        (output / name).unlink(missing_ok=True)
    if [fault.expectation for fault in validation.verdict.faults] == [WAVELENGTH_AXIS]:
        require_passed(validation.verdict, grid)
    parted = quarantine(validation, contract)
    try:
        good = _write(unfinished / GOOD, grid, contract, parted.good, validation)
        _write(unfinished / QUARANTINED, grid, contract, parted.bad, validation)
        _write_reasons(unfinished / REASONS, grid, parted)
        _require_good(good, contract)
        # The good part last: where it lies, the others do.
        for name in (REASONS, QUARANTINED, GOOD):
            settle(unfinished / name, output / name)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return f"{len(parted.good):,} good spectra: {output / GOOD}\n{len(parted.bad):,} set aside: {output / QUARANTINED}"


def _write(path: Path, grid: Grid, contract: Contract, rows: NDArray[np.int64], validation: Validation) -> Grid:
    source = {"digest": validation.verdict.digest, "rows": grid.rows, "provenance": grid.provenance}
    provenance: dict[str, object] = {"part_of": source, "notes": list(validation.verdict.notes)}
    return write_grid(path, contract, _batches(grid, rows), grid.wavelength, grid.medium, provenance)


def _batches(grid: Grid, rows: NDArray[np.int64]) -> Iterator[Rows]:
    """Some rows of a grid, ascending; the flux of a row group that holds none is not read."""
    for first, last in zip(grid.group_starts[:-1], grid.group_starts[1:], strict=True):
        part = rows[np.searchsorted(rows, first) : np.searchsorted(rows, last)]
        if len(part):
            errors = grid.take(part, FLUX_ERROR) if grid.has_errors else None
            yield Rows(grid.run_id[part], grid.labels[part], grid.weight[part], grid.take(part), errors)


def _write_reasons(path: Path, grid: Grid, parted: Quarantine) -> None:
    columns = {"row": parted.bad, "run_id": grid.run_id[parted.bad]}
    reasons = pa.array([list(parted.reasons[int(row)]) for row in parted.bad], pa.list_(pa.string()))
    pq.write_table(pa.table({**columns, "reasons": reasons}), path)


def _require_good(good: Grid, contract: Contract) -> None:
    """Check the good part as a run of its own, by which a training on it finds that it passed."""
    with tracking.start_run(f"validation of {GOOD}") as child:
        verdict = check(good, contract).verdict
        record(child, good, verdict)
        if not verdict.passed:
            raise RefusedError(f"what is left without the bad spectra breaks the data contract: {verdict.summary()}")
