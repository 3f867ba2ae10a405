"""Opens the tracking store: one process at a time where it is new, its files beside it, its faults in one line."""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from stellar_emulator.errors import SetupError
from stellar_emulator.system.cache import cache_folder
from stellar_emulator.system.extras import missing

SQLITE = "sqlite:///"

ARTIFACT_ROOT = "_MLFLOW_SERVER_ARTIFACT_ROOT"
"""Variable that tells MLflow where a new database keeps its files; it takes the current folder otherwise."""

_opened: set[str] = set()


def open_store(uri: str) -> None:
    """Make a store ready that is a file of SQLite, once a process; others are left to their server.

    Raises
    ------
    SetupError
        If it can't be opened.
    """
    if uri in _opened or not uri.startswith(SQLITE):
        return
    file = _file(uri)
    with reachable(), _alone(file), _files_beside(file):
        mlflow.MlflowClient().search_experiments(max_results=1)
    _opened.add(uri)


def store_exists(uri: str) -> bool:
    """Whether a store may hold anything: a file of SQLite that isn't there can't, and opening it would make it."""
    return not uri.startswith(SQLITE) or _file(uri).exists()


@contextmanager
def reachable() -> Iterator[None]:
    """Turn what MLflow and its database raise, where a store does not answer, into a `SetupError`."""
    try:
        yield
    except ModuleNotFoundError as error:  # a database's driver
        raise missing(error.name or str(error)) from error
    except (MlflowException, SQLAlchemyError, OSError) as error:
        reason = " ".join(str(error).split("\n[SQL")[0].split())[:200]
        raise SetupError(
            f"the tracking store {mlflow.get_tracking_uri()} can't be used: {reason}. Name one that answers by "
            "MLFLOW_TRACKING_URI, or unset it to use mlflow.db in the current folder"
        ) from error


def _file(uri: str) -> Path:
    return Path(uri.removeprefix(SQLITE).partition("?")[0]).absolute()


@contextmanager
def _files_beside(file: Path) -> Iterator[None]:
    """Let MLflow take the database's folder for files; the store that it makes meanwhile, and keeps, remembers it."""
    os.environ[ARTIFACT_ROOT] = str(file.parent / "mlruns")
    try:
        yield
    finally:
        # Elsewhere MLflow takes the variable for a sign that it runs inside a server.
        del os.environ[ARTIFACT_ROOT]


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Hold a lock of this machine on a database, for MLflow makes its tables without one."""
    name = hashlib.sha256(str(file).encode()).hexdigest()[:16]
    place = cache_folder() / "stores" / f"{name}.lock"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        stream = place.open("w")
    except OSError:  # a home that can't be written to: nobody else will open the store just now
        yield
        return
    with stream, suppress(FileNotFoundError):
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
