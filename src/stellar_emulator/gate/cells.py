"""Cells of the contract's binned labels taken together: where in the box a spectrum lies, coarsely."""

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract

LEAST = 32
"""Gate spectra in a cell below which the whole gate set stands in for it."""


def cell_numbers(contract: Contract, labels: NDArray[np.float64]) -> NDArray[np.intp]:
    """Number of each row's cell, shape (rows,), from 0; all rows are in one cell where no label has bins."""
    number = np.zeros(len(labels), dtype=np.intp)
    for name, edges in contract.regions.bins.items():
        inner = np.asarray(edges[1:-1])
        column = labels[:, contract.label_names.index(name)]
        number = number * (len(edges) - 1) + np.searchsorted(inner, column, side="right")
    return number


def cell_count(contract: Contract) -> int:
    """How many cells there are."""
    return int(np.prod([len(edges) - 1 for edges in contract.regions.bins.values()], dtype=int))


def largest_by_cell(
    contract: Contract, labels: NDArray[np.float64], values: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Largest of values (rows, ...) in each cell, (cells, ...); of all rows where a cell holds fewer than `LEAST`."""
    number = cell_numbers(contract, labels)
    overall = values.max(axis=0)
    rows = [number == cell for cell in range(cell_count(contract))]
    found = [values[inside].max(axis=0) if inside.sum() >= LEAST else overall for inside in rows]
    return np.asarray(found, dtype=np.float64)
