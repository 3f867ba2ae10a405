"""Fits a network of dense layers by Muon on plain arrays: cores share the rows of a batch, and the layers of a step.

Each core's products have one thread. So they reach the machine's rate, which the small products of these networks do
not when cores share each of them, and values stay in the cache of the core that made them.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from stellar_emulator.networks.preset import Loss
from stellar_emulator.system.cores import cores
from stellar_emulator.training.muon import Muon, Product
from stellar_emulator.training.share import Share, weights_of

Array = NDArray[np.float32]

MOST_CORES, LEAST_ROWS = 8, 128
"""More cores wait for each other more than they gain; fewer rows for each are worth no thread."""


class Batches(Protocol):
    """Batches (inputs, targets) of an epoch, by number, like those of a `keras.utils.PyDataset`."""

    @property
    def num_batches(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Array, Array]: ...

    def on_epoch_end(self) -> None:
        """Draw the next epoch's order."""


class ArrayBatches:
    """Batches of arrays in memory; shuffled anew for each epoch, unless ``seed`` is None."""

    def __init__(self, inputs: Array, targets: Array, batch_size: int, seed: int | None = None) -> None:
        self.inputs, self.targets, self.batch_size = inputs, targets, batch_size
        self._random = None if seed is None else np.random.default_rng(seed)
        self.on_epoch_end()

    @property
    def num_batches(self) -> int:
        return -(-len(self.inputs) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        chosen = self._order[index * self.batch_size : (index + 1) * self.batch_size]
        return self.inputs[chosen], self.targets[chosen]

    def on_epoch_end(self) -> None:
        count = len(self.inputs)
        self._order = np.arange(count) if self._random is None else self._random.permutation(count)


class MuonTraining:
    """The state of a training by Muon: weights, moments, and the weights that were best so far.

    model: a Keras model of dense layers, which gets the best weights at the end; batch_size: rows of a step.
    """

    def __init__(self, model: Any, loss: Loss, batch_size: int, beta_2: float | None, seed: int = 0) -> None:
        self.model, self.loss, self.weights = model, loss, weights_of(model)
        self.muon = Muon(self.weights, beta_2)
        self.best = [array.copy() for array in self.weights.arrays]
        count = max(1, min(MOST_CORES, cores(), batch_size // LEAST_ROWS))
        self.shares = [Share(self.weights, -(-batch_size // count), seed + number) for number in range(count)]

    @contextmanager
    def at_work(self) -> Iterator[Executor]:
        """Threads for the shares, while each of them computes its products alone."""
        with threadpool_limits(1, "blas"), ThreadPoolExecutor(len(self.shares)) as pool:
            yield pool

    def epoch(self, batches: Batches, rate: Callable[[int], float], pool: Executor) -> float:
        """One pass over the examples; returns their mean error. rate: learning rate of a step, by its number."""
        error, examples = 0.0, 0
        for number in range(batches.num_batches):
            inputs, targets = batches[number]
            error += self.learn(inputs, targets, pool)
            examples += len(inputs)
            self.step(rate(self.muon.steps), pool)
        batches.on_epoch_end()
        return error / examples

    def learn(self, inputs: Array, targets: Array, pool: Executor) -> float:
        """Leave the gradient's parts in the shares; return the sum of the examples' errors."""
        pieces, examples = self._pieces(inputs, targets), len(inputs)
        return float(sum(pool.map(lambda share, piece: share.learn(*piece, self.loss, examples), self.shares, pieces)))

    def step(self, rate: float, pool: Executor) -> None:
        """One step against the gradient that the shares hold."""

        def product(one: Array, other: Array) -> Array:
            """By all cores, each of which makes some rows."""
            made = np.empty((len(one), other.shape[1]), np.float32)
            pieces = (np.array_split(rows, len(self.shares)) for rows in (one, made))
            list(pool.map(lambda rows, place: np.matmul(rows, other, out=place), *pieces))
            return made

        def of(layer: int, by: Product = np.matmul) -> None:
            first, *others = self.shares
            for share in others:
                first.kernels[layer] += share.kernels[layer]
                first.biases[layer] += share.biases[layer]
            self.muon.step(layer, first.kernels[layer], first.biases[layer], rate, by)

        costs = self.muon.costs
        layers = sorted(range(len(costs)), key=lambda layer: -costs[layer])
        # A layer that would keep its core busy longer than all others' share is worked on by all.
        shared = [layer for layer in layers if costs[layer] * len(self.shares) > sum(costs)]
        for layer in shared:
            of(layer, product)
        list(pool.map(of, layers[len(shared) :]))  # the longest work first
        self.muon.steps += 1

    def error(self, batches: Batches, pool: Executor) -> float:
        """Mean error of examples."""
        total, examples = 0.0, 0
        for number in range(batches.num_batches):
            inputs, targets = batches[number]
            pieces = self._pieces(inputs, targets)
            total += sum(pool.map(lambda share, piece: share.error(*piece, self.loss), self.shares, pieces))
            examples += len(inputs)
        return total / examples

    def keep_best(self) -> None:
        """Note the weights as the best so far."""
        for kept, array in zip(self.best, self.weights.arrays, strict=True):
            kept[...] = array

    def restore_best(self) -> None:
        """Give the model the best weights."""
        self.model.set_weights(self.best)

    def save(self, path: Path) -> None:
        """Write the state to a file."""
        named: dict[str, Any] = {"steps": self.muon.steps}
        for name, arrays in self._state.items():
            named |= {f"{name}{number}": array for number, array in enumerate(arrays)}
        with path.open("wb") as stream:
            np.savez(stream, **named)

    def load(self, path: Path) -> None:
        """Read the state from a file of the same training."""
        with np.load(path) as kept:
            self.muon.steps = int(kept["steps"])
            for name, arrays in self._state.items():
                for number, array in enumerate(arrays):
                    array[...] = kept[f"{name}{number}"]

    @property
    def _state(self) -> dict[str, list[Array]]:
        return {
            "weights": self.weights.arrays,
            "moments": self.muon.moments,
            "squares": self.muon.squares,
            "best": self.best,
        }

    def _pieces(self, inputs: Array, targets: Array) -> Iterator[tuple[Array, Array]]:
        parts = len(self.shares)
        return zip(np.array_split(inputs, parts), np.array_split(targets, parts), strict=True)
