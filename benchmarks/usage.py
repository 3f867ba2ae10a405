"""What a command takes with all that it starts: CPU, and the largest memory of the command and of each worker."""

import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from benchmarks.machine import Row

POLL = 0.1
"""Seconds between looks at the processes; each tells the largest memory that it has had."""

GIGABYTE = 2.0**30


@dataclass(frozen=True)
class Usage:
    """CPU seconds, and the largest resident memory in bytes: of the command, and of its largest child."""

    cpu: float
    command: int
    worker: int

    def rows(self) -> list[Row]:
        """Of a table."""
        named = (("of the command", self.command), ("of the largest worker", self.worker))
        return [(f"largest memory {what}", f"{size / GIGABYTE:.2f} GB", "<= 2 GB") for what, size in named if size]


def measured(words: list[str]) -> Usage:
    """Run a command to its end; if it fails, end this process with what it said."""
    before = _cpu()
    command, workers = 0, 0
    # Not a pipe: nobody reads it before the end, and long progress would fill it.
    with TemporaryFile("w+") as told:
        process = subprocess.Popen(words, stdout=told, stderr=subprocess.STDOUT)
        while process.poll() is None:
            command = max(command, _largest(process.pid))
            workers = max([workers, *(_largest(child) for child in _children(process.pid))])
            time.sleep(POLL)
        if process.returncode:
            told.seek(0)
            sys.exit(told.read())
    return Usage(_cpu() - before, command, workers)


def _cpu() -> float:
    """Seconds of processes that this one started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _largest(process: int) -> int:
    """Largest resident memory that a process has had in bytes; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    found = [line.split() for line in lines if line.startswith("VmHWM:")]
    return int(found[0][1]) * 1024 if found else 0


def _children(process: int) -> list[int]:
    """All processes that a process has started, from any of its threads, and theirs."""
    own = []
    for thread in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            own += [int(word) for word in thread.read_text().split()]
        except OSError:
            continue
    return own + [other for child in own for other in _children(child)]
