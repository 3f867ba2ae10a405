"""An ONNX graph, built node by node, without Keras or a converter.

Opset 13 and IR version 7 (2020) are read by every ONNX Runtime since 1.8. Only `Graph.model` imports the package onnx,
so that a model that generates spectra does not need it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.networks.coordinates import Coordinates, Shape
from stellar_emulator.networks.dense import DenseChain, DenseLayer
from stellar_emulator.networks.radial import RadialFunctions
from stellar_emulator.version import VERSION

if TYPE_CHECKING:
    import onnx

OPSET = 13
IR_VERSION = 7

SINGLE, WHOLE = 1, 6
"""Values of `TensorProto.FLOAT` and `TensorProto.INT32`, which ONNX's format fixes."""


SINGLE, DOUBLE = 1, 11
"""ONNX's numbers of the two precisions (`TensorProto.FLOAT`, `TensorProto.DOUBLE`)."""


@dataclass(frozen=True)
class Outputs:
    """Outputs of a layer in another arrangement: their indices in the original order, and their factors."""

    places: NDArray[np.int64]
    factors: NDArray[np.float32]


@dataclass(frozen=True)
class Radial:
    """Names of radial functions (n, centres + coordinates) and of what they are made of.

    apart: (n, centres, coordinates); distance: (n, centres); scale: of the coordinates, (coordinates,).
    """

    values: str
    apart: str
    distance: str
    scale: str


@dataclass
class Node:
    """One operation on values that are identified by their names."""

    operator: str
    inputs: list[str]
    outputs: list[str]
    settings: Mapping[str, Any] = field(default_factory=dict)


