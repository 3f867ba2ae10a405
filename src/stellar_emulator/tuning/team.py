"""Keras Tuner's chief and workers: the role of this process, workers on this machine, and a chief that can't hang."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from stellar_emulator.errors import InputError, SetupError
from stellar_emulator.system.cores import cores

TUNER_ID, ORACLE_IP, ORACLE_PORT = "KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT"
"""Keras Tuner's own environment variables; an id that contains ``chief`` is that of the chief."""

RESTARTS = 10
"""Number of times that a killed worker is started again."""

FAREWELL = 30.0
"""Seconds that a chief waits after the last trial for workers of other machines to ask for the next one and leave."""

_WATCHED = """
import os, sys, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
from stellar_emulator.cli import main
sys.exit(main(sys.argv[1:]))
"""
"""Code of a worker that ends with its parent process: the parent's end of the pipe closes however it dies."""

Role = Literal["alone", "chief", "worker"]


def role(environment: Mapping[str, str]) -> Role:
    """The role of this process according to Keras Tuner's variables.

    Raises
    ------
    InputError
        If some of them are set and others are not.
    """
    names = (TUNER_ID, ORACLE_IP, ORACLE_PORT)
    missing = [name for name in names if not environment.get(name)]
    if missing and any(environment.get(name) for name in (ORACLE_IP, ORACLE_PORT)):
        raise InputError(f"{' and '.join(missing)} must be set too: chief and workers need all of {', '.join(names)}")
    if missing:
        return "alone"
    if not environment[ORACLE_PORT].isdecimal():
        raise InputError(f"{ORACLE_PORT} = {environment[ORACLE_PORT]!r} is no port: give a whole number up to 65535")
    return "chief" if "chief" in environment[TUNER_ID] else "worker"


@contextmanager
def chief_environment(environment: Mapping[str, str]) -> Iterator[None]:
    """Make this process a chief, by variables that are already set, or else on a free port of this machine."""
    if role(environment) == "chief":
        yield
        return
    own = {TUNER_ID: "chief", ORACLE_IP: "127.0.0.1", ORACLE_PORT: str(_free_port())}
    os.environ.update(own)
    try:
        yield
    finally:
        for name in own:
            del os.environ[name]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _ended(process: "subprocess.Popen[bytes]") -> None:
    """Wait for a worker's end, and close the pipe by which it knew that this process lives."""
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


@dataclass
class LocalWorkers:
    """Worker processes on this machine, each with its share of the cores, and started again if it is killed.

    words: those of the command that they run; logs: folder of their output; environment: variables besides this
    process's.
    """

    words: Sequence[str]
    count: int
    logs: Path
    environment: Mapping[str, str]
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)

    def __enter__(self) -> "LocalWorkers":
        for number in range(1, self.count + 1):
            self._start(f"worker{number}")
        return self

    def __exit__(self, *error: object) -> None:
        for process in self.running.values():
            process.kill()
            _ended(process)

    def revive(self, oracle: Any) -> None:
        """Remove workers that have finished, and restart those that were killed.

        Raises
        ------
        SetupError
            If a worker ended with an error, or the last one was killed too often.
        """
        for name, process in list(self.running.items()):
            code = process.poll()
            if code is None:
                continue
            _ended(process)
            if code > 0:
                raise SetupError(f"{name} ended with exit code {code}: {self._last_words(name)}")
            del self.running[name]
            if code < 0 and (name in oracle.ongoing_trials or not oracle.stopped):
                self._replace(name, signal.Signals(-code).name, oracle)
            elif code < 0:
                oracle.take_back(name)

    def _replace(self, name: str, by: str, oracle: Any) -> None:
        self.restarts[name] = self.restarts.get(name, 0) + 1
        if self.restarts[name] <= RESTARTS:
            self._start(name)  # A worker that asks under its old name gets its old trial from Keras Tuner.
            return
        oracle.take_back(name)
        if not self.running and not oracle.stopped:
            raise SetupError(f"all workers were killed {RESTARTS} times, the last one by {by}: see {self.logs}")

    def _start(self, name: str) -> None:
        share = str(max(1, cores() // self.count))
        threads = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        environment = {**dict.fromkeys(threads, share), "TQDM_DISABLE": "1", **os.environ}
        environment |= {**self.environment, TUNER_ID: name}
        with self._log(name).open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, "-c", _WATCHED, *self.words],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )

    def _log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def _last_words(self, name: str) -> str:
        lines = self._log(name).read_text(errors="replace").strip().splitlines()
        return f"{lines[-1] if lines else 'it said nothing'} (see {self._log(name)})"


def lead(tuner: Any, oracle: Any, local: LocalWorkers, longest: float) -> None:
    """Act as chief until all trials have ended: Keras Tuner's server answers, and unfinished trials of workers are
    queued.

    longest: seconds that a trial may take; a trial of another machine's worker that takes longer is given to the next.

    Raises
    ------
    SetupError
        If the server can't be started, or no worker is left.
    """
    failures: list[BaseException] = []
    server = threading.Thread(target=_serve, args=(tuner, failures), daemon=True)
    server.start()
    overdue, ended = _Overdue(longest), None
    while True:
        if failures:
            raise SetupError(
                f"the chief can't serve at {os.environ[ORACLE_IP]}:{os.environ[ORACLE_PORT]}: {failures[0]}"
            )
        local.revive(oracle)
        for name in overdue(oracle):
            if name not in local.running:
                oracle.take_back(name)
        if local.count and not local.running:
            return
        if not local.count and oracle.stopped and not oracle.ongoing_trials:
            ended = ended or time.monotonic()
            if not oracle.tuner_ids or time.monotonic() - ended > FAREWELL:
                return
        time.sleep(0.2)


def _serve(tuner: Any, failures: list[BaseException]) -> None:
    try:
        tuner.search()
    except Exception as error:
        failures.append(error)


class _Overdue:
    """Finds workers whose trial takes too long."""

    def __init__(self, longest: float) -> None:
        self.longest = longest
        self.since: dict[tuple[str, str], float] = {}

    def __call__(self, oracle: Any) -> list[str]:
        now = time.monotonic()
        ongoing = {(name, trial.trial_id) for name, trial in list(oracle.ongoing_trials.items())}
        self.since = {task: self.since.get(task, now) for task in ongoing}
        return [name for (name, _), began in self.since.items() if now - began > self.longest]
