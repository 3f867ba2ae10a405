"""Coordinates of labels, and chains that are given them."""

import numpy as np
from synthetic import SMALL

from stellar_emulator.contract.label import Label
from stellar_emulator.contract.roles import Kind
from stellar_emulator.networks.coordinates import (
    Coordinate,
    along,
    bounds,
    own_coordinates,
    physical_coordinates,
    scaled_coordinates,
)
from stellar_emulator.networks.dense import DenseChain, DenseLayer, linear_map, scale_inputs
from stellar_emulator.training.train_emulator import unit_labels

INPUTS = SMALL.run_labels
COORDINATES = (Coordinate("itself", 1), Coordinate("reciprocal", 0), Coordinate("power", 2))
LABELS = np.array([[5000.0, 4.0, -1.0], [8000.0, 2.5, 0.0]])


def test_coordinates_are_where_spectra_change_evenly() -> None:
    assert [(label.name, label.unit) for label in INPUTS[:3]] == [("teff", "K"), ("logg", "dex"), ("m_h", "dex")]
    assert INPUTS[3].lower == 0.0
    found = along(physical_coordinates(INPUTS), np.array([[7000.0, 3.0, 0.5, 1.0]]))
    np.testing.assert_allclose(found, [[7000.0, 3.0, 0.5, 1.0, 1 / 7000, 1e3, 10**0.5]])


def test_scaled_coordinates_fill_the_same_range_as_labels() -> None:
    inner = np.array([[7000.0, 3.0, 0.0, 1.0]])
    found = scaled_coordinates(INPUTS, unit_labels(INPUTS, inner))
    own = [(7000 - 3600) / (15000 - 3600), 1 / 3, 0.5, 0.25]
    made = [(1 / 7000 - 1 / 3600) / (1 / 15000 - 1 / 3600), (1e3 - 1e2) / (1e5 - 1e2)]
    made.append((1 - 10**-1.5) / (10**1.5 - 10**-1.5))
    np.testing.assert_allclose(found, [2 * np.array([*own, *made]) - 1], atol=1e-6)
    ends = scaled_coordinates(INPUTS, np.array([[-1.0] * 4, [1.0] * 4]))
    np.testing.assert_allclose(ends, [[-1.0] * 7, [1.0] * 7], atol=1e-6)


def test_labels_that_may_be_zero_have_no_reciprocal() -> None:
    label = Label(name="x", symbol="x", unit="km/s", lower=0.0, upper=4.0, kind=Kind.RUN, accuracy=True)
    assert physical_coordinates((label,)) == own_coordinates((label,)) == (Coordinate("itself", 0),)
    np.testing.assert_allclose(bounds(own_coordinates((label,)), (label,)), [[0.0], [4.0]])


def test_a_chain_is_given_coordinates_of_its_inputs() -> None:
    chain = DenseChain((DenseLayer(np.eye(3, dtype=np.float32), np.zeros(3, np.float32), "linear"),), COORDINATES)
    expected = [[4.0, 1 / 5000, 0.1], [2.5, 1 / 8000, 1.0]]
    np.testing.assert_allclose(chain(LABELS), expected)
    assert (chain.inputs, chain.outputs) == (3, 3)
    longer = scale_inputs(chain, np.array([1.0, 1e4, 2.0]), np.zeros(3)) + linear_map(np.ones((3, 1)), np.zeros(1))
    np.testing.assert_allclose(longer(LABELS), (expected @ np.array([[1.0], [1e4], [2.0]])))
    assert (longer.inputs, longer.outputs) == (3, 1)


def test_coordinates_keep_single_precision() -> None:
    assert along(COORDINATES, LABELS.astype(np.float32)).dtype == np.float32
