"""A graph is what its layers make, whichever machine prepared its constants, and nothing else passes for it."""

import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import onnx
import pytest

from stellar_emulator.networks.inference import ExactEmulatorNetwork
from stellar_emulator.networks.onnx.export import emulator_onnx
from stellar_emulator.networks.onnx.synthesis import WEIGHTS
from stellar_emulator.saved.bundle import read_bundle, read_network
from stellar_emulator.saved.same_graph import RESPONSE, same_graph
from stellar_emulator.shipped.resources import resource

EMULATOR = resource("pairs", "gaia_rvs", "emulator")


@pytest.fixture(scope="module")
def network() -> ExactEmulatorNetwork:
    found = read_network(read_bundle(EMULATOR))
    assert isinstance(found, ExactEmulatorNetwork)
    return found


@pytest.fixture(scope="module")
def made(network: ExactEmulatorNetwork) -> onnx.ModelProto:
    return emulator_onnx(network)


def copy_of(made: onnx.ModelProto) -> onnx.ModelProto:
    given = onnx.ModelProto()
    given.CopyFrom(made)
    return given


def change(given: onnx.ModelProto, name: str, how: Callable[[np.ndarray], np.ndarray]) -> None:
    (tensor,) = (one for one in given.graph.initializer if one.name == name)
    tensor.raw_data = how(np.frombuffer(tensor.raw_data, dtype="<f4").copy()).astype("<f4").tobytes()


def added(step: float, place: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda values: np.where(np.arange(len(values)) == place, values + np.float32(step), values)


def other_than_layers(made: onnx.ModelProto) -> str:
    """Name of the largest constant that is neither of a layer nor of the synthesis."""
    singles = [one for one in made.graph.initializer if one.data_type == onnx.TensorProto.FLOAT]
    return max(
        (one for one in singles if one.name.startswith("synthesis/across")), key=lambda one: len(one.raw_data)
    ).name


@pytest.mark.parametrize(("kernel", "threads"), [("Prescott", "1"), ("", "1")])
def test_other_kernels_and_threads_make_the_same_graph(kernel: str, threads: str) -> None:
    code = (
        "import sys; from pathlib import Path; from stellar_emulator.saved.bundle import read_bundle;"
        "from stellar_emulator.saved.rebuilt import require_graph_of_weights;"
        "require_graph_of_weights(read_bundle(Path(sys.argv[1])))"
    )
    own = {"OMP_NUM_THREADS": threads} | ({"OPENBLAS_CORETYPE": kernel} if kernel else {})
    done = subprocess.run(
        [sys.executable, "-c", code, str(EMULATOR)], env=os.environ | own, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_same_graph_of_another_version_is_the_same(made: onnx.ModelProto, network: ExactEmulatorNetwork) -> None:
    given = copy_of(made)
    given.producer_version = "0.0.1"
    change(given, other_than_layers(made), lambda values: np.nextafter(values, np.float32(2.0)))
    assert same_graph(made, given, network)


def test_weights_that_shift_a_mode_are_others(made: onnx.ModelProto, network: ExactEmulatorNetwork) -> None:
    for step, same in ((0.1 * RESPONSE, True), (30 * RESPONSE, False)):
        given = copy_of(made)
        change(given, WEIGHTS, added(step, 4321))
        assert same_graph(made, given, network) is same


@pytest.mark.parametrize("value", [1e-5, np.nan, np.inf])
def test_a_constant_beyond_rounding_is_another(
    made: onnx.ModelProto, network: ExactEmulatorNetwork, value: float
) -> None:
    given = copy_of(made)
    change(given, other_than_layers(made), added(value, 7))
    assert not same_graph(made, given, network)


def _external(given: onnx.ModelProto) -> None:
    given.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    given.graph.initializer[0].external_data.add(key="location", value="elsewhere.bin")


def _shorter(given: onnx.ModelProto) -> None:
    given.graph.initializer[0].raw_data = given.graph.initializer[0].raw_data[:-4]


def _integer(given: onnx.ModelProto) -> None:
    (tensor,) = (one for one in given.graph.initializer if one.name == "synthesis/windows")
    places = np.frombuffer(tensor.raw_data, dtype="<i8").copy()
    places[5] += 1
    tensor.raw_data = places.tobytes()


def _node(given: onnx.ModelProto) -> None:
    given.graph.node.append(onnx.helper.make_node("Abs", ["flux"], ["unused"]))


def _function(given: onnx.ModelProto) -> None:
    given.functions.add(name="Abs", domain="")


@pytest.mark.parametrize("how", [_external, _shorter, _integer, _node, _function])
def test_other_content_is_another_graph(
    made: onnx.ModelProto, network: ExactEmulatorNetwork, how: Callable[[onnx.ModelProto], None]
) -> None:
    given = copy_of(made)
    assert same_graph(made, given, network)
    how(given)
    assert not same_graph(made, given, network)
