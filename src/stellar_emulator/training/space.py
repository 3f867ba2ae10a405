"""The space in which autoencoder and chain are trained: the pixels themselves, or principal components of the flux.

Both hide whether flux is in memory or streams from disk, and both can be folded into a dense chain. If the grid has
errors of the flux, targets have weights as further columns, inverse variances over their mean: one for each pixel, or
one for each spectrum if components are fitted. `fit_network` applies them in the loss.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from stellar_emulator.grid.split import SplitRows
from stellar_emulator.grid.store import FLUX_ERROR, Grid
from stellar_emulator.networks.basis import Basis, filled
from stellar_emulator.networks.dense import DenseChain, linear_map

Array = NDArray[np.float32]

BYTES_IN_MEMORY = 128 * 2**20
"""Bytes of flux held at once while training on pixels; a larger grid is read in shuffled chunks of this size. Principal
components that take more are not copied for Keras."""


ROWS_ENCODED = 8192
"""Rows of principal components that are encoded at once."""


class Space(Protocol):
    """Targets of a training, one for each example, with the maps between them and the model's final output."""

    @property
    def width(self) -> int: ...

    @property
    def row_weights(self) -> Array | None:
        """Weight of each example as a whole, (n, 1); None if all have the same weight."""

    def examples(self, part: str, inputs: Array | None, batch_size: int) -> Any:
        """The data that Keras fits: (inputs or targets, targets) of one part; ``inputs`` are those of all examples."""

    def encode(self, encode: Callable[[Array], Array]) -> Array:
        """An encoder's output for every example."""

    def enter(self, chain: DenseChain) -> DenseChain:
        """Convert a chain that starts in this space to one that starts from physical values."""

    def leave(self, chain: DenseChain) -> DenseChain:
        """Continue a chain that ends in this space to physical values."""


@dataclass(frozen=True)
class BasisSpace:
    """Principal components, divided by one common scale so that their mean variance is 1.

    The error of a spectrum in this space is that of its flux up to a constant, since the components are orthonormal.
    All coefficients (rows, components) of a grid fit in memory, so one pass over the flux serves all epochs. They are
    stored undivided, and divided on access, since a second array of that size may not fit.
    """

    basis: Basis
    scale: float
    coefficients: Array
    split: SplitRows
    seed: int
    row_weights: Array | None = None

    @property
    def width(self) -> int:
        return len(self.basis.components)

    @property
    def targets(self) -> Array:
        """Targets of all examples, (rows, components), made anew at each call."""
        return self._targets(slice(None))

    def examples(self, part: str, inputs: Array | None, batch_size: int) -> Any:
        rows = self.split[part]
        if self.coefficients.nbytes > BYTES_IN_MEMORY:
            seed = self.seed if part == "train" else None
            return TargetBatches(self._targets, rows, inputs, batch_size, seed, self.row_weights)
        targets = self._targets(rows)
        return (targets if inputs is None else inputs[rows], weighted(targets, self.row_weights, rows))

    def encode(self, encode: Callable[[Array], Array]) -> Array:
        # Rows are encoded in pieces: the widest layer's output for all rows of a large grid takes several times their
        # memory.
        starts = range(0, len(self.coefficients), ROWS_ENCODED)
        return np.concatenate([encode(self._targets(slice(first, first + ROWS_ENCODED))) for first in starts])

    def enter(self, chain: DenseChain) -> DenseChain:
        kernel = self.basis.components.T / self.scale
        return linear_map(kernel, -self.basis.mean @ kernel) + chain

    def leave(self, chain: DenseChain) -> DenseChain:
        return chain + linear_map(self.basis.components * self.scale, self.basis.mean)

    def _targets(self, rows: NDArray[np.int64] | slice) -> Array:
        return self.coefficients[rows] / np.float32(self.scale)


def basis_space(
    basis: Basis, coefficients: Array, split: SplitRows, seed: int, row_weights: Array | None = None
) -> BasisSpace:
    """The space of a basis, in which an example's coefficients, (rows, components), are those of its flux."""
    return BasisSpace(basis, float(np.sqrt(basis.variance.mean())), coefficients, split, seed, row_weights)


def row_weights(grid: Grid, split: SplitRows) -> Array | None:
    """Mean inverse variance of each spectrum over that of the training part, (rows, 1); None without errors."""
    if not grid.has_errors:
        return None
    groups = range(grid.file.num_row_groups)
    mean = np.concatenate([inverse_variance(grid.group_flux(group, FLUX_ERROR)).mean(axis=1) for group in groups])
    return np.asarray(mean / mean[split.train].mean(), dtype=np.float32)[:, np.newaxis]


def inverse_variance(error: Array) -> NDArray[np.float64]:
    """Inverse variance of errors, 0 where they are infinite."""
    return np.asarray(np.square(1.0 / error.astype(np.float64)))


def weighted(targets: Array, weights: Array | None, rows: NDArray[np.int64]) -> Array:
    """Targets (n, width) of some rows with the weights of these rows as further columns."""
    return targets if weights is None else np.concatenate([targets, weights[rows]], axis=1)


