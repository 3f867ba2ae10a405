"""The check that a model's graph follows from its weights, with nothing added."""

from stellar_emulator.errors import InputError
from stellar_emulator.networks.inference import ValidatorNetwork
from stellar_emulator.networks.onnx.export import emulator_onnx, validator_onnx
from stellar_emulator.saved.bundle import Bundle, read_network


def require_graph_of_weights(bundle: Bundle) -> None:
    """Build the graph anew from the layers of model.json and compare it, byte by byte, with the one that is run.

    Anyone who can write a model's folder can also write digests: with another node, a graph could give other answers at
    a few labels where no test would look.

    Raises
    ------
    InputError
        If the graphs differ.
    """
    network = read_network(bundle)
    made = validator_onnx(network) if isinstance(network, ValidatorNetwork) else emulator_onnx(network)
    # The version that wrote a graph does not affect its answers, so it is excluded from the comparison.
    made.producer_version = str(bundle.description["package"]["version"])
    if made.SerializeToString() != bundle.graph.read_bytes():
        raise InputError(
            f"{bundle.graph} is not the graph that the layers of its model make (by this version of the package and of "
            "onnx): it was altered, or saved by other versions; train the model again"
        )
