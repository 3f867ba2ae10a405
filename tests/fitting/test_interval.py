import numpy as np
import pytest
from synthetic import GAIA

from stellar_emulator.fitting.interval import draws, interval_round
from stellar_emulator.fitting.scaled_labels import label_coordinates

COORDINATES = label_coordinates(GAIA)
SPREAD = np.full(6, 0.02)


def centre(**changed: float) -> np.ndarray:
    labels = {"teff": 9000.0, "logg": 3.5, "vsini": 150.0, "m_h": 0.0, "vmicro": 2.0, "resolution": 9000.0, **changed}
    return COORDINATES.of(np.array([labels[name] for name in GAIA.label_names]))


def test_inside_the_box_draws_are_the_normal_distribution() -> None:
    covariance = np.diag(SPREAD**2)
    covariance[0, 1] = covariance[1, 0] = 0.999 * 0.02**2
    drawn = COORDINATES.of(draws(COORDINATES, centre(), covariance))
    np.testing.assert_allclose(drawn[:, [0, 1, 3, 4]].mean(axis=0), centre()[[0, 1, 3, 4]], atol=1.5e-3)
    np.testing.assert_allclose(drawn[:, [0, 1, 3, 4]].std(axis=0), 0.02, rtol=0.05)
    assert np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1] == pytest.approx(0.999, abs=5e-4)


def test_no_draw_leaves_the_box_however_far_the_peak_lies_outside() -> None:
    peak = centre()
    peak[1], peak[2] = 1.3, -0.05
    labels = draws(COORDINATES, peak, np.diag(SPREAD**2))
    assert np.isfinite(labels).all()
    assert ((labels >= GAIA.lower) & (labels <= GAIA.upper)).all()
    assert labels[:, 1].min() > 4.95


@pytest.mark.parametrize("resolution", [8000.0, 13000.0])
def test_tied_labels_with_their_peak_outside_widen_no_other(resolution: float) -> None:
    """V sin i and resolution broaden alike: all of the likelihood lies in a thin slice, or in a corner of the box."""
    peak, spread = centre(resolution=resolution), SPREAD.copy()
    peak[2], spread[5] = -0.01, 0.9
    covariance = np.diag(spread**2)
    covariance[2, 5] = covariance[5, 2] = 0.99999 * spread[2] * spread[5]
    drawn = COORDINATES.of(draws(COORDINATES, peak, covariance))
    others = [0, 1, 3, 4]
    np.testing.assert_allclose(drawn[:, others].mean(axis=0), peak[others], atol=2e-3)
    np.testing.assert_allclose(drawn[:, others].std(axis=0), 0.02, rtol=0.07)


def test_labels_are_equally_likely_where_the_spectrum_says_nothing() -> None:
    drawn = draws(COORDINATES, np.full(6, 0.5), np.diag(np.full(6, 1e4)))
    for i, label in enumerate(GAIA.labels):
        share = (drawn[:, i] - label.lower) / (label.upper - label.lower)
        np.testing.assert_allclose(np.quantile(share, [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.05)


@pytest.mark.parametrize(("best", "ends"), [(0.0, (-1.0, 1.0)), (-8.0, (-8.0, 0.475)), (1.5, (-0.674, 1.5))])
def test_intervals_hold_the_best_value_and_their_share(best: float, ends: tuple[float, float]) -> None:
    values = np.random.default_rng(0).standard_normal(200_000)
    lower, upper = interval_round(best, values)
    assert (lower, upper) == pytest.approx(ends, abs=0.05)
    assert ((values >= lower) & (values <= upper)).mean() == pytest.approx(0.6827, abs=1e-3)


def test_coordinates_go_there_and_back_and_have_the_slopes_they_say() -> None:
    labels = GAIA.lower + np.random.default_rng(0).random((50, 6)) * (GAIA.upper - GAIA.lower)
    np.testing.assert_allclose(COORDINATES.labels(COORDINATES.of(labels)), labels, rtol=1e-9)
    step = 1e-6
    numeric = (COORDINATES.labels(COORDINATES.of(labels) + step) - labels) / step
    np.testing.assert_allclose(COORDINATES.slopes(labels), numeric, rtol=5e-2)
    assert COORDINATES.of(GAIA.lower) == pytest.approx(np.zeros(6))
    assert COORDINATES.of(GAIA.upper) == pytest.approx(np.ones(6))
