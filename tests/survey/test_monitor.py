from dataclasses import replace

import numpy as np
import pytest

from stars import ARCHIVE, star
from stellar_emulator.errors import InputError
from stellar_emulator.fitting.estimate import Fitted
from stellar_emulator.fitting.forward import Parameters
from stellar_emulator.fitting.solution import Solution
from stellar_emulator.observed.spectrum import ObservedSpectrum
from stellar_emulator.survey.monitor import CHI_EDGES, _expected, _median, monitored
from stellar_emulator.survey.residuals import Residuals, bin_edges, nothing, residuals_of, wavelength_edges


def fit_of(offset: float, velocity: float = 0.0, teff: float = 5777.0, error: float = 0.01) -> Fitted:
    """A fit whose spectrum lies above its model by an offset, everywhere."""
    pixels, nothing_known = ARCHIVE.wavelength.pixels, np.empty(0)
    model = np.full(len(pixels), 2.0)
    labels = star(ARCHIVE, teff=teff)[0]
    solution = Solution(
        Parameters(labels, velocity, nothing_known),
        labels,
        labels,
        np.zeros((5, 5)),
        1.0,
        1.0,
        1,
        model,
        labels,
        independent=1.0,
        stretch=0.0,
        stretch_error=1.0,
        detector=0.0,
        rejected=np.zeros(len(model), dtype=bool),
    )
    spectrum = ObservedSpectrum("", pixels, "vacuum", model + 2.0 * offset, np.full(len(pixels), 2.0 * error))
    return Fitted(solution, spectrum, ())


def test_mean_residuals_are_weighted_and_stand_in_the_bin_of_their_label() -> None:
    found = residuals_of(ARCHIVE, [fit_of(0.01), fit_of(0.04, error=0.02), InputError("no spectrum")])
    row = int(np.searchsorted(bin_edges(ARCHIVE), 5777.0)) - 1
    np.testing.assert_allclose(found.mean[row, 5:-5], (0.01 * 4.0 + 0.04) / 5.0, rtol=1e-6)
    assert np.isnan(np.delete(found.mean, row, axis=0)).all()
    np.testing.assert_allclose(found.size[row, 5:-5], np.sqrt((1.0 + 4.0) / 2.0), rtol=1e-6)


def test_residuals_stand_at_rest() -> None:
    one = fit_of(0.0, velocity=300.0)
    flux = one.spectrum.flux.copy()
    flux[1000] += 1.0
    found = residuals_of(ARCHIVE, [replace(one, spectrum=replace(one.spectrum, flux=flux))])
    row = int(np.searchsorted(bin_edges(ARCHIVE), 5777.0)) - 1
    place = int(np.nanargmax(found.mean[row]))
    rest = ARCHIVE.wavelength.pixels[1000] / (1.0 + 300.0 / 299792.458)
    edges = wavelength_edges(ARCHIVE)
    assert edges[place] <= rest <= edges[place + 1]


def test_sums_add_up_and_survive_a_file() -> None:
    one, other = residuals_of(ARCHIVE, [fit_of(0.01)]), residuals_of(ARCHIVE, [fit_of(0.03)])
    both = Residuals.from_text((one + other).to_text(), ARCHIVE)
    np.testing.assert_allclose(both.sums, residuals_of(ARCHIVE, [fit_of(0.01), fit_of(0.03)]).sums, rtol=1e-6)
    assert np.isnan(nothing(ARCHIVE).mean).all()


def test_expected_chi_squares_are_those_of_right_errors() -> None:
    random = np.random.default_rng(0)
    drawn = np.histogram(random.chisquare(2000, 20000) / 2000, CHI_EDGES)[0]
    expected = _expected(np.full(20000, 2000.0))
    assert expected.sum() == pytest.approx(20000, rel=1e-3)
    assert np.abs(drawn - expected).sum() < 0.06 * 20000
    assert _median(expected) == pytest.approx(1.0, abs=0.01)
    assert np.isnan(_median(np.zeros(len(CHI_EDGES) - 1)))


def test_a_folder_of_no_file_has_no_star() -> None:
    found = monitored(ARCHIVE, [])
    assert (found.rows, found.flags) == (0, {})
    assert set(found.edges) == set(ARCHIVE.label_names)
