"""Spectra that are wider than the model's axis, lie in several pieces, or are sharper than the model can be."""

from dataclasses import replace

import numpy as np
import pytest

from stars import ARCHIVE, GAIA, SUN, pair_of, star
from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.medium import to_vacuum
from stellar_emulator.errors import InputError
from stellar_emulator.fitting.estimate import Pair, fit, infer
from stellar_emulator.fitting.preparation import Treatment, begin
from stellar_emulator.fitting.sharpness import about_bluntness, as_sharp_as
from stellar_emulator.observed.spectrum import ObservedSpectrum
from stellar_emulator.observed.velocity import at_rest, observed_at
from stellar_emulator.survey.flags import Flag, flags_of

NOISE = 0.01
WITH_CONTINUUM = Treatment(None, 3)


def wide(velocity: float) -> ObservedSpectrum:
    """A star on the 400 Angstrom of one model, for another of 240; beyond those its continuum goes astray."""
    pixels = GAIA.wavelength.pixels
    flux = pair_of(GAIA).emulator.flux(star(GAIA))[0] + np.random.default_rng(5).normal(0.0, NOISE, len(pixels))
    outer = np.abs(pixels - 8577.5) > 122.5
    flux = np.where(outer, flux * (1.0 + 0.02 * (np.abs(pixels - 8577.5) - 122.5)), flux)
    wavelength = observed_at(to_vacuum(pixels), velocity)
    return ObservedSpectrum("wide", wavelength, "vacuum", flux, np.full(len(pixels), NOISE))


def known_but(*free: str, contract: Contract = GAIA) -> dict[str, float]:
    """The star's labels but some, so that a fit takes a moment."""
    return {name: SUN[name] for name in contract.label_names if name not in free}


@pytest.mark.parametrize("velocity", [0.0, 180.0])
@pytest.mark.parametrize("degree", [None, 3])
def test_pixels_beyond_the_model_s_axis_change_nothing(velocity: float, degree: int | None, archive_pair: Pair) -> None:
    full, treatment = wide(velocity), Treatment(None, degree)
    rest = at_rest(full.wavelength, velocity)
    cut = full.only((rest >= ARCHIVE.wavelength.start) & (rest <= ARCHIVE.wavelength.stop))
    one, other = (begin(spectrum, ARCHIVE, archive_pair.library, treatment, 0.15) for spectrum in (full, cut))
    assert one.velocity == pytest.approx(velocity, abs=3.0)
    assert abs(len(one.spectrum.flux) - len(other.spectrum.flux)) <= 2
    np.testing.assert_array_equal(one.labels, other.labels)
    if degree is not None:
        np.testing.assert_allclose(one.continuum, other.continuum, atol=2e-3)


def test_a_wide_spectrum_gives_the_labels_of_a_cut_one(archive_pair: Pair) -> None:
    full = wide(0.0)
    inside = (full.wavelength >= ARCHIVE.wavelength.start) & (full.wavelength <= ARCHIVE.wavelength.stop)
    known = known_but("teff", contract=ARCHIVE)
    one, other = (fit(seen, archive_pair, WITH_CONTINUUM, known).solution for seen in (full, full.only(inside)))
    assert abs(one.parameters.labels[0] - other.parameters.labels[0]) < 0.2 * other.error[0]
    assert one.chi_square == pytest.approx(other.chi_square, rel=0.02)


def test_orders_have_a_continuum_each(pair: Pair) -> None:
    pixels = GAIA.wavelength.pixels
    flux = pair.emulator.flux(star(GAIA))[0] + np.random.default_rng(6).normal(0.0, NOISE, len(pixels))
    there = (pixels < 8580.0) | (pixels > 8630.0)
    pixels, flux = pixels[there], flux[there]
    second = pixels > 8600.0
    shape = np.where(second, 30.0 * (1.0 + (pixels - 8700.0) / 400.0), 9.0 * (1.0 - (pixels - 8500.0) / 500.0))
    end = (int(np.argmax(second)) - 1,)
    orders = ObservedSpectrum("orders", pixels, "air", flux * shape, NOISE * shape, ends=end)
    known = known_but("teff")
    found = fit(orders, pair, WITH_CONTINUUM, known).solution
    assert found.chi_square / found.degrees_of_freedom < 1.15
    assert abs(found.parameters.labels[0] - SUN["teff"]) < 3.5 * found.error[0]
    assert len(found.parameters.continuum) == 8
    one_piece = fit(replace(orders, ends=()), pair, WITH_CONTINUUM, known).solution
    assert one_piece.chi_square > 10.0 * found.chi_square


