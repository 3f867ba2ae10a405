import numpy as np
import pytest

from stars import GAIA, star
from stellar_emulator.fitting.estimate import Pair
from stellar_emulator.fitting.label_precision import precision


@pytest.mark.rounding
def test_limits_fall_as_the_noise_and_rise_with_what_is_unknown(pair: Pair) -> None:
    point = star(GAIA)[0]
    coarse, fine = (precision(pair.emulator, point, snr, 3) for snr in (50.0, 100.0))
    np.testing.assert_allclose(coarse.together, 2.0 * fine.together, rtol=1e-6)
    assert (fine.alone <= fine.together * (1 + 1e-9)).all()
    assert (fine.together <= fine.with_nuisances * (1 + 1e-9)).all()
    assert (fine.alone < fine.with_nuisances).all()


@pytest.mark.rounding
def test_limit_alone_is_the_inverse_of_the_slopes_norm(pair: Pair) -> None:
    point = star(GAIA)
    slopes = pair.emulator.jacobian(point)[0].astype(float)
    expected = 1.0 / (100.0 * np.linalg.norm(slopes, axis=1))
    np.testing.assert_allclose(precision(pair.emulator, point[0], 100.0, 3).alone, expected, rtol=1e-5)


def test_least_squares_reaches_the_limit(pair: Pair) -> None:
    """Linear estimates at the true point scatter as the limit says."""
    point = star(GAIA)
    slopes = pair.emulator.jacobian(point)[0].astype(float)
    noise = np.random.default_rng(0).normal(0.0, 0.01, (3000, slopes.shape[1]))
    scatter = np.linalg.lstsq(slopes.T, noise.T, rcond=None)[0].std(axis=1)
    np.testing.assert_allclose(precision(pair.emulator, point[0], 100.0, 3).together, scatter, rtol=0.05)


def test_hidden_pixels_tell_nothing(pair: Pair) -> None:
    point = star(GAIA)[0]
    pixels = GAIA.wavelength.pixels
    hidden = pixels > 8500.0
    assert (
        precision(pair.emulator, point, 100.0, 3, hidden).alone > precision(pair.emulator, point, 100.0, 3).alone
    ).all()
    assert precision(pair.emulator, point, 100.0, 1, pixels > 8400.5).with_nuisances == pytest.approx(np.inf)
