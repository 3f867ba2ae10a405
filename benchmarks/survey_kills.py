"""Kill -9 of command, worker and scheduler at random moments of a survey; then the same command, until it is whole.

First with a local cluster, then with scheduler and workers as processes of their own, as ``dask scheduler`` and ``dask
worker`` start them. After each kill of command or scheduler the same command is started again. Every star must have one
row, no finished file may change, a second command must be refused, and both ways must give the same rows.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.machine import Row, table
from benchmarks.survey import simulate

WORKERS = 2
CHUNK = 64
SECONDS = (0.0, 4.0)
"""Between a file that a command has added and the kill."""

PATIENCE = 1800.0
"""Seconds after which something that ought to happen counts as not happening."""

POLL = 0.05
REFUSED, LACKS = 2, 3
"""Exit codes: of a command that finds its folder in use, and of one that has lost its scheduler."""


def main() -> None:
    """Fill a folder either way, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stars", type=int, default=3000)
    parser.add_argument("--model", default="gaia_dr3_rvs")
    parser.add_argument("--rounds", type=int, default=2, help="kills of each kind, either way")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        simulate(folder / "stars.parquet", options.model, options.stars, options.seed)
        chance = random.Random(options.seed)
        ways = [
            LocalWay(folder / "local", folder / "stars.parquet", options.model, chance),
            ClusterWay(folder / "cluster", folder / "stars.parquet", options.model, chance),
        ]
        rows: list[Row] = []
        for way in ways:
            began = time.perf_counter()
            way.killed(options.rounds)
            rows += [(f"{way.title}: {what}", found, bar) for what, found, bar in way.judged(options.stars)]
            rows.append((f"{way.title}: time, restarts included", f"{time.perf_counter() - began:.0f} s", ""))
        same = _sorted(ways[0].found()).equals(_sorted(ways[1].found()))
    rows.append(("both ways: the same rows, in every bit", "yes" if same else "NO", "yes"))
    print(table(f"Kills during surveys of {options.stars:,} simulated stars, {options.model}", rows))


@dataclass
class Way:
    """A folder that is being filled, and what has happened to it.

    seen: when each finished file was written; changed: finished files that were written again; told: what was killed.
    """

    output: Path
    stars: Path
    model: str
    chance: random.Random
    seen: dict[Path, int] = field(default_factory=dict)
    changed: set[Path] = field(default_factory=set)
    told: dict[str, int] = field(default_factory=dict)
    planned: list[str] = field(default_factory=list)
    refused: int = 0
    restarts: int = 0

    title = ""
    kinds: tuple[str, ...] = ()

    def words(self) -> list[str]:
        words = [sys.executable, "-m", "stellar_emulator", "fit", str(self.stars), "--output", str(self.output)]
        return [*words, "--model", self.model, "--chunk", str(CHUNK)]

    def killed(self, rounds: int) -> None:
        """Kill each kind so often, in random order, then let the command end."""
        self.planned = kinds = [kind for kind in self.kinds for _ in range(rounds)]
        self.chance.shuffle(kinds)
        with self.command() as log:
            self.second_is_refused(log)
            for kind in kinds:
                if not self.strike(kind, log):
                    break
            self.wait_for(lambda: log.process.poll() is not None, log)
            log.expect(0)
        self.look()

    def strike(self, kind: str, log: "Started") -> bool:
        """Wait for a new file and some seconds more, then kill; False if the command has ended before."""
        before = len(self.look())
        self.wait_for(lambda: len(self.look()) > before or log.process.poll() is not None, log)
        time.sleep(self.chance.uniform(*SECONDS))
        self.look()
        if log.process.poll() is not None:
            return False
        self.kill(kind, log)
        self.told[kind] = self.told.get(kind, 0) + 1
        return True

    def kill(self, kind: str, log: "Started") -> None:
        """Kill -9 one of a kind; where that ends the command, start it again."""
        raise NotImplementedError

    def again(self, log: "Started", code: int) -> None:
        """Start the command once more after it has ended with a code."""
        self.wait_for(lambda: log.process.poll() is not None, log)
        log.expect(code)
        self.restarts += 1
        log.start(self.words())

    @contextmanager
    def command(self) -> "Iterator[Started]":
        with Started(self.output.with_suffix(".log")) as log:
            log.start(self.words())
            yield log

    def second_is_refused(self, log: "Started") -> None:
        """While the first command runs, the same one must be refused and must not harm it."""
        self.wait_for(lambda: self.look() or log.process.poll() is not None, log)
        second = subprocess.run(self.words(), check=False, capture_output=True, text=True)
        assert second.returncode == REFUSED, second.stderr
        assert "is being filled by another process" in second.stderr, second.stderr
        self.refused += 1

    def look(self) -> dict[Path, int]:
        """Finished files; those that were written again are noted."""
        for path in self.output.glob("part-*.parquet"):
            when = path.stat().st_mtime_ns
            if self.seen.setdefault(path, when) != when:
                self.changed.add(path)
        return self.seen

    def wait_for(self, happened: Any, log: "Started") -> None:
        end = time.monotonic() + PATIENCE
        while not happened():
            if time.monotonic() > end:
                sys.exit(f"{self.title}: nothing happens; {log.last()}")
            time.sleep(POLL)

    def found(self) -> pa.Table:
        return pq.read_table(self.output)

    def judged(self, stars: int) -> list[Row]:
        ids = self.found().column("source_id").to_numpy()
        whole = len(np.unique(ids))
        left = [path.name for path in self.output.iterdir() if path.name.startswith(".")]
        kills = ", ".join(f"{number} {kind}" for kind, number in sorted(self.told.items()))
        return [
            ("kill -9", kills, f"{len(self.planned)} in all"),
            ("the same command started again", f"{self.restarts}", ""),
            ("stars with a row, with two", f"{whole:,}, {len(ids) - whole}", f"{stars:,}, 0"),
            ("finished files that changed afterwards", f"{len(self.changed)} of {len(self.seen)}", "0"),
            ("unfinished files left", f"{len(left)}", "0"),
            ("second commands refused", f"{self.refused} of 1", "all"),
        ]


