"""Joint fits of epochs: labels, velocities, their errors and tests, on spectra of the little emulator."""

from dataclasses import replace

import numpy as np
import pytest

from stars import ARCHIVE, SUN, pair_of, star
from stellar_emulator.contract.axis import SPEED_OF_LIGHT
from stellar_emulator.errors import InputError
from stellar_emulator.fitting.epoch_stack import mean_at_rest, repeated, stacked
from stellar_emulator.fitting.epochs import StarFit, fit_stars
from stellar_emulator.fitting.joint_errors import constancy, shared_noise
from stellar_emulator.fitting.model_error import ModelError, PhysicsError
from stellar_emulator.fitting.preparation import Treatment
from stellar_emulator.observed.gaia_archive import EPOCHS
from stellar_emulator.observed.spectrum import ObservedSpectrum
from stellar_emulator.survey.rows import survey_rows

AXIS = EPOCHS.wavelengths() * 10.0
FREE = Treatment(None, 3)


def line_flux(velocity: float, **labels: float) -> np.ndarray:
    flux = pair_of(ARCHIVE).emulator.flux(star(ARCHIVE, **labels))[0].astype(float)
    return np.interp(AXIS / (1.0 + velocity / SPEED_OF_LIGHT), ARCHIVE.wavelength.pixels, flux)


def epochs(
    velocities: list[float], snr: float, seed: int = 0, second: list[float] | None = None, **labels: float
) -> list[ObservedSpectrum]:
    """Epochs of a star, each on a level and with a slope of its own; second: velocities of a companion as bright."""
    random, found = np.random.default_rng(seed), []
    for number, velocity in enumerate(velocities):
        flux = line_flux(velocity, **labels)
        if second is not None:
            flux = (flux + line_flux(second[number], **labels)) / 2.0
        level = (1.0 + number) * (1.0 + 0.02 * random.standard_normal() * np.linspace(-1.0, 1.0, len(AXIS)))
        error = level / snr
        flux = flux * level + error * random.standard_normal(len(AXIS))
        error[: 3 + number] = np.inf
        found.append(ObservedSpectrum(f"star {number}", AXIS, "vacuum", np.where(np.isfinite(error), flux, 0.0), error))
    return found


def fitted(spectra: list[ObservedSpectrum], **known: float) -> StarFit:
    (found,) = fit_stars([("star", spectra)], pair_of(ARCHIVE), FREE, known)
    assert isinstance(found, StarFit)
    return found


def test_all_epochs_make_one_set_of_labels_and_a_velocity_each() -> None:
    velocities = [-180.0, 40.0, 44.0, 120.0, 47.0, 41.0]
    one = fitted(epochs(velocities, 40.0))
    solution = one.fitted.solution
    off = (solution.parameters.labels - star(ARCHIVE)[0]) / np.maximum(solution.error, 1e-9)
    assert np.abs(off).max() < 4.0
    pulls = (one.velocity - velocities) / one.velocity_error
    assert np.abs(pulls).max() < 4.0
    assert one.velocity_error.max() < 2.0
    assert one.constancy.p_value < 1e-6
    assert abs(solution.chi_square / solution.degrees_of_freedom - 1.0) < 0.1
    edges = ARCHIVE.wavelength.edges
    for number, (velocity, pixels) in enumerate(zip(velocities, one.pixels, strict=True)):
        rest = AXIS[3 + number :] / (1.0 + velocity / SPEED_OF_LIGHT)
        assert abs(pixels - np.sum((rest >= edges[0]) & (rest <= edges[-1]))) <= 1, velocity


