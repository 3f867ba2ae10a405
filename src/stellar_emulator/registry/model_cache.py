"""Copies of remote models on this machine, one folder each, named by the digest that names the model."""

import re
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
    """Copy a model's folder to its place in the cache, complete or not at all, and return that place.

    Raises
    ------
    InputError
        If the folder holds another model, is damaged, or lacks a required signature; nothing is kept then.
    """
    found = read_bundle(downloaded).digest
    if found != digest:
        raise InputError(f"{downloaded} holds the model {found[:12]}..., not {digest[:12]}...: register it again")
    return filled(_folder(digest), partial(shutil.copytree, downloaded))


def _folder(digest: str) -> Path:
    """Place of a model; text from a registry becomes part of a path only if it is a digest."""
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise InputError(f"the registry's tags name {digest[:80]!r} as a model's digest, which is no SHA-256")
    return cache_folder() / "models" / digest
