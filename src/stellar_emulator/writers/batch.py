"""The input of every writer."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract


@dataclass(frozen=True)
class Generated:
    """Spectra to write, in batches of labels (n, labels) and flux (n, pixels), and the model that generates them.

    version: that of the model, for readers; digest: SHA-256 that names the model; rows: number of rows of all batches
    together.
    """

    contract: Contract
    version: str
    digest: str
    rows: int
    batches: Iterator[tuple[NDArray[np.float64], NDArray[np.float32]]]
