"""Folders that this machine keeps from command to command, each filled once."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from stellar_emulator.system.files import take_place


def cache_folder() -> Path:
    """Folder that contains all the others: ``$STELLAR_EMULATOR_CACHE`` or ``~/.cache/stellar-emulator``."""
    chosen = os.environ.get("STELLAR_EMULATOR_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "stellar-emulator"


def filled(folder: Path, make: Callable[[Path], object]) -> Path:
    """Return a folder that ``make`` has filled, now or before; it appears complete or not at all.

    ``make`` receives the path that it must create; the folder around that path is scratch space.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        made = Path(scratch) / "made"
        make(made)
        try:
            take_place(made, folder)
        except OSError:  # another process was first
            if not folder.is_dir():
                raise
    return folder
