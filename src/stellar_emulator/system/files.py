"""THE atomic write: a file or folder is there as it was, or as it shall be, whenever a kill or a power cut comes.

What is new is written beside its place, brought to the disk, and then given its name. A folder that takes another
one's place needs two steps, old one aside, new one in; between them `recovered` finds the old one.
"""

import json
import os
import platform
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ATTEMPTS = 10
"""To put a folder in the place of another one."""


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Give a place beside ``path``, with its suffix, to write a file to, which becomes ``path`` if nothing is raised.

    What earlier processes of this machine left unfinished there is removed; other machines may share the folder.
    """
    partial = path.with_name(f".{path.stem}.{os.getpid()}@{_machine()}.partial{path.suffix}")
    for left in path.parent.glob(f".{_literal(path.stem)}.*.partial{_literal(path.suffix)}"):
        number, _, machine = left.name.removeprefix(f".{path.stem}.").partition(".")[0].partition("@")
        if machine in ("", _machine()) and not _runs(number):  # older versions didn't name the machine
            left.unlink(missing_ok=True)
    try:
        yield partial
        settle(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_file(path: Path, content: str | bytes) -> None:
    """Write a whole file."""
    with new_file(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def settle(partial: Path, path: Path) -> None:
    """Bring a finished file to the disk and give it its name, in the place of an older file."""
    _sync(partial)
    partial.rename(path)
    _sync(path.parent)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder beside ``path``, which takes its place, contents and all, if nothing is raised.

    For one process at a time. What an earlier one left unfinished is removed, or put back.
    """
    recovered(path)
    partial, old = path.with_name(f".{path.name}.partial"), _aside(path)
    shutil.rmtree(partial, ignore_errors=True)
    _discard(old, partial)
    partial.mkdir(parents=True)
    try:
        yield partial
        _sync_all(partial)
        _swap(partial, path, old)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        recovered(path)
        raise
    _discard(old, partial)


def take_place(made: Path, path: Path) -> None:
    """Bring a finished folder, contents and all, to the disk and give it its name, which nothing has yet.

    Raises `OSError` if something has.
    """
    _sync_all(made)
    made.rename(path)
    _sync(path.parent)


def recovered(path: Path) -> Path:
    """The folder itself; where a kill came between the two steps of replacing it, the old one is put back first."""
    if not path.exists() and _aside(path).is_dir():
        with suppress(OSError):  # another process was first, or the place can't be written to
            _aside(path).rename(path)
    return path


def read_json(path: Path) -> Any:
    """Content of a JSON file of ours; None where there is none, or a power cut or a full disk has emptied it.

    Files that are written by this module are whole; those of older versions and of others may not be.
    """
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


def _discard(old: Path, partial: Path) -> None:
    """Remove a folder that was set aside; what a kill leaves of it has a name that nobody takes for a whole one."""
    if old.exists():
        old.rename(partial)
        shutil.rmtree(partial, ignore_errors=True)


def _swap(partial: Path, path: Path, old: Path) -> None:
    """Move one folder aside and another to its place; again where a reader has put the old one back in between."""
    for attempt in range(ATTEMPTS):
        if path.exists():
            path.rename(old)
        try:
            partial.rename(path)
            break
        except OSError:
            if attempt == ATTEMPTS - 1 or not path.exists():
                raise
    _sync(path.parent)


def _sync_all(folder: Path) -> None:
    """Bring a folder and all in it to the disk."""
    for found in sorted(folder.rglob("*"), reverse=True):
        _sync(found)
    _sync(folder)


def _sync(path: Path) -> None:
    """Bring a file's content, or a folder's names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _machine() -> str:
    """This machine's name as part of a file's name."""
    return re.sub("[^0-9A-Za-z-]", "-", platform.node())[:32]


def _runs(number: str) -> bool:
    """Whether a process of this machine has a number; True for what is none of its numbers."""
    if not number.isdecimal():
        return True
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _literal(text: str) -> str:
    """A text as a pattern of file names that fits it alone."""
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in text)
