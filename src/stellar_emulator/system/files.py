"""The atomic write: whenever a kill or a power cut comes, a file or folder is in its old state or in its new one.

New content is written beside its place, flushed to the disk, and then given its name. To replace a folder takes two
steps: the old one is set aside, the new one takes its place; between them `recovered` finds the old one.
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
"""Attempts to put a folder in the place of another one before giving up."""


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Provide a place beside ``path``, with its suffix, for a file that becomes ``path`` if nothing is raised.

    Unfinished files of earlier processes of this machine are removed; other machines may share the folder.
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
    """Flush a finished file to the disk and give it its name, in the place of an older file."""
    _sync(partial)
    partial.rename(path)
    _sync(path.parent)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Provide an empty folder beside ``path``, which takes its place with its contents if nothing is raised.

    Only one process may do so at a time. The unfinished folder of an earlier process is removed, or put back.
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
    """Flush a finished folder with its contents to the disk and give it a name that is not taken yet.

    Raises `OSError` if the name is taken.
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
    """Content of a JSON file of ours; None if it does not exist, or was emptied by a power cut or a full disk.

    Files that this module writes are complete; those of older versions and of other programs may not be.
    """
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


def _discard(old: Path, partial: Path) -> None:
    """Remove a folder that was set aside; what a kill leaves of it has a name that marks it as incomplete."""
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
    """Flush a folder and its contents to the disk."""
    for found in sorted(folder.rglob("*"), reverse=True):
        _sync(found)
    _sync(folder)


def _sync(path: Path) -> None:
    """Flush a file's content, or a folder's names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _machine() -> str:
    """This machine's name as part of a file's name."""
    return re.sub("[^0-9A-Za-z-]", "-", platform.node())[:32]


def _runs(number: str) -> bool:
    """Whether a process of this number runs on this machine; True if the text is not a process number of it."""
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
    """A text as a pattern of file names that matches only this text."""
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in text)