@dataclass(frozen=True)
class Known:
    """Statistics of spectra with errors: mean flux of each pixel that has data, (pixels,), and mean inverse
    variance."""

    mean: Array
    weight: float


def known_pixels(grid: Grid, rows: NDArray[np.int64]) -> Known:
    """Compute `Known` for some rows of a grid with errors, read group by group."""
    total, count, weight = np.zeros(grid.pixels), np.zeros(grid.pixels), 0.0
    for group in range(grid.file.num_row_groups):
        first, last = grid.group_starts[group : group + 2]
        inside = rows[(rows >= first) & (rows < last)] - first
        flux, error = (array[inside] for array in _of_group(grid, group))
        known = np.isfinite(error)
        total += np.where(known, flux, 0.0).sum(axis=0)
        count += known.sum(axis=0)
        weight += float(inverse_variance(error).sum())
    return Known((total / np.maximum(count, 1.0)).astype(np.float32), weight / (len(rows) * grid.pixels))


def known_flux(known: Known, flux: Array, error: Array) -> tuple[Array, Array]:
    """Flux in which pixels without data are replaced by the mean, and its weights, (n, pixels) each."""
    return filled(flux, np.isfinite(error), known.mean), (inverse_variance(error) / known.weight).astype(np.float32)


def _of_group(grid: Grid, group: int) -> tuple[Array, Array]:
    return grid.group_flux(group), grid.group_flux(group, FLUX_ERROR)


@dataclass(frozen=True)
class PixelSpace:
    """The flux itself, streamed from disk where it doesn't fit in memory."""

    grid: Grid
    split: SplitRows
    seed: int

    @property
    def width(self) -> int:
        return self.grid.pixels

    @cached_property
    def row_weights(self) -> Array | None:
        return row_weights(self.grid, self.split)

    @cached_property
    def known(self) -> Known | None:
        """Statistics of the training part; None for a grid without errors."""
        return known_pixels(self.grid, self.split.train) if self.grid.has_errors else None

    def examples(self, part: str, inputs: Array | None, batch_size: int) -> Any:
        seed = self.seed if part == "train" else None
        return FluxBatches(self.grid, self.split[part], inputs, batch_size, seed, self.known)

    def encode(self, encode: Callable[[Array], Array]) -> Array:
        if self.known is None:
            return np.concatenate([encode(flux) for _, flux in self.grid.batches()])
        groups = (_of_group(self.grid, group) for group in range(self.grid.file.num_row_groups))
        parts = (known_flux(self.known, flux, error) for flux, error in groups)
        return np.concatenate([encode(flux) for flux, _ in parts])

    def enter(self, chain: DenseChain) -> DenseChain:
        return chain

    def leave(self, chain: DenseChain) -> DenseChain:
        return chain


class TargetBatches(keras.utils.PyDataset):
    """Shuffled batches of targets in memory, gathered when requested, because Keras copies arrays twice.

    targets: returns the targets of some rows. With ``seed`` None the order is that of ``rows``.
    """

    def __init__(
        self,
        targets: Callable[[NDArray[np.int64]], Array],
        rows: NDArray[np.int64],
        inputs: Array | None,
        batch_size: int,
        seed: int | None,
        weights: Array | None = None,
    ) -> None:
        super().__init__()
        self.weights, self.weighted = weights, weights is not None
        self.targets, self.rows, self.inputs, self.batch_size = targets, rows, inputs, batch_size
        self.random = None if seed is None else np.random.default_rng(seed)
        self.on_epoch_end()

    @property
    def num_batches(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        chosen = self._order[index * self.batch_size : (index + 1) * self.batch_size]
        targets = self.targets(chosen)
        return (targets if self.inputs is None else self.inputs[chosen]), weighted(targets, self.weights, chosen)

    def on_epoch_end(self) -> None:
        self._order = self.rows if self.random is None else self.random.permutation(self.rows)


class FluxBatches(keras.utils.PyDataset):
    """Shuffled batches of flux: row groups gathered into chunks, chunks in random order, rows shuffled inside each.

    Memory holds one chunk. With ``seed`` None the order is that of the grid. If all rows fit in one chunk, they are
    read once. The groups that share a chunk are drawn once, since Keras requires the same number of batches in every
    epoch.
    """

    def __init__(
        self,
        grid: Grid,
        rows: NDArray[np.int64],
        inputs: Array | None,
        batch_size: int,
        seed: int | None,
        known: Known | None = None,
    ) -> None:
        super().__init__()
        self.known, self.weighted = known, known is not None
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
        targets = flux if self.known is None else self._targets[chosen]
        return (flux if self.inputs is None else self.inputs[self._rows[chunk][chosen]]), targets

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
        self._flux = np.empty((0, self.grid.pixels), dtype=np.float32)  # release the last chunk first
        self._targets = self._flux
        self._flux = self._targets = self.grid.take(self._rows[chunk])
        if self.known is not None:
            self._flux, weights = known_flux(self.known, self._flux, self.grid.take(self._rows[chunk], FLUX_ERROR))
            self._targets = np.concatenate([self._flux, weights], axis=1)
        self._loaded = chunk
