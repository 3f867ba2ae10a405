"""The series of rotation against the functions that they stand for."""

import numpy as np
import pytest

from rounding import assert_within, sum_error
from stellar_emulator.broadening.disc_series import DiscSeries
from stellar_emulator.broadening.rotation import rotation_series, rotation_slopes, rotation_transfer

FREQUENCIES = np.linspace(0.0, 0.08, 60)
"""Cycles per km/s."""

pytestmark = pytest.mark.rounding


def rounding(series: DiscSeries, darkening: np.ndarray) -> np.ndarray:
    """Of the series, (n, frequencies): four roundings make the factors of each product, two products an order."""
    disc, difference = np.abs(series.disc).sum(axis=0), np.abs(series.difference).sum(axis=0)
    share = darkening[:, np.newaxis]
    return sum_error(2 * len(series.orders) + 4, (disc + share * difference) / (1.0 - share / 3.0))


def test_no_rotation_passes_everything() -> None:
    transfer = rotation_transfer(FREQUENCIES, np.zeros(1), np.array([0.6]))
    np.testing.assert_allclose(transfer, 1.0, atol=1e-15)
    series = rotation_series(FREQUENCIES, 300.0)
    made = series(np.zeros(1), np.array([0.6]))
    assert_within(made, 1.0, rounding(series, np.array([0.6])))


@pytest.mark.parametrize("fastest", [1.0, 60.0, 300.0, 500.0])
def test_the_series_is_the_transfer_up_to_the_fastest(fastest: float) -> None:
    vsini = fastest * np.concatenate([[0.0, 1e-6, 1e-3, 1.0], np.random.default_rng(1).random(200)])
    darkening = np.random.default_rng(2).random(len(vsini))
    expected = rotation_transfer(FREQUENCIES, vsini, darkening)
    series = rotation_series(FREQUENCIES, fastest)
    found = series(vsini, darkening)
    assert found.dtype == np.float32
    assert_within(found, expected, rounding(series, darkening))
    assert expected[3, -1] < 0.999


def test_slopes_are_those_of_the_transfer() -> None:
    vsini = np.array([0.5, 3.0, 40.0, 299.0])
    series = rotation_slopes(FREQUENCIES, 300.0)
    waves = np.sin(np.outer(np.arcsin(vsini / 300.0), series.orders))
    for darkening in (0.0, 0.7):
        found = waves @ (series.disc + darkening * series.difference) / (1.0 - darkening / 3.0)
        moved = [rotation_transfer(FREQUENCIES, vsini + step, np.full(4, darkening)) for step in (1e-4, -1e-4)]
        np.testing.assert_allclose(found, (moved[0] - moved[1]) / 2e-4, atol=2e-6)
        assert np.abs(found).max() > 0.01
