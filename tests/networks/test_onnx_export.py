"""The ONNX graphs compute what the dense layers compute, at any number of rows."""

from itertools import pairwise

import numpy as np
import onnx
import onnxruntime
import pytest

from rounding import assert_within, both, chain_error
from stellar_emulator.networks.coordinates import Coordinate
from stellar_emulator.networks.dense import ACTIVATIONS, DenseChain, DenseLayer
from stellar_emulator.networks.inference import EmulatorNetwork, ValidatorNetwork
from stellar_emulator.networks.onnx.export import emulator_onnx, validator_onnx

pytestmark = pytest.mark.rounding


def random_chain(widths: list[int], activation: str, seed: int = 0) -> DenseChain:
    random = np.random.default_rng(seed)
    layers = [
        DenseLayer(
            (random.normal(size=(inputs, outputs)) / np.sqrt(inputs)).astype(np.float32),
            random.normal(size=outputs).astype(np.float32),
            activation,
        )
        for inputs, outputs in pairwise(widths)
    ]
    return DenseChain((*layers[:-1], DenseLayer(layers[-1].kernel, layers[-1].bias, "linear")))


def run(model: onnx.ModelProto, name: str, rows: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {name: rows})[0]


@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_emulator_graph_agrees_with_its_layers(activation: str, rows: int) -> None:
    network = EmulatorNetwork(random_chain([6, 64, 32, 100], activation))
    labels = 3 * np.random.default_rng(1).normal(size=(rows, 6)).astype(np.float32)
    found = run(emulator_onnx(network), "labels", labels)
    assert_within(found, network(labels), both(chain_error(network.chain, labels)))


@pytest.mark.parametrize("rows", [1, 7])
def test_emulator_graph_makes_the_coordinates_that_its_layers_are_given(rows: int) -> None:
    coordinates = (
        Coordinate("itself", 0),
        Coordinate("itself", 1),
        Coordinate("reciprocal", 0),
        Coordinate("power", 2),
    )
    network = EmulatorNetwork(DenseChain(random_chain([4, 32, 50], "gelu").layers, coordinates))
    labels = np.random.default_rng(1).uniform(0.5, 1.5, size=(rows, 3)).astype(np.float32)
    found = run(emulator_onnx(network), "labels", labels)
    assert_within(found, network(labels), both(chain_error(network.chain, labels)))
    as_they_are = EmulatorNetwork(random_chain([3, 32, 50], "gelu"))
    assert len(emulator_onnx(as_they_are).graph.node) < len(emulator_onnx(network).graph.node)


@pytest.mark.parametrize("outputs", [[6], [1, 1, 1]])
def test_validator_graph_agrees_with_its_heads_in_their_order(outputs: list[int]) -> None:
    heads = tuple(random_chain([15, 32, count], "relu", seed) for seed, count in enumerate(outputs))
    network = ValidatorNetwork(random_chain([100, 15], "linear"), heads)
    flux = np.random.default_rng(1).normal(size=(5, 100)).astype(np.float32)
    found = run(validator_onnx(network), "flux", flux)
    expected = network(flux)
    assert found.shape == (5, sum(outputs))
    errors = [chain_error(network.projection + head, flux) for head in heads]
    assert_within(found, expected, both(np.concatenate(errors, axis=1)))


def test_graph_is_widely_readable_and_names_its_ends() -> None:
    model = emulator_onnx(EmulatorNetwork(random_chain([3, 8, 20], "gelu")))
    assert model.ir_version <= 8
    assert [opset.version <= 17 for opset in model.opset_import] == [True]
    (given,), (wanted,) = model.graph.input, model.graph.output
    assert (given.name, wanted.name) == ("labels", "flux")
    assert given.type.tensor_type.shape.dim[0].dim_param  # any number of rows
    assert wanted.type.tensor_type.shape.dim[1].dim_value == 20


def test_unknown_activation_is_no_silent_identity() -> None:
    layer = DenseLayer(np.ones((2, 2), np.float32), np.zeros(2, np.float32), "softplus")
    with pytest.raises(ValueError, match="softplus"):
        emulator_onnx(EmulatorNetwork(DenseChain((layer,))))
