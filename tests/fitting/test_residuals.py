"""What residuals show: another star's lines, emission, a bent continuum; and what flags follow."""

from dataclasses import replace

import numpy as np
import pytest

from stars import ARCHIVE, archive_spectrum, star
from stellar_emulator.fitting.estimate import Fitted, Pair, fit
from stellar_emulator.fitting.preparation import Treatment
from stellar_emulator.fitting.residuals import _shifted, bent, companion, emission, left_of
from stellar_emulator.observed.spectrum import ObservedSpectrum
from stellar_emulator.observed.velocity import at_rest
from stellar_emulator.survey.flags import Flag, flags_of

PLAIN = Treatment(None, 3)


def seen() -> ObservedSpectrum:
    made = archive_spectrum(star(ARCHIVE), 100.0, 0.0, 5)
    there = np.isfinite(made.flux)
    return ObservedSpectrum("a star", 10.0 * made.wavelength[there], "vacuum", made.flux[there], made.flux_error[there])


def flags(one: Fitted) -> Flag:
    return Flag(flags_of(ARCHIVE, one, 100.0, (0.0, 1.0)) & 0xFFFF)


def test_a_single_star_shows_nothing(archive_pair: Pair) -> None:
    one = fit(seen(), archive_pair, PLAIN, {})
    assert companion(left_of(one.spectrum, one.solution)).share < 0.03
    assert emission(left_of(one.spectrum, one.solution)) < 0.01
    assert bent(left_of(one.spectrum, one.solution)) < 0.01
    assert flags(one) == Flag(0)


@pytest.mark.parametrize("velocity", [150.0, -220.0])
def test_lines_of_another_star_are_found_at_its_velocity(velocity: float, archive_pair: Pair) -> None:
    alone = seen()
    model = archive_pair.emulator.flux(star(ARCHIVE))[0]
    moved = np.interp(at_rest(alone.wavelength, velocity), ARCHIVE.wavelength.pixels, model)
    one = fit(replace(alone, flux=0.75 * alone.flux + 0.25 * moved), archive_pair, PLAIN, {})
    found = companion(left_of(one.spectrum, one.solution))
    assert found.velocity == pytest.approx(velocity, abs=10.0)
    assert found.share > 0.1
    assert Flag.BINARY_SUSPECTED in flags(one)


def test_emission_and_a_bent_continuum_have_flags(archive_pair: Pair) -> None:
    pixels = seen().wavelength
    line = 0.5 * np.exp(-0.5 * ((pixels - 8610.0) / 1.0) ** 2)
    one = fit(replace(seen(), flux=seen().flux + line), archive_pair, PLAIN, {})
    assert Flag.EMISSION in flags(one)
    wave = 0.12 * np.sin(pixels / 12.0)
    other = fit(replace(seen(), flux=seen().flux * (1.0 + wave)), archive_pair, PLAIN, {})
    assert Flag.NORMALISATION in flags(other)


def test_sums_over_shifted_lines_are_those_of_shifted_lines() -> None:
    random = np.random.default_rng(2)
    own, square, depth = random.standard_normal(200), random.random(200), random.random(200)
    for sign in (1, -1):
        lags = sign * np.arange(3, 60)
        shares, sizes = _shifted(own, square, depth, lags)
        for lag, share, size in zip(np.abs(lags).tolist(), shares, sizes, strict=True):
            fixed, moved = (slice(lag, None), slice(None, -lag))[::sign]
            assert size == pytest.approx(square[fixed] @ depth[moved] ** 2)
            assert share == pytest.approx(-(own[fixed] @ depth[moved]) / size)
    assert _shifted(own, np.zeros(200), depth, np.arange(3, 9))[0].tolist() == [0.0] * 6
