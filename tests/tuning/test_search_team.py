"""Who a process is, and workers that die."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from stellar_emulator.errors import InputError, SetupError
from stellar_emulator.tuning import team
from stellar_emulator.tuning.plan import Plan

ADDRESS = {team.ORACLE_IP: "127.0.0.1", team.ORACLE_PORT: "8001"}


@pytest.mark.parametrize(
    ("environment", "role"),
    [
        ({}, "alone"),
        ({team.TUNER_ID: "tuner0"}, "alone"),
        ({**ADDRESS, team.TUNER_ID: "chief"}, "chief"),
        ({**ADDRESS, team.TUNER_ID: "worker7"}, "worker"),
    ],
)
def test_keras_tuners_variables_say_who_a_process_is(environment: dict[str, str], role: str) -> None:
    assert team.role(environment) == role


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (ADDRESS, "KERASTUNER_TUNER_ID must be set too"),
        ({team.TUNER_ID: "chief", team.ORACLE_PORT: "1"}, "KERASTUNER_ORACLE_IP must be set too"),
        ({**ADDRESS, team.TUNER_ID: "chief", team.ORACLE_PORT: "http"}, "'http' is no port"),
    ],
)
def test_incomplete_variables_are_refused(environment: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        team.role(environment)


def test_a_chief_gives_its_variables_back() -> None:
    with team.chief_environment(os.environ):
        assert team.role(os.environ) == "chief"
    assert team.role(os.environ) == "alone"


def test_a_budget_without_room_for_a_trial_is_refused() -> None:
    with pytest.raises(InputError, match="trial_minutes = 5 is more than minutes = 2"):
        Plan("chain", "random", 3, 4, 2.0, 5.0, 1).check()


class Oracle:
    """What a chief's oracle shows of itself."""

    def __init__(self, stopped: bool = False, **ongoing: str) -> None:
        self.stopped, self.ongoing_trials = stopped, ongoing
        self.taken: list[Any] = []

    def take_back(self, name: str) -> None:
        self.taken.append(name)


class Workers(team.LocalWorkers):
    """Workers that run a line of Python in place of the command."""

    def __enter__(self) -> "Workers":
        super().__enter__()
        return self

    code = "import time; time.sleep(60)"

    def _start(self, name: str) -> None:
        with self._log(name).open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, "-c", self.code], stdin=subprocess.PIPE, stdout=log, stderr=log
            )


def workers(folder: Path, code: str) -> Workers:
    made = Workers(words=[], count=1, logs=folder, environment={})
    made.code = code
    return made


def revived(local: Workers, oracle: Any) -> None:
    for process in local.running.values():
        process.wait()
    local.revive(oracle)


def test_a_killed_worker_comes_again_and_one_that_is_done_does_not(tmp_path: Path) -> None:
    with workers(tmp_path, "import os; os.kill(os.getpid(), 9)") as local:
        first = local.running["worker1"].pid
        revived(local, Oracle())
        assert local.running["worker1"].pid != first
    with workers(tmp_path, "pass") as local:
        revived(local, Oracle())
        assert not local.running


def test_a_worker_killed_after_the_last_trial_is_not_waited_for(tmp_path: Path) -> None:
    oracle = Oracle(stopped=True)
    with workers(tmp_path, "import os; os.kill(os.getpid(), 9)") as local:
        revived(local, oracle)
        assert not local.running
    assert oracle.taken == ["worker1"]


def test_a_worker_killed_too_often_is_given_up(tmp_path: Path) -> None:
    oracle = Oracle(worker1="3")
    with workers(tmp_path, "import os; os.kill(os.getpid(), 9)") as local:
        for _ in range(team.RESTARTS):
            revived(local, oracle)
        assert oracle.taken == []
        with pytest.raises(SetupError, match="killed 10 times, the last one by SIGKILL"):
            revived(local, oracle)
    assert oracle.taken == ["worker1"]


def test_an_error_of_a_worker_is_told_in_its_words(tmp_path: Path) -> None:
    code = "import sys; print('stellar-emulator: error: no store'); sys.exit(3)"
    with (
        workers(tmp_path, code) as local,
        pytest.raises(SetupError, match=r"worker1 ended with exit code 3: stellar-emulator: error: no store"),
    ):
        revived(local, Oracle())


def test_workers_end_with_their_chief(tmp_path: Path) -> None:
    """The watch reads a pipe that only the chief holds open."""
    watch = team._WATCHED.partition("from stellar_emulator")[0] + "import time; time.sleep(60)"
    worker = subprocess.Popen([sys.executable, "-c", watch], stdin=subprocess.PIPE)
    assert worker.stdin is not None
    time.sleep(0.1)
    assert worker.poll() is None
    worker.stdin.close()
    assert worker.wait(timeout=60) == 1


def test_a_trial_of_a_silent_worker_is_overdue() -> None:
    class Trial:
        trial_id = "4"

    overdue = team._Overdue(longest=-1.0)
    assert overdue(Oracle(far=Trial())) == ["far"]  # type: ignore[arg-type]
    assert team._Overdue(longest=1e6)(Oracle(far=Trial())) == []  # type: ignore[arg-type]
