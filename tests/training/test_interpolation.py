"""Interpolation between few runs: exact at nodes, better than without weights, and steady where nodes are poor."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.interpolate import RBFInterpolator
from synthetic import TINY

from stellar_emulator.errors import InputError
from stellar_emulator.networks.coordinates import own_coordinates, scaled
from stellar_emulator.networks.dense import DenseChain
from stellar_emulator.networks.radial import RadialFunctions
from stellar_emulator.training import interpolation
from stellar_emulator.training.interpolation import interpolate

INPUTS = TINY.run_labels
LOWER, UPPER = (np.array([getattr(label, end) for label in INPUTS]) for end in ("lower", "upper"))


def square(count: int) -> np.ndarray:
    """Nodes of two labels, scaled to [-1, 1], those of one corner missing."""
    axis = np.linspace(-1.0, 1.0, count)
    nodes = np.array([(x, y) for x in axis for y in axis], dtype=np.float32)
    return nodes[nodes.sum(axis=1) <= 1.0]


def steep(nodes: np.ndarray) -> np.ndarray:
    """Targets that change as lines do, much with temperature and less with abundance, (n, 2)."""
    inverse = 6000.0 / (6000.0 + 2000.0 * nodes[:, 0])
    strength = 10.0 ** (0.3 * nodes[:, 1]) * np.exp(3.0 * (inverse - 1.0))
    return np.stack([strength / (1.0 + strength), np.exp(-strength)], axis=1).astype(np.float32)


def answers(chain: DenseChain, unit: np.ndarray) -> np.ndarray:
    physical = LOWER + (unit + 1.0) / 2.0 * (UPPER - LOWER)
    return chain(physical.astype(np.float32))


def test_functions_pass_through_their_nodes() -> None:
    nodes = square(5)
    made = interpolate(nodes, INPUTS, steep(nodes), 1)
    np.testing.assert_allclose(answers(made.chain, nodes), steep(nodes), atol=2e-5)


def test_weights_make_fewer_errors_than_none() -> None:
    nodes = square(6)
    asked = np.random.default_rng(2).uniform(-0.8, 0.4, (200, 2)).astype(np.float32)
    made = interpolate(nodes, INPUTS, steep(nodes), 1)
    plain = RBFInterpolator(nodes.astype(float), steep(nodes), kernel="cubic")(asked.astype(float))
    error, without = (float(np.abs(found - steep(asked)).mean()) for found in (answers(made.chain, asked), plain))
    assert error < 0.8 * without
    assert 0.1 * error < np.sqrt(made.error) < 10.0 * error  # what is reported is of that size


def cones(nodes: np.ndarray) -> np.ndarray:
    """Targets with a kink, which no other form of a label straightens, (n, 2)."""
    away = np.sqrt(np.square(nodes - np.array([0.1, -0.2])).sum(axis=1))
    return np.stack([away, np.abs(nodes[:, 0] + 0.1)], axis=1).astype(np.float32)


@pytest.mark.parametrize(("targets", "coordinates"), [(steep, 4), (cones, 2)])
def test_nodes_left_out_choose_between_labels_and_physical_coordinates(
    targets: Callable[[np.ndarray], np.ndarray], coordinates: int
) -> None:
    nodes = square(6)
    made = interpolate(nodes, INPUTS, targets(nodes), 1)
    assert len(made.chain.coordinates) == coordinates
    asked = np.random.default_rng(4).uniform(-0.8, 0.4, (200, 2)).astype(np.float32)
    plain = RBFInterpolator(nodes.astype(float), targets(nodes), kernel="cubic")(asked.astype(float))
    assert np.abs(answers(made.chain, asked) - targets(asked)).mean() < np.abs(plain - targets(asked)).mean()


def test_the_search_begins_at_functions_of_labels_that_weigh_alike() -> None:
    nodes = square(5)
    places = scaled(own_coordinates(INPUTS), INPUTS, LOWER + (nodes + 1.0) / 2.0 * (UPPER - LOWER))
    asked = np.random.default_rng(5).uniform(-1.0, 0.0, (20, 2))
    coefficients = interpolation._System(places).solved(cones(nodes).astype(float), interpolation.LEAST_NOISE)
    functions = RadialFunctions(np.ones(2, np.float32), np.zeros(2, np.float32), places.astype(np.float32))
    found = functions(asked) @ coefficients[:-1] + coefficients[-1]
    expected = RBFInterpolator(nodes.astype(float), cones(nodes), kernel="cubic")(asked)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    "nodes",
    [
        np.array([[0.3, -0.2]]),
        np.array([[-1.0, -1.0], [1.0, 1.0]]),
        np.stack([np.linspace(-1.0, 1.0, 9), np.zeros(9)], axis=1),
        np.stack([np.linspace(-1.0, 1.0, 9)] * 2, axis=1),
        np.repeat(square(3), 2, axis=0),
    ],
    ids=["one", "two", "one label constant", "on a line", "each twice"],
)
def test_poor_nodes_are_passed_all_the_same(nodes: np.ndarray) -> None:
    nodes = nodes.astype(np.float32)
    made = interpolate(nodes, INPUTS, steep(nodes), 1)
    np.testing.assert_allclose(answers(made.chain, nodes), steep(nodes), atol=1e-3)
    assert np.isfinite(answers(made.chain, square(4))).all()
    assert made.error >= 0.0


def test_noise_is_not_followed() -> None:
    nodes = square(9)
    noise = np.random.default_rng(3).normal(0.0, 0.2, (len(nodes), 2)).astype(np.float32)
    made = interpolate(nodes, INPUTS, steep(nodes) + noise, 1)
    assert np.abs(answers(made.chain, nodes) - steep(nodes)).mean() < 0.7 * np.abs(noise).mean()


def test_too_many_spectra_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpolation, "MOST_SPECTRA", 8)
    with pytest.raises(InputError, match=r"13 spectra are too many to interpolate between, 8 at most: choose --preset"):
        interpolate(square(4), INPUTS, steep(square(4)), 1)