class Graph:
    """The nodes and weights added so far; every method that adds some returns the name of their output."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.weights: list[tuple[str, NDArray[Any]]] = []

    def chain(self, value: str, name: str, chain: DenseChain, outputs: Outputs | None = None) -> str:
        """Dense layers one after the other; ``outputs``: those of the last one, if they are rearranged."""
        if chain.coordinates:
            value, _ = self.coordinates(value, name, chain.coordinates)
        if chain.radial is not None:
            value = self.radial(value, f"{name}/radial", chain.radial).values
        for number, layer in enumerate(chain.layers):
            last = number == len(chain.layers) - 1
            prefix = f"{name}/{number}"
            kernel, bias = self.layer_weights(prefix, layer, outputs if last else None)
            if number == 0 and chain.radial is not None:
                before = self.summed(value, kernel, bias, prefix)
            else:
                before = self.node("Gemm", [value, kernel, bias], prefix)
            value = self.activation(before, layer.activation)
        return value

    def summed(self, functions: str, kernel: str, bias: str, name: str) -> str:
        """The layer of radial functions, in double precision: large terms cancel."""
        weights = [self.cast(one, f"{one}/double", DOUBLE) for one in (kernel, bias)]
        return self.cast(self.node("Gemm", [functions, *weights], f"{name}/double"), name, SINGLE)

    def coordinates(self, value: str, name: str, coordinates: Coordinates) -> tuple[str, list[tuple[Shape, str]]]:
        """Coordinates of physical labels; also the parts of which they consist, by form."""
        parts: list[tuple[Shape, str]] = []
        for shape, same in groupby(coordinates, key=lambda coordinate: coordinate.shape):
            prefix = f"{name}/{len(parts)}/{shape}"
            columns = self.columns(value, [coordinate.column for coordinate in same], f"{prefix}/labels")
            parts.append((shape, self.shaped(columns, shape, prefix)))
        return self.concat([part for _, part in parts], f"{name}/coordinates", axis=1), parts

    def radial(self, value: str, name: str, functions: RadialFunctions) -> Radial:
        """Radial functions of coordinates, and the parts of which they consist, all in double precision."""
        scale, shift, centres = (
            self.cast(self.constant(f"{name}/{what}", getattr(functions, what)), f"{name}/{what}/double", DOUBLE)
            for what in ("scale", "shift", "centres")
        )
        value = self.cast(value, f"{name}/double", DOUBLE)
        place = self.node("Add", [self.node("Mul", [value, scale], f"{name}/scaled"), shift], f"{name}/place")
        apart = self.node("Sub", [self.with_axis(place, f"{name}/place/rows"), centres], f"{name}/apart")
        axis = self.integers(f"{name}/along", [2])
        product = self.node("Mul", [apart, apart], f"{name}/product")
        squared = self.node("ReduceSum", [product, axis], f"{name}/squared", keepdims=0)
        distance = self.node("Sqrt", [squared], f"{name}/distance")
        cubed = self.node("Mul", [squared, distance], f"{name}/cubed")
        return Radial(self.concat([cubed, place], f"{name}/functions", axis=1), apart, distance, scale)

    def cast(self, value: str, name: str, precision: int) -> str:
        """A value in another precision, `SINGLE` or `DOUBLE`."""
        return self.node("Cast", [value], name, to=precision)

    def shaped(self, value: str, shape: Shape, name: str) -> str:
        """Labels as coordinates of one shape."""
        if shape == "itself":
            return value
        if shape == "reciprocal":
            return self.node("Reciprocal", [value], name)
        return self.node("Pow", [self.number(f"{name}/base", 10.0), value], name)

    def layer_weights(self, prefix: str, layer: DenseLayer, outputs: Outputs | None) -> tuple[str, str]:
        """Kernel and bias of a layer (linear if ``outputs`` are given): stored unchanged, and rearranged on loading."""
        kernel, bias = self.constant(f"{prefix}/kernel", layer.kernel), self.constant(f"{prefix}/bias", layer.bias)
        if outputs is None:
            return kernel, bias
        places = self.integers(f"{prefix}/outputs", outputs.places)
        factors = self.constant(f"{prefix}/factors", outputs.factors)
        arranged = []
        for axis, value in ((1, kernel), (0, bias)):
            self.node("Gather", [value, places], f"{value}/arranged", axis=axis)
            arranged.append(self.node("Mul", [f"{value}/arranged", factors], f"{value}/scaled"))
        return arranged[0], arranged[1]

    def activation(self, value: str, activation: str) -> str:
        if activation == "linear":
            return value
        if activation in ("relu", "tanh"):
            return self.node(activation.capitalize(), [value], f"{value}/{activation}")
        if activation == "silu":
            return self.node("Mul", [value, self.node("Sigmoid", [value], f"{value}/sigmoid")], f"{value}/silu")
        if activation == "gelu":
            return self.gelu(value)
        raise ValueError(f"activation {activation} has no ONNX form here")

    def gelu(self, value: str) -> str:
        """X / 2 * (1 + erf(x / sqrt 2)), in an order of nodes that ONNX Runtime can fuse."""
        root, one, half = (
            self.constant(f"{value}/{name}", np.array(number, dtype=np.float32))
            for name, number in (("root", math.sqrt(2)), ("one", 1.0), ("half", 0.5))
        )
        erf = self.node("Erf", [self.node("Div", [value, root], f"{value}/scaled")], f"{value}/erf")
        product = self.node("Mul", [value, self.node("Add", [erf, one], f"{value}/shifted")], f"{value}/product")
        return self.node("Mul", [product, half], f"{value}/gelu")

    def node(self, operator: str, inputs: list[str], output: str, **settings: Any) -> str:
        self.nodes.append(Node(operator, inputs, [output], settings))
        return output

    def constant(self, name: str, value: NDArray[np.float32]) -> str:
        self.weights.append((name, np.ascontiguousarray(value)))
        return name

    def integers(self, name: str, values: Sequence[int] | NDArray[np.int64]) -> str:
        self.weights.append((name, np.array(values, dtype=np.int64)))
        return name

    def number(self, name: str, value: float) -> str:
        return self.constant(name, np.array(value, dtype=np.float32))

    def columns(self, value: str, places: Sequence[int], name: str) -> str:
        """Some columns of a matrix, as a matrix."""
        return self.gather(value, self.integers(f"{name}/places", list(places)), name)

    def gather(self, value: str, places: str, name: str) -> str:
        """Some entries along axis 1, in the order of ``places``."""
        return self.node("Gather", [value, places], name, axis=1)

    def concat(self, values: Sequence[str], name: str, axis: int) -> str:
        return self.node("Concat", list(values), name, axis=axis)

    def split(self, value: str, widths: Sequence[int], names: Sequence[str], axis: int) -> list[str]:
        sizes = self.integers(f"{names[0]}/widths", list(widths))
        self.nodes.append(Node("Split", [value, sizes], list(names), {"axis": axis}))
        return list(names)

    def reshape(self, value: str, shape: Sequence[int], name: str) -> str:
        """The same numbers in another shape, of which one length may be -1."""
        return self.node("Reshape", [value, self.integers(f"{name}/shape", shape)], name)

    def transpose(self, value: str, axes: Sequence[int], name: str) -> str:
        return self.node("Transpose", [value], name, perm=list(axes))

    def with_axis(self, value: str, name: str) -> str:
        """Rows (n, width) as (n, 1, width), to be broadcast over labels."""
        return self.node("Unsqueeze", [value, self.integers(f"{name}/axis", [1])], name)

    def whole(self, value: str, name: str) -> str:
        """Numbers that are whole already, as integers that can index a table."""
        return self.node("Cast", [value], name, to=WHOLE)

    def single(self, value: str, name: str) -> str:
        """Truth values or other numbers in single precision."""
        return self.node("Cast", [value], name, to=SINGLE)

    def rename(self, value: str, name: str) -> None:
        """Give the output of the last node its public name."""
        assert self.nodes[-1].outputs[0] == value
        self.nodes[-1].outputs[0] = name

    def model(
        self, name: str, given: tuple[str, int], wanted: tuple[str, *tuple[int, ...]], row_axis: int = 0
    ) -> "onnx.ModelProto":
        """The whole graph; ``given`` and ``wanted``: name of input and of output, and their shapes without the n rows,
        which are the output's axis ``row_axis``."""
        import onnx
        from onnx import helper, numpy_helper

        inputs = helper.make_tensor_value_info(given[0], SINGLE, ["n", given[1]])
        shape: list[str | int] = [*wanted[1:]]
        shape.insert(row_axis, "n")
        outputs = helper.make_tensor_value_info(wanted[0], SINGLE, shape)
        nodes = [helper.make_node(node.operator, node.inputs, node.outputs, **node.settings) for node in self.nodes]
        weights = [numpy_helper.from_array(value, weight) for weight, value in self.weights]
        model = helper.make_model(
            helper.make_graph(nodes, name, [inputs], [outputs], weights),
            producer_name="stellar-emulator",
            producer_version=VERSION,
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
        )
        onnx.checker.check_model(model, full_check=True)
        return model
