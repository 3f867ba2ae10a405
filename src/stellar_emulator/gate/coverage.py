"""Cells of the run labels that hold no gate run: what the gate set says nothing about."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.regions import bin_name
from stellar_emulator.gate.decision import Criterion
from stellar_emulator.grid.sampling import drawn_name, unit_places, warped

LABELS = 3
"""Run labels by which cells are made, the first of the contract: Teff, logg and [M/H]."""

MOST_BINS, RUNS_PER_CELL = 10, 2.0
"""Of each label, and due in each cell on average."""

_SHOWN = 3


@dataclass(frozen=True)
class Coverage:
    """Cells of some labels.

    labels: names of those by which cells were made; edges: of each one's bins. empty: places of the cells without a
    run, (cells, labels).
    """

    labels: tuple[str, ...]
    edges: tuple[NDArray[np.float64], ...]
    empty: NDArray[np.intp]

    @property
    def cells(self) -> int:
        return int(np.prod([len(edges) - 1 for edges in self.edges]))

    @property
    def names(self) -> list[str]:
        """Each empty cell in words."""
        return [
            ", ".join(
                bin_name(label, float(f"{edges[place]:.4g}"), float(f"{edges[place + 1]:.4g}"))
                for label, edges, place in zip(self.labels, self.edges, cell, strict=True)
            )
            for cell in self.empty
        ]

    def holds(self, contract: Contract, run_labels: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which runs (runs, run labels) lie in a cell that was empty, shape (runs,)."""
        places = _places(contract, run_labels, [len(edges) - 1 for edges in self.edges])
        wanted = {tuple(cell) for cell in self.empty.tolist()}
        return np.array([tuple(place) in wanted for place in places.tolist()], dtype=bool)


def coverage(contract: Contract, run_labels: NDArray[np.float64]) -> Coverage:
    """Sort runs (runs, run labels) into cells that are equally likely under the sampling density."""
    labels = contract.run_labels[:LABELS]
    bins = int(np.clip((len(run_labels) / RUNS_PER_CELL) ** (1.0 / len(labels)), 1, MOST_BINS))
    counts = np.zeros([bins] * len(labels), dtype=int)
    np.add.at(counts, tuple(_places(contract, run_labels, [bins] * len(labels)).T), 1)
    edges = tuple(warped(label, np.linspace(0.0, 1.0, bins + 1)) for label in labels)
    return Coverage(tuple(drawn_name(contract, label) for label in labels), edges, np.argwhere(counts == 0))


def _places(contract: Contract, run_labels: NDArray[np.float64], bins: Sequence[int]) -> NDArray[np.intp]:
    shares = unit_places(contract, run_labels)[:, :LABELS].T
    columns = [np.minimum((share * count).astype(int), count - 1) for share, count in zip(shares, bins, strict=True)]
    return np.stack(columns, axis=1)


def coverage_criterion(found: Coverage) -> Criterion:
    """Tell how many cells hold no gate run; reported, since only further runs would fill them."""
    names = found.names
    more = f" and {len(names) - _SHOWN} more, in the table coverage" if len(names) > _SHOWN else ""
    note = f"of {found.cells}: {'; '.join(names[:_SHOWN])}{more}" if names else f"of {found.cells}"
    by = ", ".join(found.labels)
    return Criterion("evidence", f"cells of {by} without a gate run", len(names), None, True, False, note)


def coverage_table(found: Coverage) -> list[dict[str, Any]]:
    """A row for each cell without a gate run."""
    return [{"cell": name} for name in found.names]
