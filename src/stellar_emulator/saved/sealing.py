"""Registered models as a whole: the files that MLflow reads and runs are listed and signed, not only a model's own.

A digest and a signature of a model's folder say nothing of the code, environment and description around it, which
MLflow runs. So a registered model holds a list of all its files (`own_files`), the version's tag holds the list's
digest, and the signature covers them all.
"""

import os
import shutil
import time
from pathlib import Path

from stellar_emulator.errors import InputError
from stellar_emulator.saved import own_files
from stellar_emulator.saved.own_files import LIST, PUBLIC_KEY, NotAsListedError, require_listed, write_list
from stellar_emulator.saved.signing import require_signed, sign

REGISTERED = "MLmodel"
"""The file by which MLflow knows a registered model's folder."""

_CACHE = "__pycache__"
_LOOKS, _PAUSE = 5, 0.2


def seal(folder: Path) -> str:
    """Complete a folder that MLflow will register: list its files and sign them. Return the list's SHA-256.

    Raises `SetupError` as `signing.sign`.
    """
    for cache in sorted(folder.rglob(_CACHE)):
        shutil.rmtree(cache)
    shutil.copyfile(own_files.__file__, folder / Path(own_files.__file__).name)
    digest = write_list(folder)
    sign(folder)
    return digest


def registered_around(folder: Path) -> Path | None:
    """The registered model that a model's folder is part of, whatever link or path led there; None if of none."""
    around = folder.resolve().parents
    return next((parent for parent in around[:2] if (parent / REGISTERED).is_file()), None)


def require_sealed(folder: Path, digest: str | None = None) -> None:
    """Refuse a registered model whose files are not exactly those that were registered.

    digest: SHA-256 of its list, as the registry has it. Models of before 0.2 have no list; they are refused where the
    registry states one, or a public key is named.

    Raises
    ------
    InputError
        If a file is missing, changed or too many, or the model is not signed and a public key is named.
    SetupError
        As `signing.require_signed`.
    """
    if digest is None and not os.environ.get(PUBLIC_KEY) and not (folder / LIST).exists():
        return
    for look in range(1, _LOOKS + 1):
        try:
            require_listed(folder, digest)
            break
        except NotAsListedError as error:
            # MLflow, while it loads a model beside us, leaves its script's bytecode there for a moment.
            if look == _LOOKS or _CACHE not in str(error):
                remedy = f"restore the model's files as {LIST} lists them, or register the model again"
                raise InputError(f"{error}: {remedy}") from error
            time.sleep(_PAUSE)
    require_signed(folder)
