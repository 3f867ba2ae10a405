import numpy as np
import pytest

from stellar_emulator.observed.resampling import pixel_edges, resampled

CENTRES = np.arange(8500.0, 8520.0, 0.1)
LINE = 1.0 - 0.6 * np.exp(-0.5 * ((CENTRES - 8510.0) / 0.3) ** 2)
ERROR = np.full(len(CENTRES), 0.02)


@pytest.mark.parametrize(("step", "offset"), [(0.3, 0.0), (0.1, 0.05), (0.07, 0.013)])
def test_flux_is_conserved(step: float, offset: float) -> None:
    wanted = np.arange(8502.0 + offset, 8518.0, step)
    flux, _ = resampled(CENTRES, LINE, ERROR, wanted)
    edges = pixel_edges(wanted)
    fine = np.linspace(edges[0], edges[-1], 200_001)
    true = 1.0 - 0.6 * np.exp(-0.5 * ((fine - 8510.0) / 0.3) ** 2)
    assert np.sum((1.0 - flux) * step) == pytest.approx(np.trapezoid(1.0 - true, fine), rel=2e-4)


def test_a_well_sampled_line_keeps_its_depth_when_shifted_by_half_a_pixel() -> None:
    flux, _ = resampled(CENTRES, LINE, ERROR, CENTRES[5:-5] + 0.05)
    true = 1.0 - 0.6 * np.exp(-0.5 * ((CENTRES[5:-5] + 0.05 - 8510.0) / 0.3) ** 2)
    # Sharing by overlap would fill the line by 1e-2.
    assert np.abs(flux - true).max() < 4e-3


def test_error_falls_where_pixels_are_merged_and_not_where_they_are_split() -> None:
    merged = resampled(CENTRES, LINE, ERROR, np.arange(8502.0, 8518.0, 0.4))[1]
    split = resampled(CENTRES, LINE, ERROR, np.arange(8502.0, 8518.0, 0.05))[1]
    np.testing.assert_allclose(merged, 0.01, rtol=1e-2)
    np.testing.assert_allclose(split, 0.02, rtol=1e-6)


def test_merged_noise_scatters_as_its_error_says() -> None:
    noise = np.random.default_rng(0).normal(0.0, 0.02, (400, len(CENTRES)))
    wanted = np.arange(8502.0, 8518.0, 0.4)
    merged = np.stack([resampled(CENTRES, one, ERROR, wanted)[0] for one in noise])
    assert merged.std() == pytest.approx(0.01, rel=0.1)


def test_what_touches_a_missing_pixel_or_lies_beyond_is_missing() -> None:
    error = ERROR.copy()
    error[100] = np.inf
    flux, new = resampled(CENTRES, np.where(np.isinf(error), 0.0, LINE), error, CENTRES + 0.05)
    assert not np.isfinite(new[[99, 100, -1]]).any()
    assert np.isfinite(new[[98, 101, 0]]).all()
    assert (flux[~np.isfinite(new)] == 0.0).all()
