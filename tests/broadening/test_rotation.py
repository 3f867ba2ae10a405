"""The series of rotation against the functions that they stand for."""

import numpy as np
import pytest

from stellar_emulator.broadening.rotation import rotation_series, rotation_slopes, rotation_transfer

FREQUENCIES = np.linspace(0.0, 0.08, 60)
"""Cycles per km/s."""


def test_no_rotation_passes_everything() -> None:
    transfer = rotation_transfer(FREQUENCIES, np.zeros(1), np.array([0.6]))
    np.testing.assert_allclose(transfer, 1.0, atol=1e-15)
    made = rotation_series(FREQUENCIES, 300.0)(np.zeros(1), np.array([0.6]))
    np.testing.assert_allclose(made, 1.0, atol=1e-6)


@pytest.mark.parametrize("fastest", [1.0, 60.0, 300.0, 500.0])
def test_the_series_is_the_transfer_up_to_the_fastest(fastest: float) -> None:
    vsini = fastest * np.concatenate([[0.0, 1e-6, 1e-3, 1.0], np.random.default_rng(1).random(200)])
    darkening = np.random.default_rng(2).random(len(vsini))
    expected = rotation_transfer(FREQUENCIES, vsini, darkening)
    found = rotation_series(FREQUENCIES, fastest)(vsini, darkening)
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 1e-6
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
