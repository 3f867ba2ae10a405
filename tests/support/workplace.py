"""A folder with a tracking store of its own, to run commands in."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import mlflow


@contextlib.contextmanager
def working_in(folder: Path, store: str) -> Iterator[None]:
    """Be in a folder, with its store."""
    mlflow.set_tracking_uri(store)
    try:
        with contextlib.chdir(folder):
            yield
    finally:
        mlflow.set_tracking_uri("")
