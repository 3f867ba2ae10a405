"""Real SQLite stores: new, shared, broken and read-only ones."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from synthetic import ROOT

JOB = """
import sys
from pathlib import Path
from stellar_emulator.registry.tracking import start_job
with start_job("job", Path(sys.argv[1])) as run:
    run.log_dataset("grid", "d" * 64, Path(sys.argv[1]) / "grid.parquet", "training")
    run.log_json({"said": 1}, "said.json")
"""

MAIN = "import sys; from stellar_emulator.cli import main; sys.exit(main())"


def started(code: str, *words: object, cwd: Path, store: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "MLFLOW_TRACKING_URI": store, "STELLAR_EMULATOR_CACHE": str(cwd / "cache")}
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_several_jobs_at_once_make_a_new_store_and_log_one_dataset(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/fresh.db"
    jobs = [started(JOB, tmp_path / f"output{number}", cwd=tmp_path, store=store) for number in range(4)]
    for job in jobs:
        _, said = job.communicate(timeout=300)
        assert job.returncode == 0, said
    with sqlite3.connect(tmp_path / "fresh.db") as database:
        assert database.execute("select count(*) from runs where status = 'FINISHED'").fetchone() == (4,)
        assert database.execute("select count(*) from datasets").fetchone() == (1,)


def test_files_lie_beside_the_database_wherever_the_command_runs(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "here").mkdir()
    store = f"sqlite:///{tmp_path}/elsewhere/m.db"
    job = started(JOB, tmp_path / "output", cwd=tmp_path / "here", store=store)
    _, said = job.communicate(timeout=300)
    assert job.returncode == 0, said
    assert {path.name for path in (tmp_path / "here").iterdir()} <= {"cache"}
    assert len(list((tmp_path / "elsewhere" / "mlruns").rglob("said.json"))) == 1


@pytest.mark.parametrize("fault", ["junk", "folder", "locked"])
def test_a_store_that_cannot_be_used_is_one_line(fault: str, tmp_path: Path) -> None:
    file = tmp_path / "m.db"
    if fault == "junk":
        file.write_text("this is no database, but a longer text than a header")
    if fault == "folder":
        file.mkdir()
    holder = sqlite3.connect(file) if fault == "locked" else None
    if holder:
        holder.execute("begin exclusive")
    job = started(
        MAIN,
        "history",
        "--contract",
        ROOT / "tests" / "data" / "tiny_contract.yaml",
        cwd=tmp_path,
        store=f"sqlite:///{file}?timeout=1",
    )
    _, said = job.communicate(timeout=300)
    if holder:
        holder.close()
    assert job.returncode == 3, said
    (line,) = said.splitlines()
    assert f"the tracking store sqlite:///{file}" in line
    assert "MLFLOW_TRACKING_URI" in line
