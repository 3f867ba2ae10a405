"""Copies of remote models on this machine, one folder each, named by the digest that names the model."""

import shutil
from functools import partial
from pathlib import Path

from stellar_emulator.errors import InputError
from stellar_emulator.saved.bundle import read_bundle
from stellar_emulator.system.cache import cache_folder, filled


def cached(digest: str) -> Path | None:
    """Folder of the copy of a model, if there is a sound one; a damaged one is removed."""
    folder = _folder(digest)
    if not folder.is_dir():
        return None
    try:
        if read_bundle(folder).digest == digest:
            return folder
    except InputError:
        pass
    shutil.rmtree(folder, ignore_errors=True)
    return None


def keep(digest: str, downloaded: Path) -> Path:
    """Copy a model's folder to its place, at once or not at all, and return that."""
    return filled(_folder(digest), partial(shutil.copytree, downloaded))


def _folder(digest: str) -> Path:
    return cache_folder() / "models" / digest
