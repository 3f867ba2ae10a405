"""Noise that neighbouring pixels share: its correlation, what residuals tell of it, what it does to errors."""

import numpy as np
import pytest

from stellar_emulator.fitting.noise import WIDTHS, correlation, hidden_by, shared, width_of


def interpolated(width: float, pixels: int, seed: int = 0, rows: int = 1) -> np.ndarray:
    """Unit noise on pixels that were interpolated linearly from wider ones of one random phase in each row."""
    random = np.random.default_rng(seed)
    place = np.arange(pixels) / width + random.random((rows, 1))
    first = place.astype(int)
    seen, share = random.standard_normal((rows, first.max() + 2)), place - first
    found = (1.0 - share) * np.take_along_axis(seen, first, 1) + share * np.take_along_axis(seen, first + 1, 1)
    return np.asarray(found / np.sqrt(2.0 / 3.0))


def test_the_correlation_is_that_of_interpolated_noise() -> None:
    rows = interpolated(2.45, 400, rows=4000)
    for lag in range(1, 6):
        seen = np.mean(rows[:, 100] * rows[:, 100 + lag])
        assert correlation(np.array(lag / 2.45)) == pytest.approx(seen, abs=0.06)
    assert correlation(np.array([0.0, 2.0, 5.0])) == pytest.approx([1.0, 0.0, 0.0])


@pytest.mark.parametrize("width", [0.5, 1.0, 1.7, 2.45])
def test_residuals_tell_the_width_whatever_smooth_error_lies_below(width: float) -> None:
    noise = np.random.default_rng(1).standard_normal(4000) if width == 0.5 else interpolated(width, 4000)[0]
    smooth = 0.5 * np.sin(np.arange(4000) / 15.0)
    assert width_of(noise + smooth) == pytest.approx(width, abs=0.6)


def test_few_pixels_tell_nothing() -> None:
    assert width_of(np.full(40, np.nan)) == WIDTHS[0]


def test_second_differences_hide_shared_noise() -> None:
    noise = interpolated(2.0, 20000)[0]
    seen = np.std(noise[:-2] - 2.0 * noise[1:-1] + noise[2:]) / np.sqrt(6.0)
    assert hidden_by(2.0) == pytest.approx(np.std(noise) / seen, rel=0.1)
    assert hidden_by(0.5) == pytest.approx(1.0)


def test_pixels_that_fill_up_a_shorter_spectrum_share_nothing() -> None:
    wavelength = np.arange(8460.0, 8470.0, 0.1)[np.newaxis]
    pulls = np.random.default_rng(3).normal(size=(1, 100, 3)).astype(np.float32)
    filled = np.concatenate([wavelength, np.full((1, 60), wavelength[0, -1])], axis=1)
    none = np.concatenate([pulls, np.zeros((1, 60, 3), dtype=np.float32)], axis=1)
    for width in (0.0, 0.245):
        expected = shared(pulls, wavelength, np.array([width]))
        np.testing.assert_allclose(shared(none, filled, np.array([width])), expected, rtol=1e-5, atol=1e-6)
    assert np.abs(expected).max() > 1.0


def test_shared_noise_scatters_a_mean_as_its_correlation_says() -> None:
    pixels, width = 300, 2.45
    means = interpolated(width, pixels, rows=3000).mean(axis=1)
    wavelength, pulls = np.arange(pixels)[None].astype(float), np.full((1, pixels, 1), 1.0 / pixels)
    added = shared(pulls, wavelength, np.array([width]))
    assert 1.0 / pixels + added[0, 0, 0] == pytest.approx(np.var(means), rel=0.1)
    # Pixels that fill a shorter spectrum up lie at one wavelength, and share nothing.
    assert shared(pulls, np.zeros((1, pixels)), np.array([width]))[0, 0, 0] == 0.0
