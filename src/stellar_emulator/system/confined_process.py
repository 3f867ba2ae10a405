"""The process that `stellar_emulator.system.confined` asks: it reads files within limits, until none asks."""

import importlib
import math
import os
import pickle
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from stellar_emulator.errors import InputError, SetupError
from stellar_emulator.system.confined import Limits

_FORBIDDEN = (
    "socket.",
    "subprocess.",
    "urllib.",
    "http.",
    "ftplib.",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
)
"""Beginnings of the audit events of whatever reaches out."""

LIBRARIES = 1024 * 2**20
"""Address space for libraries that are loaded while a file is read."""

TIRED_BYTES = 512 * 2**20
"""By which a process may have grown since it began before another one takes its place."""

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass
class Fence:
    """An audit hook that lets Python open one file, beside its own modules, and reach nothing else."""

    file: str = ""
    roots: tuple[str, ...] = field(
        default_factory=lambda: tuple(
            {os.path.realpath(root) + os.sep for root in (*sys.path, sys.prefix, sys.base_prefix)}
        )
    )

    def __call__(self, event: str, given: tuple[Any, ...]) -> None:
        """Raise `PermissionError` for an event that is not allowed while a file is read."""
        if not self.file:
            return
        if event.startswith(_FORBIDDEN):
            raise PermissionError(f"it names something outside ({event}), which is not fetched")
        if event != "open" or isinstance(given[0], int) or given[0] is None:
            return
        place = os.path.realpath(os.fsdecode(given[0]))
        if place != self.file and (
            int(given[2] or 0) & _WRITES or not place.startswith((*self.roots, "/dev/", "/proc/"))
        ):
            raise PermissionError(f"it names another file, {os.fsdecode(given[0])!r:.100}, which is not opened")


def main() -> None:
    """Answer what comes on standard input until it ends."""
    answers = os.fdopen(os.dup(1), "wb")
    # What libraries print must not come between the answers.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    fence = Fence()
    sys.addaudithook(fence)
    began = None
    while True:
        try:
            module, name, path, real, given, limits = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        read = getattr(importlib.import_module(module), name)
        began = began or _used()
        kind, found = _answered(fence, partial(read, Path(path), *given), real, limits)
        _answer(answers, (kind, found, _used() - began > TIRED_BYTES))
        del found


def _answered(fence: Fence, read: Callable[[], Any], real: str, limits: Limits) -> tuple[str, Any]:
    try:
        _limit(limits)
        fence.file = real
        return "found", read()
    except InputError as error:
        return ("memory", None) if _of_memory(error) else ("refused", str(error))
    except SetupError as error:
        return "setup", str(error)
    except MemoryError:
        return "memory", None
    except OSError as error:
        return ("memory", None) if _of_memory(error) else ("system", str(error))
    except Exception as error:
        return ("memory", None) if _of_memory(error) else ("failed", f"{type(error).__name__}: {error}")
    finally:
        fence.file = ""


def _answer(answers: BinaryIO, answer: tuple[str, Any, bool]) -> None:
    try:
        pickle.dump(answer, answers, protocol=5)
        answers.flush()
    except MemoryError:
        os._exit(1)


def _of_memory(error: BaseException | None) -> bool:
    """Whether an error came of a lack of memory, at any remove."""
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _limit(limits: Limits) -> None:
    """Let the process take so much more than it has; of memory, where the system tells how much it has."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(time.process_time() + limits.seconds), hard))
    if not _used():
        return
    # Data is what is read into; the address space holds the libraries, too, which are read in when they are needed.
    for kind, field_of, room in ((resource.RLIMIT_DATA, 5, 0), (resource.RLIMIT_AS, 0, LIBRARIES)):
        _, hard = resource.getrlimit(kind)
        wanted = _used(field_of) + limits.memory + room
        resource.setrlimit(kind, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def _used(field_of: int = 5) -> int:
    """Bytes of data that the process has, or of what another field of statm counts; 0 where the system has no such."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[field_of]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return 0
