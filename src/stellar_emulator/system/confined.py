"""Reads files that anybody may have made in a process that is bounded in memory and time, and opens that file alone.

A file can unpack into a thousand times its size, in more ways than a reader can look for beforehand: compressed
streams, dictionaries, entities, aliases, lengths that a header states. It can name other files and addresses, too,
which some libraries then open. So whatever reads such a file does it in here, and what comes back are plain arrays and
texts.

The process is started once and reads file after file; it is ended when a file was too much for it.
"""

import atexit
import io
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, is_dataclass
from enum import Enum
from pathlib import Path
from typing import IO, Any, TypeVar, cast

from stellar_emulator.errors import InputError, SetupError

T = TypeVar("T")

MIB = 2**20

_CLASSES = {
    ("builtins", "complex"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
}
"""What an answer may be made of, beside this package's own dataclasses and enumerations."""

_ENVIRONMENT = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "ARROW_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}
"""Threads and pools of memory set address space aside that nothing is read into."""


@dataclass(frozen=True)
class Limits:
    """What reading one file may take; and what to do with a file that takes more.

    memory: bytes. seconds: of the processor; `PATIENCE` times as many go by at most.
    """

    memory: int
    seconds: float
    remedy: str


PATIENCE = 10
"""On a machine whose processor others take, too."""

UPLOADS = Limits(256 * MIB, 30.0, "give it to the verb infer")
"""For files that come over the network."""

_LEAST, _TIMES, _SECONDS = 1024 * MIB, 64, 3600.0
_REMEDY = "write it again without compression, or in several files"


def of_own_files(path: Path) -> Limits:
    """For files of the user's own: 1 GiB, or 64 times the file's size where that is more; an hour."""
    return Limits(max(_LEAST, _TIMES * path.stat().st_size), _SECONDS, _REMEDY)


def check_unpacked(path: Path, size: int) -> None:
    """Check into how many bytes a file of the user's own unpacks, for readers that take it in parts.

    Raises
    ------
    InputError
        If there are more than `of_own_files` allows.
    """
    limits = of_own_files(path)
    if size > limits.memory:
        raise InputError(f"{path} unpacks into {size / MIB:,.0f} MiB, more than {limits.memory // MIB:,}: {_REMEDY}")


def confined(read: Callable[..., T], path: Path, limits: Limits, *given: object) -> T:
    """Return what a function of a module makes of a file; it must be made of arrays, texts and frozen dataclasses.

    given: what else the function is given.

    Raises
    ------
    InputError
        As the function does, or if it takes more than the limits, or dies.
    OSError
        As the function does, or if it opens another file or an address.
    """
    with _LOCK:
        return cast(T, _process().ask(read, path, limits, given))


class _Reader:
    """The process, as this one sees it."""

    def __init__(self) -> None:
        words = [sys.executable, "-c", f"from {__package__}.confined_process import main; main()"]
        environment = {**os.environ, **_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        try:
            self._process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
            )
        except OSError as error:
            raise SetupError(f"no process to read files in can be started: {error.strerror}") from error

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def ask(self, read: Callable[..., Any], path: Path, limits: Limits, given: tuple[Any, ...]) -> Any:
        """What `confined` returns and raises."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        late = threading.Event()
        timer = threading.Timer(PATIENCE * limits.seconds, self._stop, [late])
        timer.daemon = True
        timer.start()
        try:
            question = (read.__module__, read.__qualname__, str(path), os.path.realpath(path), given, limits)
            pickle.dump(question, self._process.stdin)
            self._process.stdin.flush()
            kind, found, tired = _Plain(self._process.stdout).load()
        except pickle.UnpicklingError as error:
            self.end()
            raise InputError(f"{path} can't be read: {error}") from error
        except (EOFError, OSError) as error:
            self.end(patience=1.0)
            if late.is_set() or self._process.returncode == -signal.SIGXCPU:
                raise InputError(f"{path} takes longer than {limits.seconds:g} s to read: {limits.remedy}") from error
            raise InputError(f"{path} can't be read: {_too_big(limits)}, or the library that reads it broke") from error
        except BaseException:
            self.end()
            raise
        finally:
            timer.cancel()
        if tired or kind == "memory":
            self.end()
        if kind == "memory":
            raise InputError(f"{path} can't be read: {_too_big(limits)}: {limits.remedy}")
        if kind == "refused":
            raise InputError(str(found))
        if kind == "setup":
            raise SetupError(str(found))
        if kind == "system":
            raise OSError(found)
        if kind == "failed":
            raise SetupError(f"reading {path} failed: {found}")
        return found

    def _stop(self, late: threading.Event) -> None:
        late.set()
        self._process.kill()

    def end(self, patience: float = 0.0) -> None:
        """End the process, if it does not end by itself within some seconds."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(patience)
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            _closed(stream)
        self._process.wait()


class _Plain(pickle.Unpickler):
    """Loads arrays, texts and this package's dataclasses, and nothing that could do anything."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _CLASSES:
            return super().find_class(module, name)
        found = (
            super().find_class(module, name) if module in sys.modules and module.startswith("stellar_emulator.") else 0
        )
        if isinstance(found, type) and (is_dataclass(found) or issubclass(found, Enum)):
            return found
        raise pickle.UnpicklingError(f"{module}.{name} is no array, no text and no table")


def _too_big(limits: Limits) -> str:
    return f"it takes more than {limits.memory // MIB} MiB of memory when it is unpacked"


def _closed(stream: IO[bytes] | None) -> None:
    if isinstance(stream, io.IOBase):
        with suppress(OSError):  # what was not yet written has nobody who reads it
            stream.close()


_LOCK = threading.Lock()
_READER: _Reader | None = None


def _process() -> _Reader:
    global _READER
    if _READER is None or not _READER.runs:
        if _READER is None:
            atexit.register(_end)
        _READER = _Reader()
    return _READER


def _end() -> None:
    if _READER is not None:
        _READER.end()
