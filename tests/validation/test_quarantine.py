"""Parting a grid, down to the row; files that appear together or not at all."""

import hashlib
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pyarrow.parquet as pq
import pytest
from fresh_store import fresh_store
from synthetic import ROOT, TINY, synthetic_rows, write_rows

from stellar_emulator.errors import InputError, RefusedError
from stellar_emulator.grid.store import Grid, Rows, flux_digests, open_parquet
from stellar_emulator.validation.check import check
from stellar_emulator.validation.quarantine import Quarantine, quarantine
from stellar_emulator.validation.set_aside import GOOD, QUARANTINED, REASONS, set_aside


@pytest.fixture
def rows() -> Rows:
    return synthetic_rows(runs=40)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A tracking store for the runs that check good parts."""
    mlflow.set_tracking_uri(fresh_store(tmp_path_factory.mktemp("store")))
    yield
    mlflow.set_tracking_uri("")


def spoil(rows: Rows) -> None:
    """One spectrum each: a NaN pixel, a label out of bounds, a missing label, dark flux; row 60 has two faults."""
    rows.flux[5, 7] = np.nan
    rows.labels[20, 0] = 9000.0
    rows.labels[41, 1] = np.nan
    rows.flux[60, :3] = -0.5
    rows.labels[60, 2] = -1.0


def copy(rows: Rows, of: int, to: int, flux: bool = True, labels: bool = True) -> None:
    if flux:
        rows.flux[to] = rows.flux[of]
    if labels:
        rows.labels[to] = rows.labels[of]


def parted(tmp_path: Path, rows: Rows) -> Quarantine:
    return quarantine(check(write_rows(tmp_path / "grid.parquet", rows), TINY), TINY)


def test_a_sound_grid_has_nothing_to_set_aside(tmp_path: Path, rows: Rows) -> None:
    found = parted(tmp_path, rows)
    np.testing.assert_array_equal(found.good, np.arange(160))
    assert len(found.bad) == 0
    assert found.reasons == {}


def test_each_bad_row_has_all_its_reasons(tmp_path: Path, rows: Rows) -> None:
    spoil(rows)
    found = parted(tmp_path, rows)
    assert found.bad.tolist() == list(found.reasons) == [5, 20, 41, 60]
    np.testing.assert_array_equal(np.sort(np.concatenate([found.good, found.bad])), np.arange(160))
    assert "NaN" in found.reasons[5][0]
    assert found.reasons[20] == ("teff lies outside 4000 to 8000 K",)
    assert any(reason.startswith("m_h") for reason in found.reasons[41])
    assert {reason.split()[0] for reason in found.reasons[60]} == {"vsini", "flux"}


def test_of_true_copies_one_is_kept(tmp_path: Path, rows: Rows) -> None:
    copy(rows, 10, 11)
    copy(rows, 10, 90)
    rows.run_id[90] = rows.run_id[10]
    found = parted(tmp_path, rows)
    assert found.bad.tolist() == [11, 90]


def test_a_copy_that_is_bad_in_itself_is_not_kept(tmp_path: Path, rows: Rows) -> None:
    rows.flux[10, 3] = np.nan
    copy(rows, 10, 11)
    assert parted(tmp_path, rows).bad.tolist() == [10, 11]


def test_one_flux_under_two_labels_is_set_aside_with_both(tmp_path: Path, rows: Rows) -> None:
    copy(rows, 10, 11, labels=False)
    copy(rows, 10, 12)
    assert parted(tmp_path, rows).bad.tolist() == [10, 11, 12]


def test_a_grid_at_fault_as_a_whole_or_in_every_row_is_refused(tmp_path: Path, rows: Rows) -> None:
    wrong = check(write_rows(tmp_path / "axis.parquet", rows, wavelength=TINY.wavelength.pixels + 1.0), TINY)
    with pytest.raises(RefusedError, match=r"grid as a whole breaks the data contract.*wavelengths"):
        quarantine(wrong, TINY)
    rows.flux[:, 0] = np.nan
    with pytest.raises(RefusedError, match="every spectrum breaks the data contract"):
        parted(tmp_path, rows)


def hashes(grid: Grid) -> list[str]:
    """SHA-256 of each row: everything that a grid holds of it."""
    columns = np.column_stack([grid.run_id, grid.weight, grid.labels])
    flux = [digest for _, flux in grid.batches() for digest in flux_digests(flux)]
    return [
        hashlib.sha256(row.tobytes() + digest.encode()).hexdigest() for row, digest in zip(columns, flux, strict=True)
    ]


@pytest.mark.usefixtures("store")
def test_good_and_bad_together_are_the_input_row_for_row(tmp_path: Path, rows: Rows) -> None:
    spoil(rows)
    grid = write_rows(tmp_path / "grid.parquet", rows)
    output = tmp_path / "output"
    output.mkdir()
    said = set_aside(grid, TINY, check(grid, TINY), output)
    assert said.splitlines() == [f"156 good spectra: {output / GOOD}", f"4 set aside: {output / QUARANTINED}"]
    good, bad = (hashes(open_parquet(output / name, TINY)) for name in (GOOD, QUARANTINED))
    reasons = pq.read_table(output / REASONS).to_pydict()
    whole = [""] * grid.rows
    for row, found in zip(reasons["row"], bad, strict=True):
        whole[row] = found
    rest = iter(good)
    assert [found or next(rest) for found in whole] == hashes(grid)
    assert next(rest, None) is None
    assert reasons["run_id"] == [1, 5, 10, 15]
    assert all(reasons["reasons"])
    kept = open_parquet(output / QUARANTINED, TINY)
    assert np.isnan(kept.take(np.array([0]))[0, 7])
    assert np.isnan(kept.labels[2, 1])


@pytest.mark.usefixtures("store")
def test_the_good_part_passes_and_says_where_it_is_from(tmp_path: Path, rows: Rows) -> None:
    spoil(rows)
    grid = write_rows(tmp_path / "grid.parquet", rows)
    set_aside(grid, TINY, check(grid, TINY), tmp_path)
    good = open_parquet(tmp_path / GOOD, TINY)
    assert check(good, TINY).verdict.passed
    assert good.provenance["part_of"] == {"digest": grid.digest, "rows": 160, "provenance": grid.provenance}
    (run,) = mlflow.MlflowClient().search_runs(["0"], f"tags.grid_digest = '{good.digest}'", max_results=1)
    assert run.data.tags["passed"] == "true"
    assert run.data.tags["contract"] == TINY.digest


@pytest.mark.usefixtures("store")
def test_nothing_to_set_aside_leaves_an_empty_part(tmp_path: Path, rows: Rows) -> None:
    grid = write_rows(tmp_path / "grid.parquet", rows)
    set_aside(grid, TINY, check(grid, TINY), tmp_path)
    assert open_parquet(tmp_path / GOOD, TINY).digest == grid.digest
    assert open_parquet(tmp_path / QUARANTINED, TINY).rows == 0


@pytest.mark.usefixtures("store")
def test_a_grid_that_can_t_be_parted_leaves_no_file_of_an_earlier_one(tmp_path: Path, rows: Rows) -> None:
    grid = write_rows(tmp_path / "grid.parquet", rows)
    set_aside(grid, TINY, check(grid, TINY), tmp_path)
    wrong = write_rows(tmp_path / "wrong.parquet", rows, medium="air")
    with pytest.raises(InputError, match="wavelengths are in air"):
        set_aside(wrong, TINY, check(wrong, TINY), tmp_path)
    assert not any((tmp_path / name).exists() for name in (GOOD, QUARANTINED, REASONS))


# Kills itself in the middle: at the second row group, or when the second of three finished files gets its name.
KILLED = """
import os, pickle, signal, sys
from pathlib import Path
from stellar_emulator.contract.contract import read_contract
from stellar_emulator.grid.store import Grid, open_parquet
from stellar_emulator.validation.set_aside import set_aside

