"""An emulator on another wavelength axis: the same trained networks with another matrix from modes to pixels."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.broadening.broadening import contract_broadening
from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import InputError
from stellar_emulator.networks.dense import DenseChain
from stellar_emulator.networks.inference import EmulatorNetwork, ExactEmulatorNetwork, ValidatorNetwork


def on_axis(
    network: EmulatorNetwork | ExactEmulatorNetwork | ValidatorNetwork, contract: Contract
) -> ExactEmulatorNetwork:
    """The emulator that serves ``contract`` with the trained networks of another contract.

    Raises
    ------
    InputError
        If the networks learned broadening, know too little detail, or their intrinsic axis, sharpest instrument, line
        data, departures from LTE or run labels aren't those of ``contract``; the message names what differs.
    """
    if not isinstance(network, ExactEmulatorNetwork):
        raise InputError(
            f"an emulator that learned its broadening serves its own axis alone, not that of contract {contract.name}: "
            "name one of the exact family (preset default)"
        )
    # What this contract's own instrument does not pass need not be made.
    served = contract_broadening(contract, served=True)
    same = {
        # The axes are compared as text, because axes with cached arrays can't be compared.
        "intrinsic axis": (str(network.contract.intrinsic), str(contract.intrinsic)),
        "sharpest resolution": (network.broadening.sharpest, served.sharpest),
        "line data": (network.contract.line_data, contract.line_data),
        "departures from LTE": (network.contract.departures, contract.departures),
        "run labels": tuple(
            tuple((label.name, label.unit, label.lower, label.upper) for label in one.run_labels)
            for one in (network.contract, contract)
        ),
    }
    for what, (theirs, ours) in same.items():
        if theirs != ours:
            raise InputError(
                f"the emulator of contract {network.contract.name} can't serve contract {contract.name}: {what} "
                f"{theirs} against {ours}"
            )
    count = len(served.frequencies)
    if count > len(network.broadening.frequencies):
        raise InputError(
            f"the emulator of contract {network.contract.name} knows no more than its own instrument passes, and that "
            f"of contract {contract.name} passes more: name the emulator whose networks it took"
        )
    return ExactEmulatorNetwork(_first_modes(network.chain, count), served, contract)


ROUGH_TRANSFER = 5e-2
"""Of the instrument, the sharpest if there are several, below which a rough emulator has no modes."""


def at_every(
    network: EmulatorNetwork | ExactEmulatorNetwork, contract: Contract, pixels: int
) -> tuple[EmulatorNetwork | ExactEmulatorNetwork, Contract]:
    """A rough emulator, at every so many pixels of ``contract``'s axis, and the contract that says so.

    Its flux is off by up to `ROUGH_TRANSFER` of the finest detail: enough to search with.
    """
    own = contract.model_copy(update={"wavelength": contract.wavelength.every(pixels)})
    if isinstance(network, EmulatorNetwork):
        return EmulatorNetwork(_only(network.chain, np.arange(0, contract.wavelength.count, pixels))), own
    rough = contract_broadening(own, ROUGH_TRANSFER, served=True)
    return ExactEmulatorNetwork(_first_modes(network.chain, len(rough.frequencies)), rough, own), own


def _first_modes(chain: DenseChain, count: int) -> DenseChain:
    """A chain with some of its modes, both parts of each, and limb darkening."""
    modes, kept = (chain.outputs - 1) // 2, np.arange(count)
    return _only(chain, np.concatenate([kept, modes + kept, [2 * modes]]))


def _only(chain: DenseChain, outputs: NDArray[np.int64]) -> DenseChain:
    """A chain with some of its outputs."""
    last = chain.layers[-1]
    return replace(
        chain, layers=(*chain.layers[:-1], replace(last, kernel=last.kernel[:, outputs], bias=last.bias[outputs]))
    )
