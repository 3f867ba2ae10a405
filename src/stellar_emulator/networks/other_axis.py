"""An exact emulator on another wavelength axis: the same trained networks with another matrix from modes to pixels."""

from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import InputError
from stellar_emulator.networks.inference import EmulatorNetwork, ExactEmulatorNetwork, ValidatorNetwork, exact_emulator


def on_axis(
    network: EmulatorNetwork | ExactEmulatorNetwork | ValidatorNetwork, contract: Contract
) -> ExactEmulatorNetwork:
    """The emulator that serves ``contract`` with the trained networks of another contract.

    Raises
    ------
    InputError
        If the networks learned broadening, or their intrinsic axis, sharpest instrument or run labels aren't those of
        ``contract``; the message names what differs.
    """
    if not isinstance(network, ExactEmulatorNetwork):
        raise InputError(
            f"an emulator that learned its broadening serves its own axis alone, not that of contract {contract.name}: "
            "name one of the exact family (preset default)"
        )
    served = exact_emulator(network.chain, contract)
    same = {
        # The axes are compared as text, because axes with cached arrays can't be compared.
        "intrinsic axis": (str(network.contract.intrinsic), str(contract.intrinsic)),
        "sharpest resolution": (network.broadening.sharpest, served.broadening.sharpest),
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
    return served
