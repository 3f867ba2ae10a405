"""What jobs do with a check of a grid: files for people, a run that says what was found, and passes found again."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stellar_emulator import figures
from stellar_emulator.contract.contract import Contract
from stellar_emulator.grid.label_coverage import describe_voids, pair_coverage
from stellar_emulator.grid.store import Grid
from stellar_emulator.registry import tracking
from stellar_emulator.registry.tracking import TrackedRun
from stellar_emulator.system.files import write_file
from stellar_emulator.system.say import say
from stellar_emulator.validation import rules
from stellar_emulator.validation.check import Validation, check
from stellar_emulator.validation.data_docs import data_docs
from stellar_emulator.validation.verdict import Verdict, require_passed
from stellar_emulator.version import VERSION

VERDICT = "verdict.json"
VIOLATIONS = "violations.parquet"
DEPARTURES = "departures.parquet"
DATA_DOCS = "data_docs"
"""Names in ``output`` and among a run's artifacts."""


def require_validated(grid: Grid, contract: Contract, output: Path) -> str:
    """Make sure that a grid obeys its contract, and return the id of the run that found so.

    A pass of the same grid by the same contract that the tracking store holds is taken over, else the grid is checked
    in a child run. Either way ``verdict.json`` lies in ``output``.

    Raises
    ------
    InputError, RefusedError
        As `validation.verdict.require_passed`.
    """
    earlier = _earlier_pass(grid, contract)
    if earlier is not None:
        run_id, verdict = earlier
        say(f"run {run_id} checked this grid against this contract already: it passed")
        write_file(output / VERDICT, json.dumps(verdict, indent=1))
        return run_id
    say(f"checking {grid.rows:,} spectra against contract {contract.name}")
    with tracking.start_run("grid validation") as child:
        validation = check(grid, contract)
        publish_validation(child, grid, contract, validation, output)
        require_passed(validation.verdict, grid)
    return child.run_id


def publish_validation(
    run: TrackedRun, grid: Grid, contract: Contract, validation: Validation, output: Path
) -> tuple[str, ...]:
    """Write verdict, violations, Data Docs and figures to ``output`` and log them; return the voids of the coverage."""
    pairs = pair_coverage(contract, grid.labels, grid.run_id)
    voids = describe_voids(contract, pairs)
    drawn = {"coverage": figures.coverage(contract, grid.labels, pairs)}
    if validation.flux_range.minimum.size:
        spread = validation.flux_range
        drawn["flux_range"] = figures.flux_range(contract, spread.minimum, spread.maximum, spread.mean)
    folder = output / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("coverage", "flux_range"):
        (folder / f"{name}.png").unlink(missing_ok=True)
    for name, figure in drawn.items():
        figure.savefig(folder / f"{name}.png")
        run.log_file(folder / f"{name}.png", "figures")
    pictures = {name: (folder / f"{name}.png").read_bytes() for name in drawn}
    page = output / DATA_DOCS / "index.html"
    page.parent.mkdir(exist_ok=True)
    write_file(page, data_docs(contract, grid.path.name, validation, voids, pictures))
    run.log_file(output / DATA_DOCS, DATA_DOCS)
    schema = pa.schema([(name, pa.string() if kind == "str" else kind) for name, kind in rules.VIOLATIONS.items()])
    table = pa.Table.from_pandas(validation.violations, schema=schema, preserve_index=False)
    pq.write_table(table, output / VIOLATIONS)
    run.log_file(output / VIOLATIONS)
    (output / DEPARTURES).unlink(missing_ok=True)
    if validation.departures is not None:
        pq.write_table(pa.Table.from_pandas(validation.departures, preserve_index=False), output / DEPARTURES)
        run.log_file(output / DEPARTURES)
    write_file(output / VERDICT, json.dumps(validation.verdict.to_dict(), indent=1))
    record(run, grid, validation.verdict)
    return tuple(voids)


def record(run: TrackedRun, grid: Grid, verdict: Verdict) -> None:
    """Log a verdict to a run, with the tags by which `require_validated` finds it again."""
    run.log_json(verdict.to_dict(), VERDICT)
    counts = {"spectra": verdict.rows, "passed": float(verdict.passed), "warnings": len(verdict.warnings)}
    run.log_metrics({name: float(count) for name, count in counts.items()})
    checked_by = verdict.contract_digest, verdict.expectations_digest
    run.set_tags({**_tags(grid, checked_by, verdict.passed), "grid_digest": verdict.digest})


def _earlier_pass(grid: Grid, contract: Contract) -> tuple[str, dict[str, object]] | None:
    """Run id and verdict of a check that this grid passed; its flux is read only where there may be one."""
    checked_by = contract.digest, contract.expectations_digest
    for run_id, tags in tracking.finished_runs(_tags(grid, checked_by, passed=True)).items():
        if tags.get("grid_digest") != grid.digest:
            continue
        verdict = tracking.logged_json(run_id, VERDICT)
        wanted = {"passed": True, "digest": grid.digest, "contract_digest": contract.digest}
        if isinstance(verdict, dict) and wanted.items() <= verdict.items():
            return run_id, verdict
    return None


def _tags(grid: Grid, checked_by: tuple[str, str], passed: bool) -> dict[str, str]:
    """What a run says of a check, but for the grid's digest; other versions of the package may check other things.

    checked_by: digests of the contract and of its further expectations.
    """
    return {
        "contract": checked_by[0],
        "expectations": checked_by[1] or "those of the contract",
        "columns_digest": _columns_digest(grid),
        "passed": str(passed).lower(),
        "checked_by": f"stellar-emulator {VERSION}",
    }


def _columns_digest(grid: Grid) -> str:
    """SHA-256 over what the grid's digest leaves out: run_id, weight and provenance."""
    hasher = hashlib.sha256(np.ascontiguousarray(grid.run_id, dtype="<i8").tobytes())
    hasher.update(np.ascontiguousarray(grid.weight, dtype="<f8").tobytes())
    hasher.update(json.dumps(grid.provenance, sort_keys=True).encode())
    return hasher.hexdigest()
