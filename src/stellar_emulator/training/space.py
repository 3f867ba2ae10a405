"""The space in which autoencoder and chain are trained: the pixels themselves, or principal components of the flux.

Both hide whether flux lies in memory or streams from disk, and both know how to fold themselves into a dense chain.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from stellar_emulator.grid.split import SplitRows
from stellar_emulator.grid.store import Grid
from stellar_emulator.networks.basis import Basis
from stellar_emulator.networks.dense import DenseChain, linear_map

Array = NDArray[np.float32]

BYTES_IN_MEMORY = 128 * 2**20
"""Flux held at once while training on pixels; a larger grid is read in shuffled chunks of this size. Principal
components that take more are not copied for Keras."""


ROWS_ENCODED = 8192
"""Rows of principal components that are encoded at once."""


class Space(Protocol):
    """Targets of a training, one for each example, with the maps between them and what the model finally gives."""

    @property
    def width(self) -> int: ...

    def examples(self, part: str, inputs: Array | None, batch_size: int) -> Any:
        """What Keras fits: (inputs or targets, targets) of one part; ``inputs`` are those of all examples."""

    def encode(self, encode: Callable[[Array], Array]) -> Array:
        """An encoder's output for every example."""

    def enter(self, chain: DenseChain) -> DenseChain:
        """A chain that starts in this space, started from physical values instead."""

    def leave(self, chain: DenseChain) -> DenseChain:
        """A chain that ends in this space, continued to physical values."""


@dataclass(frozen=True)
class BasisSpace:
    """Principal components, divided by one common scale so that their mean variance is 1.

    The error of a spectrum there is that of its flux up to a constant, since the components are orthonormal; all
    targets (rows, components) of a grid fit in memory, so one pass over the flux serves all epochs.
    """

    basis: Basis
    scale: float
    targets: Array
    split: SplitRows
    seed: int

    @property
    def width(self) -> int:
        return len(self.basis.components)

    def examples(self, part: str, inputs: Array | None, batch_size: int) -> Any:
        rows = self.split[part]
        if self.targets.nbytes > BYTES_IN_MEMORY:
            return TargetBatches(self.targets, rows, inputs, batch_size, self.seed if part == "train" else None)
        targets = self.targets[rows]
        return (targets if inputs is None else inputs[rows], targets)

    def encode(self, encode: Callable[[Array], Array]) -> Array:
        # In pieces: the widest layer's output for all rows of a large grid takes several times their own memory.
        starts = range(0, len(self.targets), ROWS_ENCODED)
        return np.concatenate([encode(self.targets[first : first + ROWS_ENCODED]) for first in starts])

    def enter(self, chain: DenseChain) -> DenseChain:
        kernel = self.basis.components.T / self.scale
        return linear_map(kernel, -self.basis.mean @ kernel) + chain

    def leave(self, chain: DenseChain) -> DenseChain:
        return chain + linear_map(self.basis.components * self.scale, self.basis.mean)


def basis_space(basis: Basis, coefficients: Array, split: SplitRows, seed: int, given_up: bool = False) -> BasisSpace:
    """The space of a basis, from the ``coefficients`` (rows, components) of all examples.

    given_up: nobody needs the array any more, so it is scaled in place: two of a large grid don't fit in memory.
    """
    scale = float(np.sqrt(basis.variance.mean()))
    targets = np.divide(coefficients, np.float32(scale), out=coefficients if given_up else None)
    return BasisSpace(basis, scale, targets, split, seed)


@dataclass(frozen=True)
class PixelSpace:
    """The flux itself, streamed from disk where it doesn't fit in memory."""

    grid: Grid
    split: SplitRows
    seed: int

    @property
    def width(self) -> int:
        return self.grid.pixels

    def examples(self, part: str, inputs: Array | None, batch_size: int) -> Any:
        return FluxBatches(self.grid, self.split[part], inputs, batch_size, self.seed if part == "train" else None)

    def encode(self, encode: Callable[[Array], Array]) -> Array:
        return np.concatenate([encode(flux) for _, flux in self.grid.batches()])

    def enter(self, chain: DenseChain) -> DenseChain:
        return chain

    def leave(self, chain: DenseChain) -> DenseChain:
        return chain


class TargetBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """Shuffled batches of targets in memory, gathered as they are asked for: given arrays, Keras copies them twice.

    With ``seed`` None the order is that of ``rows``.
    """

    def __init__(
        self, targets: Array, rows: NDArray[np.int64], inputs: Array | None, batch_size: int, seed: int | None
    ) -> None:
        super().__init__()
        self.targets, self.rows, self.inputs, self.batch_size = targets, rows, inputs, batch_size
        self.random = None if seed is None else np.random.default_rng(seed)
        self.on_epoch_end()

    @property
    def num_batches(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        chosen = self._order[index * self.batch_size : (index + 1) * self.batch_size]
        targets = self.targets[chosen]
        return (targets if self.inputs is None else self.inputs[chosen]), targets

    def on_epoch_end(self) -> None:
        self._order = self.rows if self.random is None else self.random.permutation(self.rows)


class FluxBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """Shuffled batches of flux: row groups gathered into chunks, chunks in random order, rows shuffled inside each.

    Memory holds one chunk. With ``seed`` None the order is that of the grid. Where all rows fit in one chunk they
    are read once. Which groups share a chunk is drawn once: Keras wants as many batches in every epoch.
    """

    def __init__(
        self, grid: Grid, rows: NDArray[np.int64], inputs: Array | None, batch_size: int, seed: int | None
    ) -> None:
        super().__init__()
        self.grid, self.inputs, self.batch_size = grid, inputs, batch_size
        self.random = None if seed is None else np.random.default_rng(seed)
        group_of_row = np.searchsorted(grid.group_starts, rows, side="right") - 1
        groups = np.unique(group_of_row)
        rows_in_memory = max(batch_size, BYTES_IN_MEMORY // (4 * grid.pixels))
        chunks = min(len(groups), -(-len(rows) // rows_in_memory))
        shares = np.array_split(groups[self._drawn(len(groups))], chunks)
        self._rows = [rows[np.isin(group_of_row, share)] for share in shares]
        self._loaded = -1
        self._begin_epoch()

    @property
    def num_batches(self) -> int:
        return len(self._place)

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        chunk, batch = self._place[index]
        self._load(chunk)
        chosen = self._order[chunk][batch * self.batch_size : (batch + 1) * self.batch_size]
        flux = self._flux[chosen]
        return (flux if self.inputs is None else self.inputs[self._rows[chunk][chosen]]), flux

    def on_epoch_end(self) -> None:
        self._begin_epoch()

    def _begin_epoch(self) -> None:
        self._order = [self._drawn(len(rows)) for rows in self._rows]
        self._place = [
            (int(chunk), batch)
            for chunk in self._drawn(len(self._rows))
            for batch in range(-(-len(self._rows[chunk]) // self.batch_size))
        ]

    def _drawn(self, count: int) -> NDArray[np.int64]:
        return np.arange(count) if self.random is None else self.random.permutation(count)

    def _load(self, chunk: int) -> None:
        if chunk == self._loaded:
            return
        self._flux = np.empty((0, self.grid.pixels), dtype=np.float32)  # let go of the last chunk first
        self._flux = self.grid.take(self._rows[chunk])
        self._loaded = chunk
