"""Trained networks as plain dense layers: what is saved, exported to ONNX, folded and evaluated without Keras."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.networks.coordinates import Coordinates, along
from stellar_emulator.networks.radial import RadialFunctions

Array = NDArray[np.float32]


def silu(x: Array) -> Array:
    """The input times its logistic function."""
    from scipy.special import expit

    return np.asarray(x * expit(x))


def gelu(x: Array) -> Array:
    """The input times its cumulative normal distribution, in the input's precision."""
    from scipy.special import erf

    return np.asarray(0.5 * x * (1.0 + erf(x / np.sqrt(2.0).astype(x.dtype))))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "silu": silu,
    "gelu": gelu,
    "tanh": np.tanh,
}


@dataclass(frozen=True)
class DenseLayer:
    """y = activation(x @ kernel + bias): kernel (inputs, outputs), bias (outputs,)."""

    kernel: Array
    bias: Array
    activation: str

    def __call__(self, x: Array) -> Array:
        return ACTIVATIONS[self.activation](x @ self.kernel + self.bias)


@dataclass(frozen=True)
class DenseChain:
    """Dense layers one after the other.

    coordinates: those of the inputs that the first layer takes; empty if it takes the inputs themselves. radial: the
    functions of these coordinates that it takes instead, if there are any.
    """

    layers: tuple[DenseLayer, ...]
    coordinates: Coordinates = ()
    radial: RadialFunctions | None = None

    def __call__(self, x: Array) -> Array:
        precision = x.dtype
        x = self.given(x)
        for number, layer in enumerate(self.layers):
            x = layer(x)
            if number == 0 and self.radial is not None:
                x = x.astype(precision)
        return x

    def given(self, x: NDArray[np.floating]) -> NDArray[np.floating]:
        """The values that the first layer takes, computed from the inputs."""
        given = along(self.coordinates, x) if self.coordinates else x
        return given if self.radial is None else self.radial(given)

    def __add__(self, after: "DenseChain") -> "DenseChain":
        """This chain, followed by ``after``; adjoining linear layers are not merged, since a narrow waist costs
        less."""
        return replace(self, layers=self.layers + after.layers)

    @property
    def inputs(self) -> int:
        """Number of values that the chain takes."""
        if self.coordinates:
            return 1 + max(coordinate.column for coordinate in self.coordinates)
        if self.radial is not None:
            return len(self.radial.scale)
        return int(self.layers[0].kernel.shape[0])

    @property
    def outputs(self) -> int:
        """Number of values that it returns."""
        return int(self.layers[-1].kernel.shape[1])

    @property
    def weights(self) -> int:
        """Number of kernel entries: one row through the chain takes twice as many floating-point operations."""
        return sum(layer.kernel.size for layer in self.layers) + (self.radial.weights if self.radial else 0)


def linear_map(kernel: NDArray[np.floating], bias: NDArray[np.floating]) -> DenseChain:
    """The map x @ kernel + bias as a chain."""
    return DenseChain((_layer(kernel, bias, "linear"),))


def scale_inputs(chain: DenseChain, scale: NDArray[np.float64], shift: NDArray[np.float64]) -> DenseChain:
    """The chain applied to x * scale + shift, which is folded into the first kernel."""
    if chain.radial is not None:
        raise ValueError("radial functions have a scale of their own")
    first = chain.layers[0]
    kernel = first.kernel.astype(np.float64)
    folded = _layer(kernel * scale[:, np.newaxis], first.bias + shift @ kernel, first.activation)
    return replace(chain, layers=(folded, *chain.layers[1:]))


def scale_outputs(chain: DenseChain, scale: NDArray[np.float64], shift: NDArray[np.float64]) -> DenseChain:
    """The chain that applies y * scale + shift last, folded into its (linear) last layer."""
    last = chain.layers[-1]
    if last.activation != "linear":
        raise ValueError(f"outputs of a {last.activation} layer can't be scaled inside it")
    folded = _layer(last.kernel * scale, last.bias * scale + shift, "linear")
    return replace(chain, layers=(*chain.layers[:-1], folded))


def from_keras(model: Any) -> DenseChain:
    """The dense layers of a Keras model in order; layers that act only in training (dropout) are omitted."""
    dense = [layer for layer in model.layers if type(layer).__name__ == "Dense"]
    return DenseChain(tuple(_from_dense(layer) for layer in dense))


def _from_dense(layer: Any) -> DenseLayer:
    kernel, bias = layer.get_weights()
    return _layer(kernel, bias, layer.activation.__name__)


def _layer(kernel: NDArray[np.floating], bias: NDArray[np.floating], activation: str) -> DenseLayer:
    return DenseLayer(np.asarray(kernel, dtype=np.float32), np.asarray(bias, dtype=np.float32), activation)
