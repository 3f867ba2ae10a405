"""An emulator at few pixels, with which fits search for the place from which the whole one goes on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.networks.inference import EmulatorNetwork, ExactEmulatorNetwork
from stellar_emulator.networks.onnx.export import emulator_onnx
from stellar_emulator.networks.onnx.jacobian import linear_onnx
from stellar_emulator.networks.onnx.runtime import OnnxNetwork, open_network
from stellar_emulator.networks.other_axis import at_every


@dataclass(frozen=True)
class RoughEmulator:
    """As `Emulator`, without checks of labels; ``contract`` has the axis of its few pixels."""

    contract: Contract
    flux: OnnxNetwork
    both: OnnxNetwork

    def linear(self, labels: NDArray[np.float64]) -> NDArray[np.float32]:
        """As `Emulator.linear`."""
        return self.both.at_once(labels)


def rough_emulator(network: EmulatorNetwork | ExactEmulatorNetwork, contract: Contract, pixels: int) -> RoughEmulator:
    """The emulator of a network at every so many pixels of a contract's axis."""
    few, own = at_every(network, contract, pixels)
    flux = open_network(emulator_onnx(few).SerializeToString(), own.wavelength.count)
    return RoughEmulator(own, flux, open_network(linear_onnx(few).SerializeToString()))
