"""Labels of the runs that a model knows, as text for its metadata: hashes alone would not show how near others lie."""

import base64
import binascii

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import InputError
from stellar_emulator.grid.store import Grid

RUN_LABELS = "run_labels"
"""Field of a model's metadata; models that were trained before there was one lack it."""


def unique_run_labels(grid: Grid, contract: Contract) -> NDArray[np.float64]:
    """Run labels of a grid, each run once, (runs, run labels)."""
    return np.unique(grid.labels[:, contract.columns(contract.run_labels)], axis=0)


def as_text(labels: NDArray[np.float64]) -> str:
    """Base64 of labels (runs, run labels) as little-endian float32, row by row."""
    return base64.b64encode(np.ascontiguousarray(labels, dtype="<f4").tobytes()).decode()


def from_text(text: object, contract: Contract) -> NDArray[np.float64]:
    """Labels (runs, run labels) of what `as_text` gave. Raises `InputError` if it is nothing of that kind."""
    count = len(contract.run_labels)
    try:
        content = base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"a model's {RUN_LABELS} are no base64: train it again") from error
    if len(content) % (4 * count):
        raise InputError(f"a model's {RUN_LABELS} are {len(content)} bytes, no multiple of {4 * count}: train it again")
    return np.frombuffer(content, dtype="<f4").reshape(-1, count).astype(np.float64)
