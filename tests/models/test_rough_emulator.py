"""Rough emulators, and flux with its slopes in one pass."""

import numpy as np
import pytest
from exact_network import random_network
from synthetic import GAIA_DR3

from stars import ARCHIVE, pair_of
from stellar_emulator import Emulator
from stellar_emulator.contract.contract import Contract
from stellar_emulator.models.rough_emulator import rough_emulator


def labels(contract: Contract, rows: int = 5) -> np.ndarray:
    share = 0.05 + 0.9 * np.random.default_rng(1).random((rows, len(contract.labels)))
    return np.asarray(contract.lower + share * (contract.upper - contract.lower))


def test_one_pass_makes_flux_and_slopes_of_a_learned_emulator() -> None:
    emulator = pair_of(ARCHIVE).emulator
    found = emulator.linear(labels(ARCHIVE))
    np.testing.assert_allclose(found[..., 0].T, emulator.flux(labels(ARCHIVE)), atol=2e-6)
    np.testing.assert_allclose(
        found[..., 1:].transpose(1, 2, 0), emulator.jacobian(labels(ARCHIVE)), rtol=1e-3, atol=1e-7
    )


def test_one_pass_makes_flux_and_slopes_of_an_exact_emulator() -> None:
    emulator = Emulator.load("gaia_dr3_rvs")
    own = labels(emulator.contract)
    found = emulator.linear(own)
    np.testing.assert_allclose(found[..., 0].T, emulator.flux(own), atol=2e-6)
    np.testing.assert_allclose(found[..., 1:].transpose(1, 2, 0), emulator.jacobian(own), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("pixels", [2, 3])
def test_a_rough_emulator_is_the_emulator_at_few_pixels(pixels: int) -> None:
    emulator = Emulator.load("gaia_dr3_rvs")
    own = labels(emulator.contract)
    rough = emulator.rough(pixels)
    assert rough.contract.wavelength.count == len(emulator.contract.wavelength.pixels[::pixels])
    whole = emulator.flux(own)[:, ::pixels]
    assert 1e-7 < np.abs(rough.flux(own) - whole).max() < 5e-3
    slopes = emulator.jacobian(own).transpose(2, 0, 1)[::pixels]
    found = rough.linear(own)
    np.testing.assert_allclose(found[..., 0].T, rough.flux(own), atol=2e-6)
    size = np.abs(slopes).max(axis=(0, 1))
    assert (np.abs(found[..., 1:] - slopes).max(axis=(0, 1)) < 0.1 * size).all()
    assert emulator.rough(pixels) is rough


def test_a_learned_emulator_keeps_some_of_its_outputs() -> None:
    emulator = pair_of(ARCHIVE).emulator
    np.testing.assert_allclose(
        emulator.rough(3).flux(labels(ARCHIVE)), emulator.flux(labels(ARCHIVE))[:, ::3], atol=2e-6
    )


def test_networks_have_rough_ones_before_they_are_saved() -> None:
    network = random_network(GAIA_DR3)
    own = labels(GAIA_DR3)
    found = rough_emulator(network, GAIA_DR3, 2)
    assert np.abs(found.flux(own) - network(own)[:, ::2]).max() < 5e-2
