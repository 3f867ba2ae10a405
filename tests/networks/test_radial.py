"""Radial functions as an emulator's first step, in NumPy, as a graph, and differentiated."""

import numpy as np
import pytest

from rounding import UNIT
from stellar_emulator.networks.coordinates import Coordinate
from stellar_emulator.networks.dense import DenseChain, DenseLayer, linear_map, scale_inputs
from stellar_emulator.networks.inference import EmulatorNetwork
from stellar_emulator.networks.onnx.export import emulator_onnx
from stellar_emulator.networks.onnx.jacobian import jacobian_onnx
from stellar_emulator.networks.onnx.runtime import open_network
from stellar_emulator.networks.radial import RadialFunctions

COORDINATES = (Coordinate("itself", 1), Coordinate("reciprocal", 0), Coordinate("power", 2))
NODES, PIXELS = 8, 20


def chain(coordinates: tuple[Coordinate, ...] = COORDINATES) -> DenseChain:
    random = np.random.default_rng(7)
    scale, shift, centres = (random.normal(size=size).astype(np.float32) for size in (3, 3, (NODES, 3)))
    kernel = random.normal(size=(NODES + 3, PIXELS)).astype(np.float32)
    layer = DenseLayer(kernel, random.normal(size=PIXELS).astype(np.float32), "linear")
    return DenseChain((layer,), coordinates, RadialFunctions(scale, shift, centres))


def labels(rows: int) -> np.ndarray:
    return np.random.default_rng(8).uniform(0.5, 1.5, size=(rows, 3))


def test_functions_are_cubes_of_distances_and_then_the_places() -> None:
    one = np.ones(1, np.float32)
    functions = RadialFunctions(2.0 * one, one, np.array([[1.0], [4.0]], np.float32))
    np.testing.assert_array_equal(functions(np.array([[0.0], [3.0]])), [[0.0, 27.0, 1.0], [216.0, 27.0, 7.0]])


@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize("coordinates", [COORDINATES, ()])
def test_graph_and_layers_agree(rows: int, coordinates: tuple[Coordinate, ...]) -> None:
    network = EmulatorNetwork(chain(coordinates))
    exact = network.chain(labels(rows))
    assert exact.dtype == np.float64
    found = open_network(emulator_onnx(network).SerializeToString(), PIXELS)(labels(rows))
    functions = np.abs(network.chain.given(labels(rows)))
    size = (functions + 1.0) @ np.abs(network.chain.layers[0].kernel.astype(float))
    assert (np.abs(found - exact) < 40.0 * UNIT * size).all()
    assert np.abs(network(labels(rows)) - exact).max() < 40.0 * UNIT * size.max()


@pytest.mark.parametrize("coordinates", [COORDINATES, ()])
def test_derivatives_are_those_of_the_layers(coordinates: tuple[Coordinate, ...]) -> None:
    made, wanted = chain(coordinates), labels(5)
    found = open_network(jacobian_onnx(EmulatorNetwork(made)).SerializeToString(), 3, PIXELS)(wanted)
    expected = np.stack([(made(wanted + move) - made(wanted - move)) / 2e-6 for move in 1e-6 * np.eye(3)], axis=1)
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


def test_a_chain_with_functions_counts_its_inputs_and_weights_and_goes_on() -> None:
    made = chain(())
    assert (made.inputs, made.outputs) == (3, PIXELS)
    assert made.weights == NODES * 3 + (NODES + 3) * PIXELS
    longer = made + linear_map(np.ones((PIXELS, 1)), np.zeros(1))
    np.testing.assert_allclose(longer(labels(4))[:, 0], made(labels(4)).sum(axis=1))
    with pytest.raises(ValueError, match="scale of their own"):
        scale_inputs(made, np.ones(3), np.zeros(3))
