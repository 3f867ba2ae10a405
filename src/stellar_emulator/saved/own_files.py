"""The exact files of a registered model: listed with their SHA-256, and compared with what lies there.

A copy of this file lies in each registered model, beside the script that MLflow runs; it needs the standard library
alone, and looks at all other files before that script imports any of them.
"""

import hashlib
import importlib.machinery
import json
import os
import sys
from importlib import import_module
from pathlib import Path
from types import CodeType

LIST = "files.json"
"""``{"files": {path: SHA-256}}`` of every file of the model but itself, the signature and `_OF_MLFLOW`."""

SIGNATURE = "model.sig"

PUBLIC_KEY = "STELLAR_EMULATOR_PUBLIC_KEY"
"""Environment variable with the path of a PEM file, of an elliptic-curve key (P-256, P-384 or P-521)."""

_OF_MLFLOW = "registered_model_meta"
"""Name and version of the model, which MLflow writes each time it finds it in the registry, and nothing reads."""

UNLISTED = (LIST, SIGNATURE, _OF_MLFLOW)


class NotAsListedError(Exception):
    """A file is missing, changed or too many; the message names it."""


def write_list(folder: Path) -> str:
    """List the files of a folder in its `LIST`; return the list's own SHA-256."""
    found = {path.relative_to(folder).as_posix(): _sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    content = (json.dumps({"files": found}, indent=1) + "\n").encode()
    (folder / LIST).write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def require_listed(folder: Path, digest: str | None = None) -> None:
    """Return if a folder holds the files that its `LIST` states, as they were, and no others.

    digest: SHA-256 that the list must have, where it is known. Raises `NotAsListedError`.
    """
    stated = _stated(folder / LIST, digest)
    found = _found(folder, stated)
    for name, expected in stated.items():
        if name not in found:
            raise NotAsListedError(f"{folder / name} is missing")
        if _sha256(folder / name) != expected:
            raise NotAsListedError(f"{folder / name} was changed after it was registered")


def verify_signature(folder: Path, key: str) -> None:
    """Return if the holder of a public key signed a folder, every file of it. Raises whatever model-signing does."""
    hashing, verifying = (import_module(f"model_signing.{name}") for name in ("hashing", "verifying"))
    config = verifying.Config().use_elliptic_key_verifier(public_key=Path(key))
    # Names are taken as relative to the folder; a link or a file beyond those that were signed is an error.
    unsigned = hashing.Config().set_ignored_paths(paths=[SIGNATURE, _OF_MLFLOW], ignore_git_paths=False)
    config.set_hashing_config(unsigned).verify(folder, folder / SIGNATURE)


def before_import(folder: Path, script: str | None) -> None:
    """Check a registered model before its code is imported, and let that code be compiled from what was checked.

    script: where Python has kept the bytecode of the script that asks, which is no file of the model.

    Raises
    ------
    NotAsListedError
        If a file is not as it was registered.
    Exception
        Of model-signing, if a public key is named and its holder did not sign the model.
    """
    if script:
        _forget(Path(script))
    code, before = folder / "code", sys.path
    own = [path for path in before if os.path.realpath(path) == os.path.realpath(code)]
    sys.path = [path for path in before if path not in own]  # a package of the model's shall not verify the model
    try:
        require_listed(folder)
        if key := os.environ.get(PUBLIC_KEY):
            verify_signature(folder, key)
    finally:
        sys.path = before
    for place in [*own, *(str(path.absolute()) for path in code.rglob("*") if path.is_dir())]:
        _compile_afresh(place)


class _Source(importlib.machinery.SourceFileLoader):
    """Imports Python files without reading or writing bytecode, which no list covers."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


def _compile_afresh(folder: str) -> None:
    sys.path_importer_cache[folder] = importlib.machinery.FileFinder(folder, (_Source, [".py"]))


def _forget(bytecode: Path) -> None:
    try:
        bytecode.unlink(missing_ok=True)
        bytecode.parent.rmdir()
    except OSError:  # a store that can't be written to has none; another process may have been first
        pass


def _stated(path: Path, digest: str | None) -> dict[str, str]:
    if path.is_symlink() or not path.is_file():
        raise NotAsListedError(f"{path} is missing, which lists the model's files")
    content = path.read_bytes()
    if digest is not None and hashlib.sha256(content).hexdigest() != digest:
        raise NotAsListedError(f"{path} was changed after it was registered")
    try:
        stated = json.loads(content)["files"]
        return {str(name): str(value) for name, value in stated.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise NotAsListedError(f"{path} is damaged") from error


def _found(folder: Path, stated: dict[str, str]) -> set[str]:
    """Names of the listed files that are there. Raises `NotAsListedError` if anything else is, a folder included."""
    parents = {parent.as_posix() for name in stated for parent in Path(name).parents}
    found: set[str] = set()
    for place, folders, files in os.walk(folder):
        inner = Path(place).relative_to(folder)
        for name in sorted(folders):
            if (Path(place) / name).is_symlink() or (inner / name).as_posix() not in parents:
                raise NotAsListedError(f"{Path(place) / name} is no folder of this model")
        for name in sorted(files):
            path, relative = Path(place) / name, (inner / name).as_posix()
            if path.is_symlink() or not path.is_file() or (relative not in stated and relative not in UNLISTED):
                raise NotAsListedError(f"{path} is no file of this model")
            found.add(relative)
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
