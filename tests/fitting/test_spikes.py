"""Spikes and bad columns are found; lines that the model lacks are not."""

import numpy as np

from stellar_emulator.fitting.spikes import WIDEST, impossible, spikes


def noise(pixels: int = 2000) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(pixels)


def test_spikes_and_bad_columns_stand_out() -> None:
    residual = noise()
    residual[[200, 900]] += [40.0, -15.0]
    residual[1500:1503] += 20.0
    found = spikes(residual, residual * 0.01, 6.0)
    assert found[[200, 900, 1500, 1501, 1502]].all()
    assert found.sum() < 12
    assert not spikes(noise(), noise() * 0.01, 6.0).any()


def test_a_line_that_the_model_lacks_stays() -> None:
    pixels = np.arange(2000)
    line = 15.0 * np.exp(-0.5 * ((pixels - 1000) / 2.6) ** 2)
    assert not spikes(noise() - line, -0.3 * line / 15.0, 6.0).any()


def test_where_lines_are_as_sharp_as_spikes_only_large_ones_count() -> None:
    residual = noise()
    residual[[200, 900]] += 20.0
    share = np.zeros(2000)
    share[200], share[900] = 0.1, 0.5
    assert np.flatnonzero(spikes(residual, share, 1.5)).tolist() == [900]


def test_missing_pixels_and_short_spectra_are_passed_over() -> None:
    residual = noise()
    residual[::2] = np.nan
    residual[501] = 50.0
    found = spikes(residual, residual * 0.01, 6.0)
    assert found[501]
    assert not found[::2].any()
    assert not spikes(np.full(5, 100.0), np.ones(5), 6.0).any()


def test_flux_that_no_star_has_is_impossible_unless_it_is_as_wide_as_emission() -> None:
    flux, error = np.ones(300), np.full(300, 0.01)
    flux[50], flux[100], flux[150] = 3.0, -0.5, 1.25
    flux[200 : 200 + WIDEST + 1] = 2.0
    found = np.flatnonzero(impossible(flux, error))
    assert {50, 100} <= set(found.tolist())
    assert not {150, 203} & set(found.tolist())
    error[50] = np.inf
    assert not impossible(flux, error)[50]