def test_epochs_wider_than_the_axis_are_cut_to_it() -> None:
    narrow, wide = epochs([150.0, -120.0, 130.0], 40.0), []
    rough, beyond = np.random.default_rng(3), 5.0 + 0.25 * np.arange(60)  # Angstrom beyond what the star moves by
    for spectrum in narrow:
        more = np.concatenate([AXIS[0] - beyond[::-1], AXIS, AXIS[-1] + beyond])
        level = float(np.median(spectrum.flux))
        ends = level * (1.0 + 0.2 * rough.standard_normal((2, 60)))  # lines that no model knows
        flux = np.concatenate([ends[0], spectrum.flux, ends[1]])
        error = np.concatenate([np.full(60, 0.01 * level), spectrum.error, np.full(60, 0.01 * level)])
        wide.append(replace(spectrum, wavelength=more, flux=flux, error=error))
    found = [fitted(spectra, resolution=11500.0) for spectra in (narrow, wide)]
    np.testing.assert_array_equal(found[0].pixels, found[1].pixels)
    np.testing.assert_allclose(found[0].velocity, found[1].velocity, atol=0.5)
    labels = [one.fitted.solution.parameters.labels for one in found]
    assert np.abs((labels[0] - labels[1]) / np.maximum(found[0].fitted.solution.error, 1e-9)).max() < 1.0


def test_the_mean_of_epochs_lies_at_their_velocity_as_observed_spectra_do() -> None:
    seen = []
    for velocity in (0.0, 150.0):
        spectra = []
        for one in epochs([velocity] * 3, 200.0):
            rest = one.wavelength / (1.0 + velocity / SPEED_OF_LIGHT)
            filled = 0.2 * np.exp(-0.5 * ((rest - 8544.44) / 0.6) ** 2)  # Ca II, in vacuum
            spectra.append(replace(one, flux=np.where(one.usable, one.flux + filled * np.median(one.flux), 0.0)))
        known = dict(zip(ARCHIVE.label_names, map(float, star(ARCHIVE)[0]), strict=True))
        one_fit = fitted(spectra, **known).fitted
        seen.append(survey_rows(ARCHIVE, [one_fit.spectrum], [one_fit], None))
    excess = [float(table["ca_ii_excess"][0].as_py()) for table in seen]
    assert excess[0] > 0.02
    assert excess[1] == pytest.approx(excess[0], rel=0.2)


def test_lines_of_the_air_are_masked_where_the_observer_sees_them() -> None:
    spectra = []
    for one in epochs([-100.0, 80.0, 20.0], 60.0):
        damp = np.abs(one.wavelength - 8500.0) < 3.0
        spectra.append(replace(one, flux=np.where(damp, 0.5 * one.flux, one.flux)))
    plain = fitted(epochs([-100.0, 80.0, 20.0], 60.0)).fitted.solution
    how = replace(FREE, observed_masks=((8496.0, 8504.0),))
    (found,) = fit_stars([("star", spectra)], pair_of(ARCHIVE), how, {})
    assert isinstance(found, StarFit)
    solution = found.fitted.solution
    assert solution.chi_square / solution.degrees_of_freedom < 1.2
    assert abs(solution.parameters.labels[0] - plain.parameters.labels[0]) < 2.0 * plain.error[0]


def test_orders_of_epochs_have_a_continuum_each() -> None:
    whole, parted = epochs([20.0, -60.0, 30.0], 60.0, resolution=11500.0), []
    for spectrum in whole:
        kept = np.abs(AXIS - 8580.0) > 12.0  # a gap between two orders
        step = np.where(AXIS < 8580.0, 1.0, 1.7 + 0.002 * (AXIS - 8580.0))
        changed = replace(spectrum, flux=spectrum.flux * step, error=spectrum.error * step).only(kept)
        parted.append(replace(changed, ends=(int((AXIS[kept] < 8580.0).sum()) - 1,)))
    one = fitted(parted, resolution=11500.0)
    solution = one.fitted.solution
    assert np.abs(one.velocity - [20.0, -60.0, 30.0]).max() < 2.0
    assert solution.chi_square / solution.degrees_of_freedom < 1.2
    off = (solution.parameters.labels - star(ARCHIVE)[0]) / np.maximum(solution.error, 1e-9)
    assert np.abs(off).max() < 4.0