def test_cutting_keeps_orders_apart() -> None:
    spectrum = ObservedSpectrum("a", np.arange(30.0), "air", np.ones(30), np.ones(30), ends=(9, 19))
    assert spectrum.only(np.arange(30) >= 5).ends == (4, 14)
    assert spectrum.only(np.arange(30) >= 10).ends == (9,)
    assert spectrum.only(np.arange(30) < 20).ends == (9,)
    assert [len(spectrum.flux[piece]) for piece in spectrum.orders] == [10, 10, 10]


def sharp(resolution: float | None) -> ObservedSpectrum:
    """One Gaussian line of that resolution and a masked pixel."""
    wavelength = np.asarray(8500.0 + 0.02 * np.arange(5000), dtype=np.float64)
    sigma = 8550.0 / (resolution or 50000.0) / 2.3548
    flux = 1.0 - 0.6 * np.exp(-0.5 * ((wavelength - 8550.0) / sigma) ** 2)
    error = np.full(5000, NOISE)
    flux[100], error[100] = -50.0, np.inf
    return ObservedSpectrum("sharp", wavelength, "air", flux, error, resolution=resolution)


def test_sharper_spectra_are_refused_or_broadened() -> None:
    most = 14500.0
    with pytest.raises(InputError, match="50,000, is above the model's largest, 14,500: let --broaden yes"):
        as_sharp_as(sharp(50000.0), GAIA, False)
    for known in (None, most, 11500.0):
        assert as_sharp_as(sharp(known), GAIA, False).notes == ()
    found = as_sharp_as(sharp(50000.0), GAIA, True)
    depth = 1.0 - found.flux
    line = np.abs(found.wavelength - 8550.0) < 5.0
    centre, weight = found.wavelength[line], depth[line]
    width = np.sqrt(np.average((centre - 8550.0) ** 2, weights=weight))
    assert width == pytest.approx(8550.0 / most / 2.3548, rel=0.01)
    before = (1.0 - sharp(50000.0).flux)[line].sum()
    assert weight.sum() == pytest.approx(before, rel=1e-3)
    assert np.flatnonzero(~found.usable).tolist() == [100]
    assert np.abs(found.flux[[98, 102]] - 1.0).max() < 1e-6
    np.testing.assert_allclose(found.error[200:], NOISE, rtol=1e-6)
    assert found.notes == ("broadened from resolution 50,000 to 14,500",)


def test_a_resolution_below_the_model_s_is_told() -> None:
    (told,) = about_bluntness(1800.0, GAIA)
    assert "its resolution, 1,800, is below the model's smallest, 5,000" in told
    assert "take a --model" in told
    for known in (None, 4960.0, 5000.0, 11500.0, 50000.0):
        assert about_bluntness(known, GAIA) == [], known
    only = 11500.0 if ARCHIVE.instrument is None else ARCHIVE.instrument.resolution
    assert bool(about_bluntness(only * 0.98, ARCHIVE)) == (ARCHIVE.instrument is not None)


def test_a_spectrum_blunter_than_the_model_has_a_warning_in_fits_and_of_inferred_labels(pair: Pair) -> None:
    pixels = GAIA.wavelength.pixels
    flux = pair.emulator.flux(star(GAIA))[0] + np.random.default_rng(8).normal(0, NOISE, len(pixels))
    known = known_but("teff")
    for resolution, expected in ((1800.0, 1), (11500.0, 0)):
        seen = ObservedSpectrum("a", pixels, "air", flux, np.full(len(pixels), NOISE), resolution=resolution)
        fitted = fit(seen, pair, WITH_CONTINUUM, known)
        for warnings in (fitted.warnings, infer(seen, pair, Treatment(0.0, None)).warnings):
            assert sum("below the model's smallest" in text for text in warnings) == expected, resolution
        assert bool(flags_of(GAIA, fitted, 100.0, (0.0, 1.0)) & Flag.LOW_RESOLUTION) == bool(expected)


def test_a_broadened_spectrum_has_the_model_s_largest_resolution(pair: Pair) -> None:
    pixels = GAIA.wavelength.pixels
    flux = pair.emulator.flux(star(GAIA, resolution=14500.0))[0] + np.random.default_rng(7).normal(
        0, NOISE, len(pixels)
    )
    spectrum = ObservedSpectrum("a", pixels, "air", flux, np.full(len(pixels), NOISE), resolution=20000.0)
    known = known_but("teff", "resolution")
    found = fit(spectrum, pair, replace(WITH_CONTINUUM, broaden=True), known).solution
    place = GAIA.label_names.index("resolution")
    assert (found.parameters.labels[place], found.error[place]) == (14500.0, 0.0)
    known["resolution"] = 12000.0
    given = fit(spectrum, pair, replace(WITH_CONTINUUM, broaden=True), known).solution
    assert given.parameters.labels[place] == 12000.0
