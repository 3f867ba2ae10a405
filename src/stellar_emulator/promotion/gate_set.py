"""The spectra that a pair is judged on: the contract's own gate set, or another grid, which is an evaluation alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import InputError
from stellar_emulator.grid.shards import PROVENANCE
from stellar_emulator.grid.source import Source, embedded_folder, open_source
from stellar_emulator.grid.store import Grid, Rows
from stellar_emulator.promotion.audit import Link

GATE = "gate"
"""What a user calls the contract's own gate set, and the folder that holds it."""

MOST_JUDGED = 131_072
"""Spectra of one decision at most: labels and errors of as many are held in memory, flux never is."""


@dataclass(frozen=True)
class LazyFlux:
    """Flux of some rows of a grid and of further spectra after them, read as it is asked for by slices."""

    grid: Grid
    rows: NDArray[np.int64]
    further: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.rows) + len(self.further), self.grid.pixels

    def __getitem__(self, part: slice) -> NDArray[np.float32]:
        places = np.arange(*part.indices(self.shape[0]))
        held = places[places < len(self.rows)]
        return np.concatenate([self.grid.take(self.rows[held]), self.further[places[len(held) :] - len(self.rows)]])


@dataclass(frozen=True)
class GateSpectra:
    """What the gate asks of spectra, as `grid.store.Rows` has it, with flux that is read slice by slice."""

    run_id: NDArray[np.int64]
    labels: NDArray[np.float64]
    weight: NDArray[np.float64]
    flux: LazyFlux
    digest: str


def judged_spectra(grid: Grid, seed: int, further: Rows | None = None) -> GateSpectra:
    """All spectra of a grid, or `MOST_JUDGED` of them drawn by ``seed``, with ``further`` ones after them."""
    rows = np.arange(grid.rows)
    if grid.rows > MOST_JUDGED:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST_JUDGED, replace=False))
    parts = [Rows(grid.run_id[rows], grid.labels[rows], grid.weight[rows], np.empty((0, grid.pixels), np.float32))]
    if further is not None:
        parts.append(further)
    return GateSpectra(
        np.concatenate([part.run_id for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.weight for part in parts]),
        LazyFlux(grid, rows, parts[-1].flux),
        grid.digest[:12],
    )


def open_gate(source: str, contract: Contract, scratch: Path) -> Source:
    """Open what a user names. Raises `InputError` if there is no such grid, or the contract has no gate set."""
    if source == GATE:
        folder = embedded_folder(contract, GATE)
        if not (folder / PROVENANCE).is_file():
            raise InputError(f"contract {contract.name} has no embedded gate set: compute one and name it with --grid")
        source = str(folder)
    return open_source(source, contract, scratch)


def why_evaluation(source: str, grid: Grid, contract: Contract, links: Sequence[Link], scratch: Path) -> str:
    """Why a grid can't move the champion, as it is not the contract's gate set; empty if it is that set.

    The gate set is the one whose digest the contract states, else the embedded one, else the one that the first
    promotion was decided on.
    """
    if contract.gate is not None and contract.gate.grid:
        stated, whose = contract.gate.grid, "that the contract states"
        return "" if grid.digest.startswith(stated) else _another(grid, stated, whose)
    if source == GATE:
        return ""
    folder = embedded_folder(contract, GATE)
    if (folder / PROVENANCE).is_file():
        own = open_source(str(folder), contract, scratch).grid.digest
        return "" if grid.digest == own else _another(grid, own, "embedded for this contract")
    first = next((link.gate for link in links if link.gate and link.moves), grid.digest)
    return "" if grid.digest == first else _another(grid, first, "that the first promotion was decided on")


def _another(grid: Grid, own: str, whose: str) -> str:
    return f"grid {grid.digest[:12]} is not the gate set {own[:12]} {whose}"