def test_epochs_sharper_than_the_model_are_refused_or_broadened() -> None:
    sharp = [replace(one, resolution=60000.0) for one in epochs([20.0, -60.0], 60.0)]
    (refused,) = fit_stars([("star", sharp)], pair_of(ARCHIVE), FREE, {})
    assert isinstance(refused, InputError)
    assert "above the model's largest" in str(refused)
    (found,) = fit_stars([("star", sharp)], pair_of(ARCHIVE), replace(FREE, broaden=True), {})
    assert isinstance(found, StarFit)


def test_one_epoch_blunter_than_the_model_is_told() -> None:
    seen = epochs([20.0, -60.0], 60.0)
    (found,) = fit_stars([("star", [replace(seen[0], resolution=1800.0), seen[1]])], pair_of(ARCHIVE), FREE, {})
    assert isinstance(found, StarFit)
    assert [text for text in found.fitted.warnings if "1,800, is below the model's smallest" in text]


def test_what_epochs_repeat_is_the_lower_median_at_rest() -> None:
    rest = np.tile(np.arange(4.0), (3, 1))
    values = np.array([[9.0, np.nan, np.nan, -3.0], [1.0, 2.0, np.nan, 0.1], [1.0, 8.0, 4.0, 5.0]])
    np.testing.assert_array_equal(repeated(rest, values), np.tile([1.0, 2.0, 0.0, -3.0], (3, 1)))
    assert not repeated(rest[:1], values[:1]).any()
    moved = repeated(rest + np.array([[0.0], [0.5], [0.0]]), np.tile([1.0, 2.0, 3.0, 4.0], (3, 1)))
    np.testing.assert_allclose(moved[1], [1.5, 2.5, 3.5, 4.0])


def test_spikes_of_single_epochs_move_no_label_and_are_counted() -> None:
    clean = epochs([20.0, -60.0, 45.0], 60.0)
    flux = clean[1].flux.copy()
    places = [200, 420, 640, 860]
    flux[places] *= np.array([1.6, 1.5, 1.7, 1.6])
    known = {name: SUN[name] for name in ARCHIVE.label_names if name not in ("teff", "logg")}
    whole, spiked = (fitted(seen, **known) for seen in (clean, [clean[0], replace(clean[1], flux=flux), clean[2]]))
    assert whole.fitted.rejected == 0
    assert len(places) <= spiked.fitted.rejected <= 5 * len(places)
    one, other = whole.fitted.solution, spiked.fitted.solution
    off = (other.parameters.labels - one.parameters.labels) / np.maximum(one.error, 1e-9)
    assert np.abs(off).max() < 0.5
    assert abs(spiked.velocity[1] - whole.velocity[1]) < whole.velocity_error[1]
    assert other.chi_square / other.degrees_of_freedom < 1.2


def test_more_epochs_give_smaller_errors() -> None:
    few, many = (fitted(epochs([10.0] * count, 30.0, 1), resolution=11500.0) for count in (2, 8))
    ratio = few.fitted.solution.error[0] / many.fitted.solution.error[0]  # Teff, far from all bounds
    assert 1.3 < ratio < 3.0
    assert few.fitted.solution.velocity_error > many.fitted.solution.velocity_error


def test_what_the_physics_lacks_is_the_same_in_all_epochs() -> None:
    heeded = replace(FREE, error=ModelError(True, PhysicsError(0.005, 0.05, 0.8, 2.0)))
    errors = {}
    for count in (2, 16):
        spectra = epochs([10.0] * count, 60.0, 1)
        for how in (FREE, heeded):
            (found,) = fit_stars([("star", spectra)], pair_of(ARCHIVE), how, {"resolution": 11500.0})
            assert isinstance(found, StarFit)
            errors[count, how is heeded] = found.fitted.solution.error[0]
    assert errors[2, True] > 1.5 * errors[2, False]
    assert errors[2, False] / errors[16, False] > 2.0
    # Eight times the epochs leave it as it is.
    assert 0.8 < errors[2, True] / errors[16, True] < 1.6
    assert errors[16, True] > 3.0 * errors[16, False]


