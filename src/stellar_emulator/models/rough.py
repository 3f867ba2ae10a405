"""An emulator at few pixels, with which fits search for the place from which the whole one goes on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stellar_emulator.contract.contract import Contract
from stellar_emulator.networks.inference import EmulatorNetwork, ExactEmulatorNetwork
from stellar_emulator.networks.onnx.export import emulator_onnx
from stellar_emulator.networks.onnx.jacobian import jacobian_onnx
from stellar_emulator.networks.onnx.runtime import OnnxNetwork, open_network
from stellar_emulator.networks.other_axis import at_every

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class RoughEmulator:
    """As `Emulator`, without checks of labels; ``contract`` has the axis of its few pixels."""

    contract: Contract
    flux: OnnxNetwork
    jacobian: OnnxNetwork


def rough_emulator(network: EmulatorNetwork | ExactEmulatorNetwork, contract: Contract, pixels: int) -> RoughEmulator:
    """The emulator of a network at every so many pixels of a contract's axis."""
    few, own = at_every(network, contract, pixels)
    count = own.wavelength.count

    def opened(
        graph: "Callable[[EmulatorNetwork | ExactEmulatorNetwork], onnx.ModelProto]", *shape: int
    ) -> OnnxNetwork:
        return open_network(graph(few).SerializeToString(), *shape)

    return RoughEmulator(own, opened(emulator_onnx, count), opened(jacobian_onnx, len(own.labels), count))
