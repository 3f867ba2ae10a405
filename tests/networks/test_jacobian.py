"""The Jacobian graph against central differences of the plain arithmetic in double precision."""

from typing import Any

import numpy as np
import pytest
from exact_network import random_network
from synthetic import GAIA, ROOT, SMALL

from stellar_emulator.broadening.broadening import instrument_sigma, pixel_velocities, resolutions
from stellar_emulator.broadening.rotation import rotation_transfer
from stellar_emulator.contract.contract import Contract, read_contract
from stellar_emulator.networks.coordinates import Coordinate, bounds, physical_coordinates
from stellar_emulator.networks.dense import DenseChain, DenseLayer, scale_inputs
from stellar_emulator.networks.inference import (
    LIMB_DARKENING_WEIGHT,
    EmulatorNetwork,
    ExactEmulatorNetwork,
    exact_emulator,
)
from stellar_emulator.networks.onnx.jacobian import jacobian_onnx
from stellar_emulator.networks.onnx.runtime import open_network

pytestmark = pytest.mark.rounding

ARCHIVE = read_contract(ROOT / "data_contracts" / "gaia_dr3_rvs.yaml")
STEP = 1e-5
"""Of central differences, in ranges of a label."""


def in_double(network: ExactEmulatorNetwork, labels: np.ndarray) -> np.ndarray:
    """As `ExactEmulatorNetwork`, but rounded nowhere on the way."""
    broadening = network.broadening
    made: Any = network.chain(labels[:, network.run_columns])
    assert made.dtype == np.float64
    vsini, resolution = labels[:, network.contract.label_names.index("vsini")], resolutions(network.contract, labels)
    excess = instrument_sigma(resolution) ** 2 - instrument_sigma(broadening.sharpest) ** 2
    transfer = rotation_transfer(broadening.frequencies, vsini, made[:, -1] / LIMB_DARKENING_WEIGHT)
    transfer *= np.exp(-2.0 * np.pi**2 * np.outer(excess, broadening.frequencies**2))
    return (made[:, :-1] * np.concatenate([transfer, transfer], axis=1)) @ matrix(network)


def matrix(network: ExactEmulatorNetwork) -> np.ndarray:
    """Modes to pixels, (2 modes, pixels), as the sum of cosines and sines that it is."""
    intrinsic, wavelength = network.contract.intrinsic, network.contract.wavelength
    phase = 2.0 * np.pi * np.outer(network.broadening.frequencies, pixel_velocities(intrinsic, wavelength))
    twice = np.where(network.broadening.frequencies > 0.0, np.sqrt(2.0), 1.0)[:, np.newaxis]
    return np.concatenate([twice * np.cos(phase), -twice * np.sin(phase)])


def inside(contract: Contract, rows: int) -> np.ndarray:
    """Labels far enough from the bounds for a central difference, two of them hardly rotating."""
    share = 0.01 + 0.98 * np.random.default_rng(3).random((rows, len(contract.labels)))
    labels = contract.lower + share * (contract.upper - contract.lower)
    labels[-2:, contract.label_names.index("vsini")] = [0.1, 3.0]
    return labels


def differences(contract: Contract, function: object, labels: np.ndarray) -> np.ndarray:
    """Central differences, (n, labels, pixels)."""
    assert callable(function)
    slopes = []
    for column, span in enumerate(contract.upper - contract.lower):
        move = np.zeros(labels.shape[1])
        move[column] = STEP * span
        slopes.append((function(labels + move) - function(labels - move)) / (2.0 * STEP * span))
    return np.stack(slopes, axis=1)


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    """Within 1e-4 of each label's largest derivative; a tenth of what is promised."""
    assert found.shape == expected.shape
    largest = np.abs(expected).max(axis=2, keepdims=True)
    assert (largest > 0.0).all()
    assert (np.abs(found - expected) <= 1e-4 * largest).all()