def test_constant_velocities_pass_and_their_errors_are_right() -> None:
    found = [fitted(epochs([25.0] * 6, 15.0, seed)) for seed in range(5)]
    pulls = np.concatenate([(one.velocity - 25.0) / one.velocity_error for one in found])
    assert 0.6 < np.std(pulls) < 1.5
    assert min(one.constancy.p_value for one in found) > 1e-3
    assert not any(one.double_lined for one in found)


def test_lines_of_a_second_star_are_seen() -> None:
    velocities = [-90.0, 80.0, -60.0, 95.0, 20.0, -85.0]
    assert fitted(epochs(velocities, 60.0, 2, [-one for one in velocities], teff=5000.0)).double_lined
    assert not fitted(epochs(velocities, 60.0, 2, teff=5000.0)).double_lined


def test_fixed_labels_stay_and_priors_weigh() -> None:
    spectra = epochs([5.0, 8.0, 3.0], 20.0)
    held = fitted(spectra, logg=4.0).fitted.solution
    place = ARCHIVE.label_names.index("logg")
    assert (held.parameters.labels[place], held.lower[place], held.upper[place]) == (4.0, 4.0, 4.0)
    (found,) = fit_stars([("star", spectra)], pair_of(ARCHIVE), FREE, {}, {"logg": (4.1, 0.001)})
    assert isinstance(found, StarFit)
    assert found.fitted.solution.parameters.labels[place] == pytest.approx(4.1, abs=0.01)


def test_a_star_without_flux_is_refused_and_the_others_stay_in_order() -> None:
    bad = [ObservedSpectrum("bad", AXIS, "vacuum", np.full(len(AXIS), -1.0), np.full(len(AXIS), 0.1))]
    good = epochs([5.0, 8.0], 40.0)
    found = fit_stars([("bad", bad), ("good", [*good, *bad]), ("worse", bad)], pair_of(ARCHIVE), FREE, {})
    assert [isinstance(one, InputError) for one in found] == [True, False, True]
    assert "bad: none of its 1 epochs has a flux above 0" in str(found[0])
    assert isinstance(found[1], StarFit)
    assert np.isnan(found[1].velocity).tolist() == [False, False, True]
    assert "1 of 3 epochs have no flux above 0" in found[1].fitted.spectrum.notes[-1]


def test_the_mean_at_rest_takes_each_epoch_by_its_weight() -> None:
    spectra = [
        ObservedSpectrum("a", AXIS, "vacuum", np.full(len(AXIS), value), np.full(len(AXIS), error))
        for value, error in ((1.0, 0.1), (2.0, 0.4))
    ]
    stack = stacked(spectra, "a", ARCHIVE.wavelength, 1)
    mean = mean_at_rest(stack, np.zeros(2), np.ones(stack.flux.shape), AXIS)
    np.testing.assert_allclose(mean.flux, 1.0)  # both are in units of their medians
    np.testing.assert_allclose(mean.error, (0.1**-2 + 0.2**-2) ** -0.5)


def test_noise_that_neighbours_share_enlarges_variances() -> None:
    white = np.random.default_rng(0).standard_normal((20, 1001))
    everywhere = np.ones((20, 1000), dtype=bool)
    assert shared_noise(white[:, 1:], everywhere) == pytest.approx(1.0, abs=0.03)
    # Of the mean of two neighbours half the variance is shared: 1 + 2 * 0.5.
    assert shared_noise((white[:, 1:] + white[:, :-1]) / 2.0, everywhere) == pytest.approx(2.0, abs=0.08)


def test_one_velocity_has_no_test() -> None:
    one = constancy(np.array([7.0]), np.array([2.0]), 0.0)
    assert (one.mean, one.error, one.degrees_of_freedom) == (7.0, 2.0, 0)
    assert np.isnan(one.p_value)
