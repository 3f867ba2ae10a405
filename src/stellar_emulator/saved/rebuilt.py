"""The check that a model's graph follows from its weights, with nothing added."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.errors import InputError
from stellar_emulator.networks.inference import ValidatorNetwork
from stellar_emulator.networks.onnx.export import emulator_onnx, validator_onnx
from stellar_emulator.saved.bundle import Bundle, read_network
from stellar_emulator.saved.same_graph import same_graph

if TYPE_CHECKING:
    import onnx

Network = Callable[[NDArray[np.floating]], NDArray[np.float32]]


def require_graph_of_weights(bundle: Bundle) -> None:
    """Build the graph anew from the layers of model.json and compare it with the one that is run (`same_graph`).

    Anyone who can write a model's folder can also write digests: with another node, a graph could give other answers at
    a few labels where no test would look.

    Raises
    ------
    InputError
        If the graphs differ.
    """
    network = read_network(bundle)
    made = validator_onnx(network) if isinstance(network, ValidatorNetwork) else emulator_onnx(network)
    if not same_graph(made, _read(bundle), network):
        raise InputError(
            f"{bundle.graph} is not the graph that the layers of its model make (by this version of the package and of "
            "onnx): it was altered, or saved by other versions; train the model again"
        )


def require_rows_alone(bundle: Bundle, network: Network, inputs: NDArray[np.floating], tolerance: float) -> None:
    """Compare what a network answers to each row by itself, and to all at once, with what its layers answer.

    inputs: (n, inputs); tolerance: as of `fingerprint.require_same_answers`.

    Raises
    ------
    InputError
        If they differ, as those of a graph would that looks at the size of a batch.
    """
    layers = read_network(bundle)
    expected = layers(inputs)
    allowed = tolerance * np.maximum(np.abs(expected).max(axis=0), 1.0)
    if isinstance(layers, ValidatorNetwork):
        allowed = np.maximum(allowed, layers.rounding(inputs))
    for how, found in (
        ("many rows at once", network(inputs)),
        ("one row", np.concatenate([network(inputs[row : row + 1]) for row in range(len(inputs))])),
    ):
        if not (np.abs(found - expected) <= allowed).all():
            raise InputError(
                f"{bundle.graph} answers {how} otherwise than the layers of its model (off by "
                f"{np.abs(found - expected).max():.3g}): it was altered; train the model again"
            )


def _read(bundle: Bundle) -> "onnx.ModelProto":
    import onnx
    from google.protobuf.message import DecodeError

    try:
        # From bytes: `onnx.load` of a path would also read the files that the graph names.
        return onnx.load_model_from_string(bundle.graph.read_bytes())
    except DecodeError as error:
        raise InputError(f"{bundle.graph} is no ONNX graph: {error}") from error