@pytest.mark.parametrize("contract", [GAIA, SMALL, ARCHIVE], ids=lambda contract: contract.name)
def test_exact_broadening_is_differentiated_by_every_label(contract: Contract) -> None:
    network = random_network(contract)
    labels = inside(contract, 6)
    graph = jacobian_onnx(network).SerializeToString()
    found = open_network(graph, len(contract.labels), contract.wavelength.count)(labels)
    assert_close(found, differences(contract, lambda moved: in_double(network, moved), labels))


def test_flux_does_not_change_with_rotation_where_there_is_none() -> None:
    labels = inside(SMALL, 3)
    column = SMALL.label_names.index("vsini")
    labels[:, column] = 0.0
    graph = jacobian_onnx(random_network(SMALL)).SerializeToString()
    found = open_network(graph, len(SMALL.labels), SMALL.wavelength.count)(labels)
    assert np.abs(found[:, column]).max() == 0.0
    assert np.abs(found).max() > 0.0


@pytest.mark.parametrize("activation", ["linear", "relu", "silu", "gelu", "tanh"])
def test_learned_broadening_is_differentiated_through_any_activation(activation: str) -> None:
    random = np.random.default_rng(4)
    shapes = ((3, 7), (7, 9), (9, 20))
    layers = [
        DenseLayer(random.normal(size=shape).astype(np.float32), random.normal(size=shape[1]).astype(np.float32), kind)
        for shape, kind in zip(shapes, (activation, activation, "linear"), strict=True)
    ]
    chain = DenseChain(tuple(layers))
    labels = random.normal(size=(5, 3))
    found = open_network(jacobian_onnx(EmulatorNetwork(chain)).SerializeToString(), 3, 20)(labels)
    expected = np.stack([(chain(labels + move) - chain(labels - move)) / 2e-6 for move in 1e-6 * np.eye(3)], axis=1)
    assert_close(found, expected)


@pytest.mark.parametrize("linear", [True, False])
def test_learned_broadening_is_differentiated_through_coordinates(linear: bool) -> None:
    random = np.random.default_rng(5)
    shapes = ((4, 20),) if linear else ((4, 9), (9, 20))
    layers = [
        DenseLayer(random.normal(size=shape).astype(np.float32), random.normal(size=shape[1]).astype(np.float32), kind)
        for shape, kind in zip(shapes, ("gelu", "linear")[-len(shapes) :], strict=True)
    ]
    coordinates = (
        Coordinate("itself", 1),
        Coordinate("reciprocal", 0),
        Coordinate("reciprocal", 2),
        Coordinate("power", 0),
    )
    chain = DenseChain(tuple(layers), coordinates)
    labels = random.uniform(0.5, 1.5, size=(5, 3))
    found = open_network(jacobian_onnx(EmulatorNetwork(chain)).SerializeToString(), 3, 20)(labels)
    expected = np.stack([(chain(labels + move) - chain(labels - move)) / 2e-6 for move in 1e-6 * np.eye(3)], axis=1)
    assert_close(found, expected)


def test_exact_broadening_is_differentiated_through_coordinates() -> None:
    network = random_network(SMALL)
    coordinates = physical_coordinates(SMALL.run_labels)
    lower, upper = bounds(coordinates, SMALL.run_labels)
    kernel = np.random.default_rng(6).normal(size=(len(coordinates), 6)).astype(np.float32)
    first = DenseLayer(kernel, np.zeros(6, np.float32), "tanh")
    scaled = scale_inputs(DenseChain((first,), coordinates), 2.0 / (upper - lower), -(upper + lower) / (upper - lower))
    given = exact_emulator(scaled + DenseChain(network.chain.layers[1:]), SMALL)
    labels = inside(SMALL, 6)
    found = open_network(jacobian_onnx(given).SerializeToString(), len(SMALL.labels), SMALL.wavelength.count)(labels)
    assert_close(found, differences(SMALL, lambda moved: in_double(given, moved), labels))
