"""The lock of an output folder, which admits one process at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from stellar_emulator.errors import InputError


def make_folder(folder: Path) -> None:
    """Make an output folder. Raises `InputError` if that can't be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} can't be made a folder: {error.strerror}") from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; the system releases it however this process ends. Raises `InputError` if it is held."""
    path = folder / ".lock"
    with path.open("a+") as stream:
        if not _claim(stream, path):
            stream.seek(0)
            raise InputError(
                f"{folder} is being filled by another process ({stream.read().strip()}): wait for it, or use "
                "another folder"
            )
        stream.truncate(0)
        stream.write(f"{os.getpid()}\n")
        stream.flush()
        try:
            yield
        finally:
            path.unlink()


def _claim(stream: TextIO, path: Path) -> bool:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The holder may have removed its file between our opening and locking it.
        return os.path.samestat(os.fstat(stream.fileno()), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False
