"""Interpolation between pixels: as many of them as the sharpest line asks for, and the errors that are stated."""

import numpy as np
import pytest

from stars import ARCHIVE
from stellar_emulator.broadening.broadening import FWHM_PER_SIGMA
from stellar_emulator.fitting.interpolation import FINE, FINE_POINTS, POINTS, Interpolation, interpolation_on


def largest_error(width: float, points: int) -> float:
    """Of a Gaussian line of depth 1 and some pixels of full width, between the pixels."""
    nodes = np.arange(200.0)
    places = np.linspace(60.0, 140.0, 4001)[None]

    def line(at: np.ndarray) -> np.ndarray:
        return np.exp(-0.5 * ((at - 100.3) / (width / FWHM_PER_SIGMA)) ** 2)

    found = Interpolation(nodes, points).matrix(places) @ line(nodes).astype(np.float32)
    return float(np.abs(found - line(places)[0]).max())


def test_few_points_are_enough_where_lines_are_wide() -> None:
    assert largest_error(FINE, FINE_POINTS) < 1e-4 < largest_error(0.8 * FINE, FINE_POINTS)
    assert largest_error(FINE, POINTS) < 2e-5


@pytest.mark.parametrize(("sharpest", "points"), [(11500.0, FINE_POINTS), (20000.0, POINTS), (None, POINTS)])
def test_points_follow_the_sharpest_line(sharpest: float | None, points: int) -> None:
    assert interpolation_on(ARCHIVE.wavelength, sharpest).points == points


def test_interleaved_spectra_give_the_same_values() -> None:
    between = interpolation_on(ARCHIVE.wavelength)
    random = np.random.default_rng(3)
    flux = random.random((2, ARCHIVE.wavelength.count), dtype=np.float32)
    wanted = ARCHIVE.wavelength.pixels[None, 20:-20:7] + np.array([[0.03], [0.07]])
    found = between.matrix(wanted, by_pixel=True) @ flux.T.ravel()
    np.testing.assert_allclose(found, between.matrix(wanted) @ flux.ravel(), rtol=1e-5)
