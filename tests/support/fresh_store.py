"""New tracking stores, copied: MLflow takes seconds to make the tables of one."""

import atexit
import shutil
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow

from stellar_emulator.registry.tracking_store import open_store

_FOLDER = TemporaryDirectory(prefix="stellar-emulator-store-")
# Else the interpreter cleans it up, too, with a warning.
atexit.register(_FOLDER.cleanup)


def fresh_store(folder: Path) -> str:
    """Put an empty store into a folder and return its address."""
    shutil.copyfile(_tables(), folder / "mlflow.db")
    return f"sqlite:///{folder / 'mlflow.db'}"


@cache
def _tables() -> Path:
    """A store with tables and nothing in them: not even MLflow's first experiment, which knows where its files lie."""
    file = Path(_FOLDER.name) / "mlflow.db"
    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else ""
    mlflow.set_tracking_uri(f"sqlite:///{file}")
    open_store(f"sqlite:///{file}")
    mlflow.set_tracking_uri(before)
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("DELETE FROM experiments")
    return file
