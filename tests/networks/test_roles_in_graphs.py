"""Emulators of contracts with other labels than rotation and resolution: arithmetic, graph and derivatives agree."""

from typing import Any

import numpy as np
import pytest
from exact_network import random_network
from seams import INSTRUMENT, LOGARITHMIC, LOGG, MACRO, RESOLUTION, TEFF, VSINI, seam_contract

from stellar_emulator.broadening.broadening import instrument_sigma, pixel_velocities, resolutions
from stellar_emulator.broadening.disc_series import disc_transfer, profile_of
from stellar_emulator.broadening.rotation import rotation_transfer
from stellar_emulator.contract.contract import Contract
from stellar_emulator.networks.inference import LIMB_DARKENING_WEIGHT, ExactEmulatorNetwork
from stellar_emulator.networks.onnx.export import emulator_onnx
from stellar_emulator.networks.onnx.jacobian import jacobian_onnx
from stellar_emulator.networks.onnx.runtime import open_network
from stellar_emulator.networks.other_axis import on_axis

CONTRACTS = {
    "both": seam_contract(MACRO, TEFF, VSINI, LOGG, RESOLUTION),
    "macroturbulence alone": seam_contract(TEFF, LOGG, MACRO, more=INSTRUMENT),
    "resolution alone": seam_contract(TEFF, RESOLUTION),
    "no broadening": seam_contract(TEFF, more=INSTRUMENT),
    "renamed rotation": seam_contract(TEFF, VSINI.replace("name: vsini", "name: spin, role: vsini"), more=INSTRUMENT),
    "logarithmic axis": seam_contract(TEFF, LOGG, VSINI, RESOLUTION, axis=LOGARITHMIC),
}
EACH = pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS.keys())


def in_double(network: ExactEmulatorNetwork, labels: np.ndarray) -> np.ndarray:
    """Flux (n, pixels) with the transfer functions themselves instead of their series, in double precision."""
    contract, broadening = network.contract, network.broadening
    made: Any = network.chain(labels[:, network.run_columns])
    darkening = made[:, -1] / LIMB_DARKENING_WEIGHT
    excess = instrument_sigma(resolutions(contract, labels)) ** 2 - instrument_sigma(broadening.sharpest) ** 2
    transfer: Any = np.exp(-2.0 * np.pi**2 * np.outer(excess, broadening.frequencies**2))
    for role in ("vsini", "macroturbulence"):
        if (place := contract.column_of(role)) is not None:
            values = labels[:, place]
            if role == "vsini":
                transfer *= rotation_transfer(broadening.frequencies, values, darkening)
            else:
                transfer *= disc_transfer(profile_of(role), broadening.frequencies, values, darkening)
    phase = 2.0 * np.pi * np.outer(broadening.frequencies, pixel_velocities(contract.intrinsic, contract.wavelength))
    twice = np.where(broadening.frequencies > 0.0, np.sqrt(2.0), 1.0)[:, np.newaxis]
    matrix = np.concatenate([twice * np.cos(phase), -twice * np.sin(phase)])
    return (made[:, :-1] * np.concatenate([transfer, transfer], axis=1)) @ matrix


def some_labels(contract: Contract, rows: int = 8) -> np.ndarray:
    share = 0.05 + 0.9 * np.random.default_rng(3).random((rows, len(contract.labels)))
    return contract.lower + share * (contract.upper - contract.lower)


@EACH
def test_arithmetic_and_graph_are_the_convolutions(contract: Contract) -> None:
    network, labels = random_network(contract), some_labels(contract)
    expected = in_double(network, labels)
    assert np.ptp(expected) > 0.05
    np.testing.assert_allclose(network(labels), expected, rtol=0, atol=3e-5)
    graph = open_network(emulator_onnx(network).SerializeToString(), network.broadening.pixels)
    np.testing.assert_allclose(graph(labels), network(labels), rtol=0, atol=1e-5)


@EACH
def test_the_jacobian_is_that_of_the_convolutions(contract: Contract) -> None:
    network, labels = random_network(contract), some_labels(contract)
    graph = open_network(jacobian_onnx(network).SerializeToString(), len(contract.labels), network.broadening.pixels)
    found = graph(labels)
    for column, span in enumerate(contract.upper - contract.lower):
        move = np.zeros(len(contract.labels))
        move[column] = 1e-5 * span
        slope = (in_double(network, labels + move) - in_double(network, labels - move)) / (2e-5 * span)
        assert np.abs(slope).max() > 0.0
        np.testing.assert_allclose(found[:, column], slope, rtol=0, atol=1e-4 * np.abs(slope).max())


def test_trained_networks_serve_a_contract_with_macroturbulence_too() -> None:
    """Broadening is exact: another label that broadens is no training."""
    trained = random_network(seam_contract(TEFF, LOGG, VSINI, RESOLUTION))
    served = on_axis(trained, seam_contract(TEFF, LOGG, VSINI, RESOLUTION, MACRO))
    labels = some_labels(served.contract)
    still = labels.copy()
    still[:, -1] = 0.0
    np.testing.assert_allclose(served(still), trained(labels[:, :4]), rtol=0, atol=1e-6)
    assert np.abs(served(labels) - served(still)).max() > 0.005
