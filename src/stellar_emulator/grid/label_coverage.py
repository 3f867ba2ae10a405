"""Coverage of the label box by a grid: cells of label pairs, and which of them are voids.

Cells are equally likely under the contract's sampling density, so a grid that follows it fills them evenly.
"""

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.label import Label
from stellar_emulator.contract.roles import Kind
from stellar_emulator.grid.sampling import boxed, drawn_name, warped

SPECTRA_PER_CELL = 12
"""Expected spectra in a cell: less than one grid in a hundred then has an empty cell by chance (exp(-12) each)."""

MOST_CELLS = 10
"""Largest number of cells along one label."""


@dataclass(frozen=True)
class PairCoverage:
    """Spectra in each cell of two labels.

    counts: shape (vertical cells, horizontal cells); edges: in physical units, one more than cells. With too few
    spectra there is only one cell, which is no void.
    """

    horizontal: Label
    vertical: Label
    horizontal_edges: NDArray[np.float64]
    vertical_edges: NDArray[np.float64]
    counts: NDArray[np.int64]

    @property
    def voids(self) -> NDArray[np.bool_]:
        """Cells without a spectrum although many were expected; shape as ``counts``."""
        return np.asarray((self.counts == 0) & (self.counts.size > 1))


def pair_coverage(
    contract: Contract, labels: NDArray[np.float64], run_id: NDArray[np.int64]
) -> tuple[PairCoverage, ...]:
    """Count spectra by each pair of labels, for labels (rows, labels) and run_id (rows,).

    Where a hull bounds the draws, rows count where they would lie in the whole box. Rows that are not finite or out of
    bounds in one of the two are in no cell. A pair of run labels has as many points as there are runs, however many
    spectra each run has. Nodes do not fill cells evenly: with a label on nodes there is one cell.
    """
    runs = len(np.unique(run_id))
    labels, own = labels.astype(np.float64), contract.columns(contract.run_labels)
    labels[:, own], _ = boxed(contract, labels[:, own])
    pairs = []
    for (first, horizontal), (second, vertical) in combinations(enumerate(contract.labels), 2):
        points = runs if horizontal.kind is vertical.kind is Kind.RUN else len(labels)
        cells = int(np.clip(np.sqrt(points / SPECTRA_PER_CELL), 1, MOST_CELLS))
        if contract.sampling.on_nodes and Kind.RUN in (horizontal.kind, vertical.kind):
            cells = 1
        edges = [warped(label, np.linspace(0.0, 1.0, cells + 1)) for label in (vertical, horizontal)]
        finite = np.isfinite(labels[:, [first, second]]).all(axis=1)
        counts, *_ = np.histogram2d(labels[finite, second], labels[finite, first], bins=edges)
        pairs.append(PairCoverage(horizontal, vertical, edges[1], edges[0], counts.astype(np.int64)))
    return tuple(pairs)


def describe_voids(contract: Contract, pairs: tuple[PairCoverage, ...]) -> list[str]:
    """One line for each void: the two labels' ranges."""
    return [
        f"{_range(contract, pair.horizontal, pair.horizontal_edges, int(column))} with "
        f"{_range(contract, pair.vertical, pair.vertical_edges, int(row))}"
        for pair in pairs
        for row, column in np.argwhere(pair.voids)
    ]


def _range(contract: Contract, label: Label, edges: NDArray[np.float64], cell: int) -> str:
    decimals = max(0, 2 - math.floor(math.log10(label.upper - label.lower)))
    low, high = (f"{edge:.{decimals}f}" for edge in edges[cell : cell + 2])
    return f"{drawn_name(contract, label)} {low} to {high} {label.unit}".rstrip()
