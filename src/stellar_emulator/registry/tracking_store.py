"""Opens the tracking store: one process at a time if it is new, with its files beside it and its faults in one line.

MLflow takes seconds to import, so functions that need the store import it, and this module can be imported at once.
"""

import fcntl
import hashlib
import logging
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from stellar_emulator.errors import InputError, SetupError
from stellar_emulator.system.cache import cache_folder
from stellar_emulator.system.extras import missing

DEFAULT_STORE = "sqlite:///mlflow.db"
"""Tracking store and registry in the current folder, used if MLFLOW_TRACKING_URI names none."""

SQLITE = "sqlite:///"

ARTIFACT_ROOT = "_MLFLOW_SERVER_ARTIFACT_ROOT"
"""Variable with the folder of a new database's files; MLflow takes the current folder otherwise."""

_LOCKED_SECONDS = 20.0
"""How long a database may be locked by another process before it can't be used, unless its address says otherwise."""

_REMEDY = "Name one that answers by MLFLOW_TRACKING_URI, or unset it to use mlflow.db in the current folder"

_STORES = ("sqlalchemy", "sqlite3", "psycopg2", "requests", "urllib3")
_FAILURES = ("OperationalError", "DatabaseError", "InterfaceError", "ConnectionError", "ConnectTimeout", "ReadTimeout")
"""Packages, and what they raise, when a store does not answer."""

_NOISY = ("alembic", "mlflow")

_opened: set[str] = set()


def connect() -> str:
    """Quiet MLflow, open the store that was named, or else `DEFAULT_STORE`, and return its address.

    Raises `SetupError` if it can't be opened.
    """
    import mlflow

    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.ERROR)  # it warns of each attempt, in four lines
    uri = store_address()
    if not mlflow.is_tracking_uri_set():
        mlflow.set_tracking_uri(uri)
    open_store(uri)
    return uri


def connect_to_read(name: str) -> str:
    """The same for a job that only reads a registered model; it makes no store.

    Raises `InputError` if there is none.
    """
    uri = store_address()
    if not store_exists(uri):
        raise InputError(f"no model {name} is registered in {uri}: train one, or set MLFLOW_TRACKING_URI")
    return connect()


def store_address() -> str:
    """Address of the store that was named, or else `DEFAULT_STORE`, whether it exists or not."""
    import mlflow

    return str(mlflow.get_tracking_uri()) if mlflow.is_tracking_uri_set() else DEFAULT_STORE


def open_store(uri: str) -> None:
    """Prepare a store that is a file of SQLite, once per process; other stores are left to their server.

    Raises
    ------
    SetupError
        If it can't be opened.
    """
    import mlflow

    if uri in _opened or not uri.startswith(SQLITE):
        return
    file = _file(uri)
    with reachable(), _alone(file), _files_beside(file):
        _require_database(uri, file)
        mlflow.MlflowClient().search_experiments(max_results=1)
    _opened.add(uri)


def store_exists(uri: str) -> bool:
    """Whether a store may hold anything: a missing file of SQLite can't, and opening it would create it."""
    return not uri.startswith(SQLITE) or _file(uri).exists()


def store_failed(error: BaseException) -> bool:
    """Whether a database or server failed, and not only lacks what it was asked for."""
    seen: BaseException | None = error
    if getattr(error, "error_code", "") in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
        return False
    while seen is not None:
        if type(seen).__name__ in _FAILURES and type(seen).__module__.partition(".")[0] in _STORES:
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _require_database(uri: str, file: Path) -> None:
    """Refuse at once what is no database of SQLite, or is locked: MLflow would try for minutes.

    Raises `SetupError`.
    """
    reason = ""
    try:
        if file.is_dir():
            reason = "it is a folder"
        elif file.is_file() and file.stat().st_size:
            timeout = re.search(r"[?&]timeout=([0-9.]{1,9})", uri)
            with closing(sqlite3.connect(file, timeout=float(timeout[1]) if timeout else _LOCKED_SECONDS)) as database:
                database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except (sqlite3.Error, OSError, ValueError) as error:
        reason = str(error)
    if reason:
        raise SetupError(f"the tracking store {uri} can't be used: {reason}. {_REMEDY}")


@contextmanager
def reachable() -> Iterator[None]:
    """Turn errors of MLflow and its database, if a store does not answer, into a `SetupError`."""
    import mlflow
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except ModuleNotFoundError as error:  # a database's driver
        raise missing(error.name or str(error)) from error
    except (MlflowException, SQLAlchemyError, OSError) as error:
        reason = " ".join(str(error).split("\n[SQL")[0].split())[:200]
        raise SetupError(
            f"the tracking store {mlflow.get_tracking_uri()} can't be used: {reason}. {_REMEDY}"
        ) from error


def _file(uri: str) -> Path:
    return Path(uri.removeprefix(SQLITE).partition("?")[0]).absolute()


@contextmanager
def _files_beside(file: Path) -> Iterator[None]:
    """Let MLflow use the database's folder for files; a store that it creates meanwhile keeps this setting."""
    os.environ[ARTIFACT_ROOT] = str(file.parent / "mlruns")
    try:
        yield
    finally:
        # In other contexts MLflow would conclude from the variable that it runs inside a server.
        del os.environ[ARTIFACT_ROOT]


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Hold a lock of this machine on a database, since MLflow creates its tables without one."""
    name = hashlib.sha256(str(file).encode()).hexdigest()[:16]
    place = cache_folder() / "stores" / f"{name}.lock"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        stream = place.open("w")
    except OSError:  # the home folder can't be written to: assume that no other process opens the store now
        yield
        return
    with stream, suppress(FileNotFoundError):
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
