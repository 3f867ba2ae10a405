"""Trained networks as ONNX graphs with fixed names: ``labels`` to ``flux`` and ``flux`` to ``labels``."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


from stellar_emulator.networks.inference import EmulatorNetwork, ExactEmulatorNetwork, ValidatorNetwork
from stellar_emulator.networks.onnx.broadened import broadened
from stellar_emulator.networks.onnx.graph import Graph


def emulator_onnx(network: EmulatorNetwork | ExactEmulatorNetwork) -> "onnx.ModelProto":
    """The graph ``labels`` (n, labels) to ``flux`` (n, pixels), float32, any n."""
    graph = Graph()
    if isinstance(network, ExactEmulatorNetwork):
        own = graph.columns("labels", network.run_columns, "run_labels")
        graph.rename(broadened(graph, network, "labels", own), "flux")
        return graph.model("emulator", ("labels", len(network.contract.labels)), ("flux", network.broadening.pixels))
    graph.rename(graph.chain("labels", "chain", network.chain), "flux")
    return graph.model("emulator", ("labels", network.chain.inputs), ("flux", network.chain.outputs))


def validator_onnx(network: ValidatorNetwork) -> "onnx.ModelProto":
    """The graph ``flux`` (n, pixels) to ``labels`` (n, labels), float32, any n."""
    graph = Graph()
    coefficients = graph.chain("flux", "projection", network.projection)
    labels = [graph.chain(coefficients, f"head{number}", head) for number, head in enumerate(network.heads)]
    graph.concat(labels, "labels", axis=1)
    outputs = sum(head.outputs for head in network.heads)
    return graph.model("validator", ("flux", network.projection.inputs), ("labels", outputs))
