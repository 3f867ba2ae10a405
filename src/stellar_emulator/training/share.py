"""One core's share of a batch: its error, and the error's gradient by the weights of a network of dense layers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.networks.preset import Loss
from stellar_emulator.training.slopes import BLOCK, SCRATCH, activate

Array = NDArray[np.float32]

_DIVERGING = np.errstate(over="ignore", invalid="ignore")  # a training that diverges is found by its error


@dataclass(frozen=True)
class Weights:
    """Dense layers in order: kernels (inputs, outputs) and biases (outputs,), which a training changes in place.

    dropout: the rate after each layer.
    """

    kernels: list[Array]
    biases: list[Array]
    activations: tuple[str, ...]
    dropout: tuple[float, ...]

    @property
    def arrays(self) -> list[Array]:
        """All weights in Keras's order."""
        return [array for layer in zip(self.kernels, self.biases, strict=True) for array in layer]


def weights_of(model: Any) -> Weights:
    """A copy of the weights of a Keras model of dense layers and dropout."""
    kernels, biases, activations = [], [], []
    dropout: list[float] = []
    for layer in model.layers:
        if type(layer).__name__ == "Dropout":
            dropout[-1] = float(layer.rate)
            continue
        kernel, bias = layer.get_weights()
        kernels.append(np.array(kernel, np.float32, order="C"))
        biases.append(np.array(bias, np.float32))
        activations.append(layer.activation.__name__)
        dropout.append(0.0)
    return Weights(kernels, biases, tuple(activations), tuple(dropout))


class Share:
    """Room for the work on some rows of a batch, and the gradient that it ends with.

    kernels, biases: the gradient, in the shapes of the weights; rows: the most rows that it takes.
    """

    def __init__(self, weights: Weights, rows: int, seed: int = 0) -> None:
        self.weights, self.rows = weights, rows
        self.kernels, self.biases = [[np.empty_like(one) for one in of] for of in (weights.kernels, weights.biases)]
        self._slopes, self._values = [
            [np.empty((rows, len(bias)), np.float32) for bias in weights.biases] for _ in "sv"
        ]
        self._scratch = np.empty((SCRATCH, BLOCK), np.float32)
        self._random = np.random.default_rng(seed)

    @_DIVERGING
    def error(self, inputs: Array, targets: Array, loss: Loss) -> float:
        """Sum of the errors of some examples."""
        return self._error(self._outputs(inputs, learning=False), targets, loss, len(inputs))

    @_DIVERGING
    def learn(self, inputs: Array, targets: Array, loss: Loss, examples: int) -> float:
        """The gradient of these examples' part in the mean error of a number of ``examples``; returns their sum of
        errors."""
        found = self._error(self._outputs(inputs, learning=True), targets, loss, examples)
        weights, count = self.weights, len(inputs)
        slope = self._values[-1][:count]
        for layer in reversed(range(len(weights.kernels))):
            if self._bends(layer):
                slope *= self._slopes[layer][:count]
            before = self._values[layer - 1][:count] if layer else inputs
            np.matmul(before.T, slope, out=self.kernels[layer])
            np.sum(slope, axis=0, out=self.biases[layer])
            if layer:
                slope = np.matmul(slope, weights.kernels[layer].T, out=before)  # whose values are needed no more
        return found

    def _bends(self, layer: int) -> bool:
        return self.weights.activations[layer] != "linear" or self.weights.dropout[layer] > 0

    def _outputs(self, inputs: Array, learning: bool) -> Array:
        weights, values = self.weights, inputs
        for layer, (kernel, bias) in enumerate(zip(weights.kernels, weights.biases, strict=True)):
            slope, made = (of[layer][: len(inputs)] for of in (self._slopes, self._values))
            activation, rate = weights.activations[layer], weights.dropout[layer]
            given = made if activation == "linear" else slope
            np.matmul(values, kernel, out=given)
            given += bias
            if activation != "linear":
                activate(activation, given, made, self._scratch)
            elif rate:
                slope.fill(1.0)
            if rate and learning:
                kept = (self._random.random(made.shape, np.float32) >= rate) / np.float32(1.0 - rate)
                made *= kept
                slope *= kept
            values = made
        return values

    @staticmethod
    def _error(made: Array, targets: Array, loss: Loss, examples: int) -> float:
        """Sum of the errors of outputs made (n, values), in whose place comes the slope of the mean of ``examples``.

        targets: shape (n, values), or with weights as further columns, see `training.space`.
        """
        values = made.shape[1]
        made -= targets[:, :values]
        weighed = made * targets[:, values:] if targets.shape[1] > values else made
        errors = np.einsum("ij,ij->i", made, weighed) / np.float32(values)
        if loss == "root_mean_squared_error":
            errors = np.sqrt(errors + np.float32(1e-12))
            np.multiply(weighed, (1.0 / (errors * np.float32(examples * values)))[:, np.newaxis], out=made)
        else:
            np.multiply(weighed, np.float32(2.0 / (examples * values)), out=made)
        return float(errors.sum())
