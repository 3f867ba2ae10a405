"""Training, validation and test parts of a grid, split by run: rows of one run share an atmosphere."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract

PARTS = ("train", "validation", "test")

LEAST_TESTED = 10
"""Runs of a test part, below which its errors are those of these few."""


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

    A run belongs to the same part in every grid, whatever the order or number of its rows. On nodes, whose grids may
    have few runs and are whole as they come, parts have their shares exactly, and one run at least, by the hashes'
    order.
    """
    unique, inverse = np.unique(hashes, return_inverse=True)
    share = np.array([int(value[:12], 16) / 16**12 for value in unique])
    if contract.sampling.on_nodes and len(unique) >= len(PARTS):
        share = _shares_of_order(contract, len(unique))[np.argsort(np.argsort(share))]
    share = share[inverse.ravel()]
    edges = np.cumsum([contract.split.train, contract.split.validation])
    rows = np.arange(len(hashes))
    return SplitRows(rows[share < edges[0]], rows[(share >= edges[0]) & (share < edges[1])], rows[share >= edges[1]])


def about_few(contract: Contract, hashes: NDArray[np.str_]) -> list[str]:
    """A note of a grid whose runs, by the hashes of their labels (rows,), are too few to be split, or to be tested on.

    Grids on nodes have none: they are split exactly, and errors of few come from cross-validation.
    """
    if contract.sampling.on_nodes:
        return []
    split = split_rows(contract, hashes)
    count = {part: len(np.unique(hashes[split[part]])) for part in PARTS}
    whole, empty = len(np.unique(hashes)), [part for part in PARTS if not count[part]]
    remedy = "give it more, or state sampling: {runs: nodes} in the contract, which tests few runs by cross-validation"
    if empty:
        return [f"{whole} runs are too few to train on, none of them falls into {' and '.join(empty)}: {remedy}"]
    if count["test"] < LEAST_TESTED:
        return [f"{count['test']} of {whole} runs are for tests, so few that errors and R2 tell little: {remedy}"]
    return []


def _shares_of_order(contract: Contract, runs: int) -> NDArray[np.float64]:
    """For runs in the order of their hashes, a share that puts each into its part, (runs,)."""
    shares = contract.split
    test, validation = (max(1, round(share * runs)) for share in (shares.test, shares.validation))
    train = max(1, runs - test - validation)
    counts = (train, min(validation, runs - train - 1), runs)
    middles = (0.5 * shares.train, shares.train + 0.5 * shares.validation, 1.0 - 0.5 * shares.test)
    return np.repeat(middles, (counts[0], counts[1], runs - counts[0] - counts[1]))
