"""Writes files, complete or not at all, with spectra in the format of the file's suffix."""

import fcntl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from stellar_emulator.errors import InputError, SetupError
from stellar_emulator.system.files import settle
from stellar_emulator.writers.batch import Generated

SUFFIXES = (".fits", ".parquet", ".csv", ".png")


def check_output(path: Path, suffixes: Iterable[str] = SUFFIXES) -> None:
    """Refuse a file that can't be written, before anything is computed.

    Raises
    ------
    InputError
        If its suffix is not one of ``suffixes``, it is a folder, its name can't be one, or its folder can't be made.
    """
    if path.suffix.lower() not in suffixes:
        raise InputError(f"{path}: the suffix '{path.suffix}' is not known: give {', '.join(suffixes)}")
    try:
        folder = path.is_dir()
    except OSError as error:
        raise InputError(f"{path} can't be written: {error.strerror}: give another file") from error
    if folder:
        raise InputError(f"{path} is a folder: give a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path.parent} can't be made a folder: {error.strerror}: give another file") from error


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
    with whole(path) as partial:
        write(partial, generated)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Provide a file to write to, locked by this process, which becomes ``path`` in the end or vanishes.

    Raises `InputError` and `SetupError` as `write_spectra`.
    """
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        with partial.open("ab") as held:
            _claim(held.fileno(), path)
            try:
                yield partial
                settle(partial, path)
            finally:
                partial.unlink(missing_ok=True)
    except OSError as error:
        raise SetupError(f"{path} can't be written: {error.strerror or error}: choose another place") from error


def _claim(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InputError(f"{path} is being written by another process: wait for it, or give another file") from error
