"""How much of a search is spent outside of training, and what kills do to it."""

import argparse
import csv
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
from mlflow.entities import Run, RunStatus

from benchmarks.machine import table

BAR = 0.10
_COMMAND = "import sys; from stellar_emulator.cli import main; sys.exit(main(sys.argv[1:]))"

Row = tuple[str, str, str]


def main() -> None:
    """Search in a fresh folder and print one of two tables; docs/benchmarks/search.md has both, with their options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--trial_minutes", type=float, default=2.0)
    parser.add_argument("--kills", type=int, default=0, help="times to kill the search, at random, and resume it")
    parser.add_argument("--seed", type=int, default=1, help="of the moments of the kills")
    parser.add_argument("--options", default="", help="further options of tune, in one string")
    arguments = parser.parse_args()
    if arguments.kills >= arguments.trials:
        parser.error(f"--kills {arguments.kills}: each falls into other trials, so give more --trials than that")
    with tempfile.TemporaryDirectory() as folder:
        search = _Search(Path(folder), arguments)
        kills = list(search.killed(arguments.kills, arguments.seed))
        wall = search.ended()
        rows = _kept(search, kills) if kills else _times(search, wall)
        print(table(f"Search of {arguments.trials} trials" + (f", {len(kills)} kills" if kills else ""), rows))


@dataclass(frozen=True)
class _Kill:
    """Seconds after its command began, and the trials that had ended by then."""

    seconds: float
    ended: set[str]


class _Search:
    """One search by the command that users have, in a folder and an MLflow store of its own."""

    def __init__(self, folder: Path, arguments: argparse.Namespace) -> None:
        self.output, self.trials, self.minutes = folder / "tune", arguments.trials, arguments.trial_minutes
        self.store = f"sqlite:///{folder / 'mlflow.db'}"
        self.words = [
            *("tune", "--algorithm", "random", "--output", str(self.output)),
            *("--trials", str(self.trials), "--trial_minutes", str(self.minutes)),
            *("--minutes", str(10 * self.trials * self.minutes), *shlex.split(arguments.options)),
        ]

    def ended(self) -> float:
        """Run to the end; return the seconds since its state was first there."""
        with self._command() as process:
            while not self._opened() and process.poll() is None:
                time.sleep(0.05)
            began = time.monotonic()
            if process.wait() != 0:
                raise SystemExit(process.returncode)
            return time.monotonic() - began

    def killed(self, times: int, seed: int) -> Iterator[_Kill]:
        """Run and kill: each time some seconds, at most a trial's, after a number of trials have ended."""
        random = np.random.default_rng(seed)
        for count in sorted(random.choice(self.trials, times, replace=False)):
            began, wait = time.monotonic(), random.uniform(0.0, 60.0 * self.minutes)
            with self._command() as process:
                while len(self._ended_trials()) < count and process.poll() is None:
                    time.sleep(0.05)
                moment = time.monotonic() + wait
                while time.monotonic() < moment and process.poll() is None:
                    time.sleep(0.01)
                if process.poll() is not None:
                    raise SystemExit(f"the search ended before it could be killed: {process.returncode}")
            yield _Kill(time.monotonic() - began, self._ended_trials())

    def runs(self) -> list[Run]:
        """MLflow's runs of trials."""
        client = mlflow.MlflowClient(self.store)
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        return [run for run in client.search_runs(experiments, max_results=1000) if "trial" in run.data.tags]

    def rows(self) -> list[dict[str, str]]:
        """Rows of the search's table."""
        with (self.output / "trials.csv").open() as stream:
            return list(csv.DictReader(stream))

    def taught(self) -> float:
        """Seconds that a teacher learned."""
        return sum(float(np.load(path)["seconds"]) for path in self.output.glob("searches/*/shared/*lessons.npz"))

    @contextmanager
    def _command(self) -> Iterator[subprocess.Popen[bytes]]:
        """The command in a process group of its own, which is killed (-9) if it still runs at the end."""
        environment = {**os.environ, "MLFLOW_TRACKING_URI": self.store}
        command = [sys.executable, "-c", _COMMAND, *self.words]
        with subprocess.Popen(command, env=environment, stdout=sys.stderr, start_new_session=True) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)

    def _ended_trials(self) -> set[str]:
        return {path.parent.name.removeprefix("trial_") for path in self.output.glob("searches/*/trial_*/result.json")}

    def _opened(self) -> bool:
        return bool(list(self.output.glob("searches/*/search.json")))


def _ended(run: Run) -> bool:
    return str(run.info.status) != RunStatus.to_string(RunStatus.RUNNING)


def _times(search: _Search, wall: float) -> list[Row]:
    trials, taught = search.rows(), search.taught()
    fits = sum(float(trial["fit_seconds"]) for trial in trials) + taught
    inside = sum(float(trial["seconds"]) for trial in trials) + taught
    failed = sum(trial["verdict"] == "failed" for trial in trials)
    return [
        ("the search (s), from the opened grid to its tables and figure", f"{wall:.0f}", ""),
        ("inside fits (s)", f"{fits:.0f}", ""),
        ("of that: the teacher, which all trials share (s)", f"{taught:.0f}", ""),
        ("outside fits", f"{1.0 - fits / wall:.1%}", f"<= {BAR:.0%}"),
        ("of that: building, measuring and costing the trials", f"{(inside - fits) / wall:.1%}", ""),
        ("failed trials", str(failed), ""),
    ]


def _kept(search: _Search, kills: list[_Kill]) -> list[Row]:
    trials = [row["trial"] for row in search.rows()]
    runs = [run.data.tags["trial"] for run in search.runs()]
    lost = set().union(*(kill.ended for kill in kills)) - set(trials)
    running = sum(not _ended(run) for run in search.runs())
    wanted = [f"{number:02d}" for number in range(search.trials)]
    moments = ", ".join(f"{kill.seconds:.0f} s ({len(kill.ended)} trials ended)" for kill in kills)
    return [
        ("killed (-9), seconds after the command began", moments, ""),
        ("trials in the table, each once", str(sorted(trials) == wanted), "True"),
        ("trials in MLflow, each in one run", str(sorted(runs) == wanted), "True"),
        ("ended before a kill and lost", str(len(lost)), "0"),
        ("runs still called running", str(running), "0"),
    ]


if __name__ == "__main__":
    main()