moment, folder, contract = sys.argv[1], Path(sys.argv[2]), read_contract(sys.argv[3])
calls = 0

def deadly(call):
    def inner(*arguments):
        global calls
        calls += 1
        if calls == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments)
    return inner

grid = open_parquet(folder / "grid.parquet", contract)
validation = pickle.loads((folder / "validation").read_bytes())
if moment == "writing":
    Grid.take = deadly(Grid.take)
else:
    import stellar_emulator.validation.set_aside as module
    module._require_good = lambda *arguments: setattr(Path, "rename", deadly(Path.rename))
set_aside(grid, contract, validation, folder / "output")
"""


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("moment", ["writing", "naming"])
def test_killed_midway_it_leaves_neither_part_half_written(tmp_path: Path, rows: Rows, moment: str) -> None:
    spoil(rows)
    grid = write_rows(tmp_path / "grid.parquet", rows)
    output = tmp_path / "output"
    output.mkdir()
    validation = check(grid, TINY)
    (tmp_path / "validation").write_bytes(pickle.dumps(replace(validation, results={})))
    (tmp_path / "killed.py").write_text(KILLED)
    done = subprocess.run(
        [sys.executable, tmp_path / "killed.py", moment, tmp_path, ROOT / "tests" / "data" / "tiny_contract.yaml"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "MLFLOW_TRACKING_URI": mlflow.get_tracking_uri()},
        capture_output=True,
        check=False,
    )
    assert done.returncode == -9, done.stderr.decode()[-500:]
    assert any(output.rglob("*.parquet*"))
    assert not (output / GOOD).exists()
    assert not (output / QUARANTINED).exists()
    set_aside(grid, TINY, validation, output)
    assert {path.name for path in output.iterdir()} == {GOOD, QUARANTINED, REASONS}
