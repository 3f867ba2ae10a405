"""Parts of a spectrum whose wavelengths lie elsewhere than those of the rest are found, told and left out."""

import numpy as np
import pytest

from stars import ARCHIVE, archive_spectrum, star
from stellar_emulator.contract.axis import SPEED_OF_LIGHT
from stellar_emulator.fitting.estimate import Fitted, Pair, fit
from stellar_emulator.fitting.preparation import Treatment
from stellar_emulator.observed.spectrum import ObservedSpectrum
from stellar_emulator.survey.flags import Flag
from stellar_emulator.survey.rows import row_of

FROM = 8650.0
"""Angstrom from which the scale is off."""


def seen(velocity: float) -> ObservedSpectrum:
    """A bright star whose lines lie elsewhere beyond a wavelength."""
    made = archive_spectrum(star(ARCHIVE), 100.0, 0.0, 3)
    there = np.isfinite(made.flux)
    at, flux = 10.0 * made.wavelength[there], made.flux[there]
    moved = np.interp(at / (1.0 + velocity / SPEED_OF_LIGHT), at, flux)
    return ObservedSpectrum("a star", at, "vacuum", np.where(at > FROM, moved, flux), made.flux_error[there])


def fitted(pair: Pair, velocity: float) -> Fitted:
    return fit(seen(velocity), pair, Treatment(None, 3), {})


@pytest.mark.parametrize("velocity", [-100.0, 40.0, 300.0])
def test_what_has_leapt_is_left_out_and_told(velocity: float, archive_pair: Pair) -> None:
    found = fitted(archive_pair, velocity)
    assert found.leaps
    assert all(one.stop > FROM for one in found.leaps)
    assert found.leaps[-1].velocity == pytest.approx(velocity, abs=10.0)
    assert any("left out: the wavelength scale leaps" in warning for warning in found.warnings)
    assert row_of(ARCHIVE, found)["flags"] & Flag.WAVELENGTH_SCALE
    off = np.abs(found.solution.parameters.labels - star(ARCHIVE)[0])
    assert (off < 5.0 * np.sqrt(np.diag(found.solution.covariance))).all()
    assert not found.spectrum.usable[found.spectrum.wavelength > FROM + 45.0].any()


def test_a_sound_scale_and_a_small_error_of_it_are_left_alone(archive_pair: Pair) -> None:
    for velocity in (0.0, 5.0):
        found = fitted(archive_pair, velocity)
        assert found.leaps == ()
        assert found.spectrum.usable[found.spectrum.wavelength > FROM].sum() > 300


@pytest.mark.parametrize("velocity", [60.0, 100.0, 200.0])
def test_lines_of_a_second_star_are_no_leap(velocity: float, archive_pair: Pair) -> None:
    sound = seen(0.0)
    at = sound.wavelength
    second = np.interp(at / (1.0 + velocity / SPEED_OF_LIGHT), at, sound.flux)
    both = ObservedSpectrum("two stars", at, "vacuum", 0.55 * sound.flux + 0.45 * second, sound.error)
    assert fit(both, archive_pair, Treatment(None, 3), {}).leaps == ()


def test_calcium_that_moves_against_the_photosphere_is_told(archive_pair: Pair) -> None:
    sound = seen(0.0)
    at, flux = sound.wavelength, sound.flux.copy()
    moved = np.interp(at / (1.0 + 30.0 / SPEED_OF_LIGHT), at, flux)
    for core in ARCHIVE.regions.line_cores.values():
        near = np.abs(at - core) < 3.0
        flux[near] = moved[near]
    pulsating = ObservedSpectrum("a pulsating star", at, "vacuum", flux, sound.error)
    warnings = fit(pulsating, archive_pair, Treatment(None, 3), {}).warnings
    assert any("lines move against each other" in one or "nothing in the model's box fits" in one for one in warnings)


def test_a_star_of_another_kind_is_poor_and_no_leap(archive_pair: Pair) -> None:
    sound = seen(0.0)
    random = np.random.default_rng(5)
    lines = 1.0 - 0.4 * random.random(len(sound.flux)) * (random.random(len(sound.flux)) < 0.2)
    other = ObservedSpectrum("another", sound.wavelength, "vacuum", sound.flux * lines, sound.error)
    assert fit(other, archive_pair, Treatment(None, 3), {}).leaps == ()