class LocalWay(Way):
    """Workers of the command's own."""

    title = "local cluster"
    kinds = ("command", "worker")

    def words(self) -> list[str]:
        return [*super().words(), "--workers", str(WORKERS)]

    def kill(self, kind: str, log: "Started") -> None:
        if kind == "command":
            log.process.kill()
            self.again(log, -signal.SIGKILL)
        else:
            workers = [child for child in _children(log.process.pid) if "spawn_main" in _words_of(child)]
            os.kill(self.chance.choice(workers), signal.SIGKILL)


@dataclass
class ClusterWay(Way):
    """Scheduler and workers of their own, each with its process."""

    cluster: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    title = "scheduler of its own"
    kinds = ("command", "worker", "scheduler")

    @property
    def card(self) -> Path:
        """Where the scheduler writes its address."""
        return self.output.with_name("scheduler.json")

    def words(self) -> list[str]:
        return [*super().words(), "--scheduler", str(json.loads(self.card.read_text())["address"])]

    @contextmanager
    def command(self) -> "Iterator[Started]":
        try:
            self.start_cluster()
            with super().command() as log:
                yield log
        finally:
            self.end_cluster()

    def kill(self, kind: str, log: "Started") -> None:
        if kind == "command":
            log.process.kill()
            self.again(log, -signal.SIGKILL)
        elif kind == "worker":
            place = self.chance.randrange(1, len(self.cluster))
            _end(self.cluster[place])
            self.cluster[place] = self.worker()
        else:
            _end(self.cluster[0])
            self.wait_for(lambda: log.process.poll() is not None, log)
            log.expect(LACKS, "scheduler was lost; finished chunks are kept")
            self.end_cluster()
            self.start_cluster()
            self.again(log, LACKS)

    def start_cluster(self) -> None:
        self.card.unlink(missing_ok=True)
        words = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file"]
        self.cluster = [_dask([*words, str(self.card)])]
        end = time.monotonic() + PATIENCE
        while not (self.card.exists() and self.card.stat().st_size):
            if time.monotonic() > end or self.cluster[0].poll() is not None:
                sys.exit("no Dask scheduler starts")
            time.sleep(POLL)
        self.cluster += [self.worker() for _ in range(WORKERS)]

    def worker(self) -> "subprocess.Popen[bytes]":
        return _dask(["worker", "--scheduler-file", str(self.card), "--nthreads", "1", "--no-dashboard"])

    def end_cluster(self) -> None:
        for process in self.cluster:
            _end(process)


class Started:
    """A command whose output goes to a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stream: IO[bytes] | None = None
        self.process: subprocess.Popen[bytes]

    def __enter__(self) -> "Started":
        return self

    def start(self, words: list[str]) -> None:
        self.close()
        self.stream = self.path.open("wb")
        self.process = subprocess.Popen(words, stdout=self.stream, stderr=self.stream)

    def expect(self, code: int, told: str = "") -> None:
        """End this benchmark unless the command has ended with a code and said something."""
        found = self.process.wait()
        if found != code or told not in self.path.read_text():
            sys.exit(f"the command ended with {found}, not {code} {told}: {self.last()}")

    def last(self) -> str:
        return self.path.read_text()[-2000:]

    def close(self) -> None:
        if self.stream is not None:
            self.stream.close()

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.close()


def _dask(words: list[str]) -> "subprocess.Popen[bytes]":
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    whole = [sys.executable, "-m", "dask", *words]
    return subprocess.Popen(whole, env=environment, start_new_session=True, **quiet)  # type: ignore[call-overload,no-any-return]


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill -9 a process with all that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _children(process: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def _words_of(process: int) -> str:
    return Path(f"/proc/{process}/cmdline").read_text().replace("\0", " ")


def _sorted(found: pa.Table) -> pa.Table:
    return found.sort_by("source_id").replace_schema_metadata()


if __name__ == "__main__":
    main()
