"""Writes a file of spectra in the format of its suffix, at once or not at all."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from stellar_emulator.errors import InputError, SetupError
from stellar_emulator.writers.batch import Generated

SUFFIXES = (".fits", ".parquet", ".csv", ".png")


def check_output(path: Path) -> None:
    """Refuse a file that can't be written, before anything is computed.

    Raises
    ------
    InputError
        If its suffix is not one of `SUFFIXES`, it is a folder, or its folder can't be made.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: the suffix '{path.suffix}' is not known: give {', '.join(SUFFIXES)}")
    if path.is_dir():
        raise InputError(f"{path} is a folder: give a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path.parent} can't be made a folder: {error.strerror}") from error


def write_spectra(path: Path, generated: Generated) -> None:
    """Write spectra to a file; an older one is replaced when the new one is complete.

    Raises
    ------
    InputError
        If another process is writing the file, or its format can't hold so many spectra.
    SetupError
        If the disk takes no more.
    """
    write: Callable[[Path, Generated], None]
    write = import_module(f"stellar_emulator.writers.as_{path.suffix.lower()[1:]}").write
    with _whole(path) as partial:
        write(partial, generated)


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Give a place to write to, held by this process alone, which becomes ``path`` in the end or vanishes."""
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        with partial.open("ab") as held:
            _claim(held.fileno(), path)
            try:
                yield partial
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
    except OSError as error:
        raise SetupError(f"{path} can't be written: {error.strerror or error}: choose another place") from error


def _claim(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InputError(f"{path} is being written by another process: wait for it, or give another file") from error
