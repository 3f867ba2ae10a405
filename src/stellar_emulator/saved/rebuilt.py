"""Whether a model's graph is what its weights say, and nothing more."""

from stellar_emulator.errors import InputError
from stellar_emulator.networks.inference import ValidatorNetwork
from stellar_emulator.networks.onnx.export import emulator_onnx, validator_onnx
from stellar_emulator.saved.bundle import Bundle, read_network


def require_graph_of_weights(bundle: Bundle) -> None:
    """Build the graph anew from the layers of model.json and compare it with the one that answers, byte by byte.

    Whoever can write a model's folder can write digests too: a graph with another node answers otherwise at a few
    labels, and no test need ever ask there.

    Raises
    ------
    InputError
        If the graphs differ.
    """
    network = read_network(bundle)
    made = validator_onnx(network) if isinstance(network, ValidatorNetwork) else emulator_onnx(network)
    # Which version wrote a graph changes none of its answers: graphs of earlier versions are compared in all the rest.
    made.producer_version = str(bundle.description["package"]["version"])
    if made.SerializeToString() != bundle.graph.read_bytes():
        raise InputError(
            f"{bundle.graph} is not the graph that the layers of its model make (by this version of the package and of "
            "onnx): it was altered, or saved by other versions; train the model again"
        )
