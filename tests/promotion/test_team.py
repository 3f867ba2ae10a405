"""What a team has: an MLflow server with PostgreSQL and an artifact store of its own, both started for real."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from arena import MODELS, Arena, without_page_and_server

from stellar_emulator.promotion.audit import chain
from stellar_emulator.promotion.champion import PairVersions

CRASH = Path(__file__).parents[1] / "support" / "crash.py"

pytestmark = pytest.mark.skipif(bool(os.environ.get("CI")), reason="starts PostgreSQL, which CI does not have")


def postgresql() -> Path:
    """Folder of PostgreSQL's programs; skips where they or the Python driver are not installed."""
    pytest.importorskip("psycopg2", reason="psycopg2 is not installed: pip install psycopg2-binary")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    if os.geteuid() == 0 and shutil.which("runuser") is None:
        pytest.skip("PostgreSQL refuses to run as root, and there is no runuser")
    return found[-1].parent


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def database() -> Iterator[str]:
    """A PostgreSQL of its own, with nothing in it."""
    programs, port = postgresql(), free_port()
    # Not below pytest's folder, which another user may not enter.
    with tempfile.TemporaryDirectory() as scratch:
        folder, as_user = Path(scratch), []
        if os.geteuid() == 0:
            as_user = ["runuser", "-u", "postgres", "--"]
            shutil.chown(folder, "postgres")
        data, options = folder / "data", f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"

        def run(program: str, *arguments: str | Path) -> None:
            command = [*as_user, programs / program, "-D", data, *arguments]
            subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, check=True)

        run("initdb", "-U", "mlflow", "--auth", "trust")
        run("pg_ctl", "-l", folder / "log", "-o", options, "-w", "start")
        try:
            yield f"postgresql+psycopg2://mlflow@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-m", "immediate", "stop")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an MLflow server on that database, which alone reaches the artifacts."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    with database() as address:
        stores = ["--backend-store-uri", address, "--artifacts-destination", str(folder / "artifacts")]
        command = [sys.executable, "-m", "mlflow", "server", *stores, "--port", str(port), "--workers", "1"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(f"{url}/health", process, folder / "log")
            yield url
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait()


def wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    while True:
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)


@pytest.fixture(scope="module")
def arena(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    made = Arena(tmp_path_factory.mktemp("arena"), server)
    made.build()
    with pytest.MonkeyPatch.context() as patch:
        without_page_and_server(patch)
        yield made


@pytest.fixture(scope="module")
def pairs(arena: Arena) -> tuple[PairVersions, PairVersions]:
    return arena.register(ripple=5e-4), arena.register(ripple=2e-4)


def test_promote_roll_back_and_verify(arena: Arena, pairs: tuple[PairVersions, PairVersions]) -> None:
    first, second = pairs
    for pair in pairs:
        ended = arena.promote(pair)
        assert ended.code == 0, ended.err
    assert arena.state() == (second, first)
    assert arena.run("rollback", "--reason", "a test").code == 0
    assert arena.state() == (first, None)
    assert {alias: int(version) for alias, version in arena.aliases()[MODELS.validator].items()} == {"champion": 1}
    history = arena.run("history", "--verify", "yes")
    assert history.code == 0, history.err
    assert "3 decisions, each as it was written" in history.out
    assert arena.locks() == []


def test_another_model_than_the_database_knows_is_refused(
    arena: Arena, pairs: tuple[PairVersions, PairVersions]
) -> None:
    first, second = pairs
    version = MODELS.emulator, str(second.emulator)
    digest = arena.client.get_model_version(*version).tags["digest"]
    arena.client.set_model_version_tag(*version, "digest", "0" * 64)
    ended = arena.promote(second)
    assert ended.code == 1
    assert "holds another model than was registered" in ended.err
    assert arena.state() == (first, None)
    arena.client.set_model_version_tag(*version, "digest", digest)
    assert arena.promote(second, "--dry_run", "yes").code == 0


def test_of_two_promotions_at_once_one_wins_and_the_other_is_told(
    arena: Arena, pairs: tuple[PairVersions, PairVersions]
) -> None:
    first, second = pairs
    code = "import sys, pytest; from arena import without_page_and_server as quick; quick(pytest.MonkeyPatch()); "
    code += "from stellar_emulator.cli import main; sys.exit(main(sys.argv[1:]))"
    given = ["--contract", "contract.yaml", "--grid", "gate.parquet", "--emulator", str(second.emulator)]
    tests = [str(CRASH.parent)]
    path = os.pathsep.join([*tests, *filter(None, [os.environ.get("PYTHONPATH")])])
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code, "promote", *given, "--output", name],
            cwd=arena.folder,
            env={**os.environ, "MLFLOW_TRACKING_URI": arena.store, "PYTHONPATH": path},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        for name in ("one", "two")
    ]
    ends = [child.communicate()[1] for child in children]
    codes = [child.returncode for child in children]
    # The second may come late enough to find the lock free again, and the champion its own.
    assert sorted(codes) in ([0, 3], [0, 0]), ends
    for code_of, end in zip(codes, ends, strict=True):
        assert not code_of or "is promoting or rolling back" in end.splitlines()[-1]
    assert arena.state() == (second, first)
    assert arena.locks() == []


def test_kill_9_at_any_moment(arena: Arena, pairs: tuple[PairVersions, PairVersions], tmp_path: Path) -> None:
    with arena.entered():
        for link in chain(MODELS.emulator):
            arena.client.delete_run(link.run_id)
    for name in (MODELS.emulator, MODELS.validator):
        arena.client.delete_registered_model(name)
    command = [sys.executable, str(CRASH), str(tmp_path), "--store", arena.store, "--writes", "no"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
