"""Sums of modes at pixels against the sums of cosines and sines that they are."""

import numpy as np
import pytest
from synthetic import GAIA, GAIA_DR3

from stellar_emulator.broadening.broadening import FWHM_PER_SIGMA, contract_broadening, pixel_velocities
from stellar_emulator.broadening.fourier_sum import FourierSum, fourier_sum
from stellar_emulator.contract.axis import SPEED_OF_LIGHT
from stellar_emulator.contract.contract import Contract

pytestmark = pytest.mark.rounding


def direct(angles: np.ndarray, modes: int) -> np.ndarray:
    """What each mode alone gives, (2 modes, pixels), in double precision."""
    phase = np.outer(np.arange(modes), angles)
    twice = np.where(np.arange(modes) > 0, np.sqrt(2.0), 1.0)[:, np.newaxis]
    return np.concatenate([twice * np.cos(phase), -twice * np.sin(phase)])


def each_mode(total: FourierSum) -> np.ndarray:
    return total(np.eye(2 * total.modes, dtype=np.float32))


@pytest.mark.parametrize("contract", [GAIA, GAIA_DR3], ids=lambda contract: contract.name)
def test_every_mode_of_a_contract_arrives(contract: Contract) -> None:
    broadening = contract_broadening(contract)
    velocities = pixel_velocities(contract.intrinsic, contract.wavelength)
    angles = 2.0 * np.pi * broadening.frequencies[1] * velocities
    sigma = SPEED_OF_LIGHT / (broadening.sharpest * FWHM_PER_SIGMA)
    passed = np.exp(-2.0 * (np.pi * sigma * broadening.frequencies) ** 2)
    error = each_mode(broadening.synthesis) - direct(angles, len(passed))
    # Modes are at most as large as what the sharpest instrument passes of an intrinsic flux between 0 and 1.
    assert (np.abs(error) * np.tile(passed, 2)[:, np.newaxis]).max() < 5e-6


@pytest.mark.parametrize("pixels", [1, 2, 53, 400])
@pytest.mark.parametrize("reach", [(0.0, 2.0 * np.pi), (1.0, 1.01)], ids=["whole period", "narrow"])
def test_any_axis_and_its_edges(pixels: int, reach: tuple[float, float]) -> None:
    angles = np.linspace(*reach, pixels, endpoint=False)
    total = fourier_sum(angles, np.ones(30))
    assert each_mode(total).shape == (60, pixels)
    assert np.abs(each_mode(total) - direct(angles, 30)).max() < 2e-4


def test_samples_without_common_divisor_are_enough() -> None:
    for modes in (1, 2, 7, 30, 1153, 5000):
        first, second = fourier_sum(np.linspace(0.0, 1.0, 5), np.ones(modes)).samples
        assert np.gcd(first, second) == 1
        assert first % 2 == 1
        assert 2 * modes < first * second
