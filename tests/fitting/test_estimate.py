"""Archive spectra with known labels: what infer and fit make of them, and what they warn of or refuse."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stars import ARCHIVE, GAIA, archive_spectrum, star
from stellar_emulator import Emulator
from stellar_emulator.contract.medium import to_air, to_vacuum
from stellar_emulator.errors import InputError
from stellar_emulator.fitting import estimate, forward
from stellar_emulator.fitting.estimate import Fitted, Pair, fit, fit_all, infer
from stellar_emulator.fitting.preparation import Treatment
from stellar_emulator.fitting.warn import about_labels
from stellar_emulator.observed.spectrum import ObservedSpectrum
from stellar_emulator.observed.velocity import Library

AS_IT_IS = Treatment(None, None)
WITH_CONTINUUM = Treatment(None, 3)


def seen(snr: float, velocity: float = 0.0, seed: int = 0, **labels: float) -> ObservedSpectrum:
    made = archive_spectrum(star(ARCHIVE, **labels), snr, velocity, seed)
    there = np.isfinite(made.flux)
    return ObservedSpectrum("a star", 10.0 * made.wavelength[there], "vacuum", made.flux[there], made.flux_error[there])


@pytest.mark.parametrize(("snr", "velocity"), [(20.0, -35.0), (50.0, 0.0), (100.0, 240.0), (200.0, 12.5)])
def test_fit_of_archive_spectra_finds_velocity_and_labels_within_their_errors(
    snr: float, velocity: float, archive_pair: Pair
) -> None:
    solution = fit(seen(snr, velocity), archive_pair, WITH_CONTINUUM, {}).solution
    assert abs(solution.parameters.velocity - velocity) < 1.0
    deviation = (solution.parameters.labels - star(ARCHIVE)[0]) / solution.error
    assert np.abs(deviation).max() < 3.5
    assert 0.85 < solution.chi_square / solution.degrees_of_freedom < 1.15
    assert (solution.lower <= solution.parameters.labels).all()
    assert (solution.parameters.labels <= solution.upper).all()


@pytest.mark.parametrize(("snr", "velocity"), [(20.0, -35.0), (100.0, 240.0), (200.0, 0.0)])
def test_infer_of_archive_spectra_finds_velocity_and_labels_within_their_errors(
    snr: float, velocity: float, archive_pair: Pair
) -> None:
    found = infer(seen(snr, velocity), archive_pair, AS_IT_IS)
    assert abs(found.velocity - velocity) < 1.0
    assert np.abs((found.labels - star(ARCHIVE)[0]) / found.uncertainty).max() < 3.5
    assert not any("outside the training grid" in warning for warning in found.warnings)


def test_an_unnormalised_spectrum_gives_the_same_labels_as_a_normalised_one(archive_pair: Pair) -> None:
    normal = seen(200.0)
    shape = 3e4 * (1.0 + 0.2 * (normal.wavelength - 8580.0) / 120.0)
    raw = replace(normal, flux=normal.flux * shape, error=normal.error * shape)
    one, other = (fit(spectrum, archive_pair, WITH_CONTINUUM, {}).solution for spectrum in (normal, raw))
    assert np.abs((one.parameters.labels - other.parameters.labels) / one.error).max() < 0.5
    with pytest.raises(InputError, match=r"is not normalised: .* let --continuum fit it"):
        infer(raw, archive_pair, AS_IT_IS)
    inferred = infer(raw, archive_pair, WITH_CONTINUUM)
    assert np.abs((inferred.labels - star(ARCHIVE)[0]) / inferred.uncertainty).max() < 3.5


@pytest.mark.parametrize("unit", [1e-13, 500.0, 1e30])
def test_the_flux_s_unit_changes_nothing_but_the_continuum(unit: float, archive_pair: Pair) -> None:
    normal = seen(100.0)
    scaled = replace(normal, flux=normal.flux * unit, error=normal.error * unit)
    one, other = (fit(spectrum, archive_pair, WITH_CONTINUUM, {}).solution for spectrum in (normal, scaled))
    assert np.abs((one.parameters.labels - other.parameters.labels) / one.error).max() < 0.01
    assert other.chi_square == pytest.approx(one.chi_square, rel=1e-3)
    seen_so, seen_else = (infer(spectrum, archive_pair, WITH_CONTINUUM) for spectrum in (normal, scaled))
    assert np.abs((seen_so.labels - seen_else.labels) / seen_so.uncertainty).max() < 0.01


def test_masked_features_do_not_move_the_labels(archive_pair: Pair) -> None:
    clean = seen(100.0)
    band = (clean.wavelength > 8617.0) & (clean.wavelength < 8625.0)
    marred = replace(clean, flux=np.where(band, clean.flux - 0.3, clean.flux))
    masked = Treatment(None, 3, ((8615.0, 8627.0),))
    truth = star(ARCHIVE)[0]
    hidden, open_ = (fit(marred, archive_pair, treatment, {}) for treatment in (masked, WITH_CONTINUUM))
    assert np.abs((hidden.solution.parameters.labels - truth) / hidden.solution.error).max() < 3.5
    assert np.abs((open_.solution.parameters.labels - truth) / open_.solution.error).max() > 3.5
    assert not any("nothing in the model's box fits" in warning for warning in hidden.warnings)
    assert any("nothing in the model's box fits" in warning for warning in open_.warnings)
    filled = infer(marred, archive_pair, replace(AS_IT_IS, masks=masked.masks))
    assert np.abs((filled.labels - truth) / filled.uncertainty).max() < 3.5


@pytest.mark.parametrize("estimate", [infer, lambda one, pair, treatment: fit(one, pair, treatment, {})])
def test_masks_that_leave_too_little_are_refused(estimate: Callable[..., object], archive_pair: Pair) -> None:
    for upper, left in ((9000.0, "0%"), (8680.0, "8%")):
        with pytest.raises(InputError, match=f"a star: the masks leave {left} of the model's axis, 15% are needed"):
            estimate(seen(50.0), archive_pair, Treatment(None, None, ((8000.0, upper),)))


def test_a_spike_moves_nothing(archive_pair: Pair) -> None:
    clean, spiked = seen(50.0), seen(50.0)
    spiked.flux[[300, 1200, 1700, 2000]] += [5.0, 12.0, -0.9, 0.6]
    one, other = (infer(spectrum, archive_pair, AS_IT_IS) for spectrum in (clean, spiked))
    assert np.abs((one.labels - other.labels) / one.uncertainty).max() < 1.0
    free, held = (fit(spectrum, archive_pair, WITH_CONTINUUM, {}) for spectrum in (clean, spiked))
    moved = np.abs(free.solution.parameters.labels - held.solution.parameters.labels)
    assert (moved < 0.5 * free.solution.error).all()
    assert free.rejected == 0
    assert 4 <= held.rejected <= 20


def test_known_labels_stay_and_sharpen_the_others(archive_pair: Pair) -> None:
    free = fit(seen(50.0), archive_pair, WITH_CONTINUUM, {}).solution
    known = fit(seen(50.0), archive_pair, WITH_CONTINUUM, {"teff": 5777.0}).solution
    place = ARCHIVE.label_names.index("teff")
    assert known.parameters.labels[place] == known.lower[place] == known.upper[place] == 5777.0
    assert (known.covariance[place] == 0).all()
    assert (known.error <= free.error * 1.1).all()


@pytest.mark.parametrize(("true", "given"), [("vacuum", "air"), ("air", "vacuum")])
def test_the_wrong_medium_is_warned_of_by_name(true: str, given: str, archive_pair: Pair) -> None:
    right = seen(100.0)
    wavelength = right.wavelength if true == "vacuum" else to_air(right.wavelength)
    wrong = replace(right, wavelength=wavelength, medium=given)  # type: ignore[arg-type]
    for warnings in (
        infer(wrong, archive_pair, Treatment(0.0, None)).warnings,
        fit(wrong, archive_pair, WITH_CONTINUUM, {}).warnings,
    ):
        assert any(f"wavelengths in {true} show when they are read as {given}" in warning for warning in warnings)


def test_a_velocity_that_is_not_the_stars_is_warned_of(archive_pair: Pair) -> None:
    warnings = infer(seen(100.0, 30.0), archive_pair, Treatment(0.0, None)).warnings
    assert any(re.search(r"shifted by \+(29\.[5-9]|30\.[0-5]) km/s", warning) for warning in warnings)
    right = infer(seen(100.0, 30.0), archive_pair, Treatment(30.0, None))
    assert not any("shifted" in warning for warning in right.warnings)
    assert right.velocity == 30.0


@pytest.mark.parametrize("treatment", [AS_IT_IS, WITH_CONTINUUM])
def test_a_spectrum_without_lines_is_refused(treatment: Treatment, archive_pair: Pair) -> None:
    flat = seen(100.0)
    flux = 1.0 + np.random.default_rng(0).normal(0.0, 0.01, len(flat.flux))
    with pytest.raises(InputError, match="no absorption lines"):
        infer(replace(flat, flux=flux), archive_pair, treatment)


def test_a_spectrum_unlike_any_star_is_warned_of(archive_pair: Pair) -> None:
    strange = seen(200.0)
    flux = 1.0 - 0.4 * np.abs(np.sin(strange.wavelength / 3.0))
    warnings = infer(replace(strange, flux=flux), archive_pair, AS_IT_IS).warnings
    assert any("outside the training grid" in warning for warning in warnings)


def test_a_part_of_the_axis_is_enough_to_fit_but_not_to_infer(pair: Pair) -> None:
    """Archive spectra cover 60 % of the axis of contract gaia_rvs."""
    pixels = to_vacuum(GAIA.wavelength.pixels)
    part = (pixels > 8462.0) & (pixels < 8698.0)
    flux = pair.emulator.flux(star(GAIA))[0].astype(float) + np.random.default_rng(0).normal(0.0, 0.01, len(pixels))
    spectrum = ObservedSpectrum("half", pixels[part], "vacuum", flux[part], np.full(int(part.sum()), 0.01))
    with pytest.raises(InputError, match="covers 59% of the model's axis"):
        infer(spectrum, pair, AS_IT_IS)
    solution = fit(spectrum, pair, WITH_CONTINUUM, {"resolution": 11500.0}).solution
    assert np.abs((solution.parameters.labels - star(GAIA)[0])[:5] / solution.error[:5]).max() < 3.5


@pytest.mark.parametrize(
    ("label", "value", "warned"),
    [
        ("teff", 3601.0, True),
        ("teff", 3700.0, False),
        ("vsini", 0.0, False),
        ("vsini", 299.9, True),
        ("m_h", -1.5, True),
    ],
)
def test_labels_at_the_edge_of_the_box_are_warned_of(label: str, value: float, warned: bool) -> None:
    labels = star(ARCHIVE, **{label: value})[0]
    free = np.ones(len(labels), dtype=bool)
    assert any(label in warning for warning in about_labels(ARCHIVE, labels, free)) == warned
    assert not about_labels(ARCHIVE, labels, ~free)


def test_intervals_cover_the_truth_as_often_as_they_say(archive_pair: Pair) -> None:
    """The small version of benchmarks/coverage.py: 24 spectra over the box, all labels together."""
    random = np.random.default_rng(5)
    covered = []
    for number in range(24):
        unit = random.uniform(0.1, 0.9, len(ARCHIVE.labels))
        labels = dict(zip(ARCHIVE.label_names, ARCHIVE.lower + unit * (ARCHIVE.upper - ARCHIVE.lower), strict=True))
        solution = fit(
            seen(100.0, random.normal(0.0, 30.0), number, **labels), archive_pair, WITH_CONTINUUM, {}
        ).solution
        truth = star(ARCHIVE, **labels)[0]
        covered.append((solution.lower <= truth) & (truth <= solution.upper))
    # 120 intervals: 0.68 within three standard deviations.
    assert 0.55 < np.mean(covered) < 0.81


def counted(patch: pytest.MonkeyPatch, place: object, name: str) -> list[tuple[Any, ...]]:
    """Note the arguments of each call of a function."""
    calls: list[tuple[Any, ...]] = []
    real = getattr(place, name)

    def noted(*arguments: object, **options: object) -> object:
        calls.append(arguments)
        return real(*arguments, **options)

    patch.setattr(place, name, noted)
    return calls


def test_nothing_is_asked_twice(archive_pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    fits = counted(monkeypatch, estimate, "fit_batch")
    matches = counted(monkeypatch, Library, "matches")
    infer(seen(100.0), archive_pair, AS_IT_IS)
    assert len(matches) == 1
    # The library's nearest once, then labels of the validator after each round, unless they stay.
    assert 1 < len(fits) <= estimate.ROUNDS + 1
    starts = [tuple(one.labels.tobytes() for one in several) for several, *_ in fits]
    assert len(set(starts)) == len(starts)


def test_with_labels_fixed_the_spectrum_is_made_once(archive_pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    made = counted(monkeypatch, Emulator, "flux")
    pixels = ARCHIVE.wavelength.pixels
    model = forward.Forward(archive_pair.emulator, pixels[None], np.ones((1, len(pixels), 1)), labelled=False)
    for labels, times in ((star(ARCHIVE), 1), (star(ARCHIVE, teff=6000.0), 2)):
        for velocity in (0.0, 10.0, 20.0):
            at = forward.ParameterRows(labels, np.array([velocity]), np.ones((1, 1)))
            model(model.pack(at), np.ones((1, len(pixels))))
        assert len(made) == times


def test_many_spectra_are_fitted_as_each_alone(archive_pair: Pair) -> None:
    """Of several lengths and with one that is refused."""
    spectra = [seen(100.0, 20.0, 1), seen(50.0, -80.0, 2, teff=6500.0), seen(100.0, 0.0, 3, vsini=60.0)]
    spectra[1] = spectra[1].only(spectra[1].wavelength < 8600.0)
    flat = replace(spectra[0], flux=1.0 + np.random.default_rng(0).normal(0.0, 0.01, len(spectra[0].flux)))
    together = fit_all([*spectra, flat], archive_pair, WITH_CONTINUUM, {})
    assert isinstance(together[3], InputError)
    for one, found in zip(spectra, together, strict=False):
        assert isinstance(found, Fitted)
        alone = fit(one, archive_pair, WITH_CONTINUUM, {}).solution
        apart = np.abs(alone.parameters.labels - found.solution.parameters.labels)
        assert (apart < 0.05 * alone.error).all()
        assert found.solution.chi_square == pytest.approx(alone.chi_square, abs=0.05)
        assert len(found.solution.model) == len(found.spectrum.flux)


def test_a_prior_weighs_as_a_measurement_does(archive_pair: Pair) -> None:
    spectrum, place = seen(20.0, seed=4), ARCHIVE.label_names.index("logg")
    free = fit(spectrum, archive_pair, WITH_CONTINUUM, {}).solution
    value, error = free.parameters.labels[place] + free.error[place], free.error[place]
    (told,) = fit_all([spectrum], archive_pair, WITH_CONTINUUM, {}, {"logg": (value, error)})
    assert isinstance(told, Fitted)
    moved = (told.solution.parameters.labels[place] - free.parameters.labels[place]) / error
    assert moved == pytest.approx(0.5, abs=0.15)
    assert told.solution.error[place] == pytest.approx(error / 2.0**0.5, rel=0.15)
    assert told.solution.chi_square > free.chi_square


@pytest.mark.parametrize("stretch", [14.0, -9.0])
def test_a_stretched_scale_is_warned_of_and_fitted(stretch: float, archive_pair: Pair) -> None:
    right = seen(100.0, vsini=5.0)
    axis = ARCHIVE.wavelength
    velocity = stretch * (right.wavelength - (axis.start + axis.stop) / 2.0) / 100.0
    wrong = replace(right, wavelength=right.wavelength * (1.0 + velocity / 299792.458))
    told = fit(wrong, archive_pair, WITH_CONTINUUM, {})
    assert any("--stretch fit" in warning for warning in told.warnings)
    assert not any("--stretch fit" in warning for warning in fit(right, archive_pair, WITH_CONTINUUM, {}).warnings)
    fitted = fit(wrong, archive_pair, replace(WITH_CONTINUUM, stretched=True), {})
    assert fitted.solution.stretch == pytest.approx(stretch, abs=3.0 * fitted.solution.stretch_error)
    assert not any("--stretch fit" in warning for warning in fitted.warnings)
    assert fitted.solution.chi_square < told.solution.chi_square - 50.0


def test_noise_that_neighbours_share_widens_the_intervals(archive_pair: Pair) -> None:
    spectrum = seen(50.0)
    alone, shared = (fit(replace(spectrum, detector=width), archive_pair, WITH_CONTINUUM, {}) for width in (0.0, 0.245))
    assert shared.solution.error[0] > 1.3 * alone.solution.error[0]
    assert shared.solution.independent < 0.6 * alone.solution.independent
    told = fit(spectrum, archive_pair, WITH_CONTINUUM, {})
    assert told.solution.detector < 0.09


def test_a_label_beyond_the_box_keeps_an_error(archive_pair: Pair) -> None:
    spectrum = seen(100.0, logg=5.0)
    deep = replace(spectrum, flux=1.0 - 1.3 * (1.0 - spectrum.flux))
    solution = fit(deep, archive_pair, WITH_CONTINUUM, {}).solution
    at_face = (solution.parameters.labels <= ARCHIVE.lower) | (solution.parameters.labels >= ARCHIVE.upper)
    assert at_face.any()
    span = ARCHIVE.upper - ARCHIVE.lower
    assert (solution.error[at_face] > 1e-4 * span[at_face]).all()
    assert (np.diag(solution.covariance)[at_face] > 0).all()


def test_the_earth_s_lines_are_left_out_where_they_are_masked(archive_pair: Pair) -> None:
    spectrum = seen(100.0, 40.0)
    there = (spectrum.wavelength > 8513.9) & (spectrum.wavelength < 8515.0)
    marred = replace(spectrum, flux=np.where(there, spectrum.flux - 0.2, spectrum.flux))
    treatment = replace(WITH_CONTINUUM, observed_masks=((8513.8, 8515.1),))
    found = fit(marred, archive_pair, treatment, {})
    place = found.spectrum.wavelength
    assert not found.spectrum.usable[(place > 8513.9) & (place < 8515.0)].any()
    assert np.abs((found.solution.parameters.labels - star(ARCHIVE)[0]) / found.solution.error).max() < 3.5


def test_infer_says_where_its_labels_do_not_fit(archive_pair: Pair) -> None:
    right = seen(100.0)
    wrong = replace(right, flux=1.0 - 0.6 * (1.0 - right.flux) - 0.04 * np.sin(right.wavelength / 2.0) ** 2)
    warnings = infer(wrong, archive_pair, WITH_CONTINUUM).warnings
    assert any("the verb fit heeds how real ones differ" in warning for warning in warnings)
    assert not any("the verb fit" in warning for warning in infer(right, archive_pair, WITH_CONTINUUM).warnings)


def test_infer_leaves_a_few_pixels_above_the_continuum_out(archive_pair: Pair) -> None:
    clean = seen(300.0)
    flux = clean.flux.copy()
    place = int(np.argmin(np.abs(clean.wavelength - 8640.0)))
    flux[place : place + 12] = 1.12 + 0.001 * np.arange(12)
    found = infer(replace(clean, flux=flux), archive_pair, AS_IT_IS)
    assert any("have a flux beyond the model's range" in warning for warning in found.warnings)
    assert np.abs((found.labels - star(ARCHIVE)[0]) / found.uncertainty).max() < 3.5
    assert not any("beyond the model's range" in warning for warning in infer(clean, archive_pair, AS_IT_IS).warnings)


def test_a_tilted_continuum_is_refused_with_the_remedy_that_does_it(archive_pair: Pair) -> None:
    clean = seen(300.0)
    tilt = 1.0 + 0.1 * np.linspace(-1.0, 1.0, len(clean.flux))
    tilted = replace(clean, flux=clean.flux * tilt, error=clean.error * tilt)
    with pytest.raises(InputError, match="--continuum 3 fits a continuum as well"):
        infer(tilted, archive_pair, AS_IT_IS)
    found = infer(tilted, archive_pair, WITH_CONTINUUM)
    assert np.abs((found.labels - star(ARCHIVE)[0]) / found.uncertainty).max() < 3.5
