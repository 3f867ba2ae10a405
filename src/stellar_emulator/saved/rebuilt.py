"""The check that a model's graph follows from its weights, with nothing added."""

from typing import TYPE_CHECKING

from stellar_emulator.errors import InputError
from stellar_emulator.networks.inference import ValidatorNetwork
from stellar_emulator.networks.onnx.export import emulator_onnx, validator_onnx
from stellar_emulator.saved.bundle import Bundle, read_network
from stellar_emulator.saved.same_graph import same_graph

if TYPE_CHECKING:
    import onnx


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


def _read(bundle: Bundle) -> "onnx.ModelProto":
    import onnx
    from google.protobuf.message import DecodeError

    try:
        # From bytes: `onnx.load` of a path would also read the files that the graph names.
        return onnx.load_model_from_string(bundle.graph.read_bytes())
    except DecodeError as error:
        raise InputError(f"{bundle.graph} is no ONNX graph: {error}") from error
