"""Training, validation and test parts of a grid, split by run: rows of one run share an atmosphere."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class SplitRows:
    """Row numbers of each part, ascending; together the parts hold all rows."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]

    def __getitem__(self, part: str) -> NDArray[np.int64]:
        return {"train": self.train, "validation": self.validation, "test": self.test}[part]


def split_rows(contract: Contract, hashes: NDArray[np.str_]) -> SplitRows:
    """Split rows by the hash of their run's labels (see `store.run_hashes`), in the contract's shares.

    A run belongs to the same part in every grid, whatever the order or number of its rows.
    """
    unique, inverse = np.unique(hashes, return_inverse=True)
    share = np.array([int(value[:12], 16) / 16**12 for value in unique])[inverse.ravel()]
    edges = np.cumsum([contract.split.train, contract.split.validation])
    rows = np.arange(len(hashes))
    return SplitRows(rows[share < edges[0]], rows[(share >= edges[0]) & (share < edges[1])], rows[share >= edges[1]])
