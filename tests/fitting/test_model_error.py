"""The error of a model: what it is made of, where its numbers come from, and what it does to a fit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stars import ARCHIVE, GAIA, archive_spectrum, star
from stellar_emulator.contract.contract import read_contract
from stellar_emulator.errors import InputError
from stellar_emulator.fitting.estimate import Pair, fit
from stellar_emulator.fitting.model_error import (
    EMULATOR_ALONE,
    ModelError,
    PhysicsError,
    model_error_of,
    parts_of,
    read_physics,
)
from stellar_emulator.fitting.preparation import Treatment
from stellar_emulator.observed.spectrum import ObservedSpectrum

PHYSICS = PhysicsError(0.01, 0.1, 0.6, 2.0)


def test_the_physics_error_follows_the_lines() -> None:
    assert PHYSICS.deviation(np.array([-0.1, 0.0, 0.5])) == pytest.approx([0.01, 0.01, np.hypot(0.01, 0.05)])


def test_parts_are_those_that_are_asked_for(archive_pair: Pair) -> None:
    rest, flux = ARCHIVE.wavelength.pixels[None], np.full((1, ARCHIVE.wavelength.count), 0.5)

    def made(error: ModelError) -> list[float]:
        return [part.factor for part in parts_of(error, archive_pair.emulator, star(ARCHIVE), rest, flux)]

    assert made(ModelError(False)) == []
    assert made(EMULATOR_ALONE) == [1.0]
    assert made(ModelError(True, PHYSICS)) == [1.0, 2.0]


@pytest.mark.parametrize("step", [0.1, 0.25])
@pytest.mark.parametrize("resolution", [4000.0, 11500.0])
def test_pixels_tell_of_a_core_no_more_than_its_equivalent_width_is_known(step: float, resolution: float) -> None:
    at = np.arange(8460.0, 8600.0, step)[None]
    physics = replace(PHYSICS, cores=0.05)
    found = physics.in_cores(ARCHIVE, np.array([resolution]), np.zeros(1), at)[0]
    near = np.abs(at[0] - 8544.44) < 15.0
    assert np.sqrt(np.sum((found[near] * step) ** 2)) == pytest.approx(0.05, rel=0.01)
    assert at[0, near][found[near].argmax()] == pytest.approx(8544.44, abs=step)
    assert found[np.abs(at[0] - 8520.0) < 5.0].max() < 1e-4
    rotating = physics.in_cores(ARCHIVE, np.array([resolution]), np.full(1, 60.0), at)[0]
    assert np.sqrt(np.sum((rotating[near] * step) ** 2)) == pytest.approx(0.05, rel=0.02)
    assert rotating.max() < 0.9 * found.max()


def test_cores_that_are_off_move_no_label(archive_pair: Pair) -> None:
    made = archive_spectrum(star(ARCHIVE), 200.0, 0.0, 3)
    there = np.isfinite(made.flux)
    at = 10.0 * made.wavelength[there]
    filled = sum(0.08 * np.exp(-0.5 * ((at - one) / 0.35) ** 2) for one in ARCHIVE.regions.line_cores.values())
    seen = ObservedSpectrum("an active star", at, "vacuum", made.flux[there] + filled, made.flux_error[there])
    truth = star(ARCHIVE)[0]
    off = {}
    for cores in (0.0, 0.05):
        treated = Treatment(None, 3, error=ModelError(True, PhysicsError(0.002, 0.02, 0.6, 1.0, cores)))
        off[cores] = np.abs(fit(seen, archive_pair, treated, {}).solution.parameters.labels - truth)
    assert off[0.05][0] < 0.5 * off[0.0][0]


def test_a_contract_that_networks_also_serve_has_their_physics() -> None:
    for name in ("gaia_dr3_rvs_stars", "gaia_dr4_rvs"):
        found = model_error_of(read_contract(name), "stars").physics
        assert found is not None
        assert found == model_error_of(read_contract("rvs_stars"), "stars").physics


def test_the_shipped_contracts_have_what_stars_showed() -> None:
    for contract in (GAIA, ARCHIVE):
        assert model_error_of(contract, "stars").physics is not None
        assert model_error_of(contract, "none") == ModelError(False)
        assert model_error_of(contract, "emulator") == EMULATOR_ALONE
    assert model_error_of(GAIA.model_copy(update={"name": "mine", "embedded": None}), "stars") == EMULATOR_ALONE


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "flat: 0.01\nlines: 0.1\nlength: 0.6\n",
            "must hold the numbers flat, labels, length, lines, may hold cores, and nothing else",
        ),
        ("flat: -1\nlines: 0.1\nlength: 0.6\nlabels: 2\n", "flat = -1 is no number from 0 to 1000"),
        ("flat: many\nlines: 0.1\nlength: 0.6\nlabels: 2\n", "flat = 'many' is no number"),
        ("flat: 0.01\nlines: 0.1\nlength: 0\nlabels: 2\n", "length = 0"),
    ],
)
def test_numbers_that_are_none_are_refused(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "physics.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=reason):
        read_physics(path)
    path.write_text("flat: 0.01\nlines: 0.1\nlength: 0.6\nlabels: 2\n")
    assert read_physics(path) == PhysicsError(0.01, 0.1, 0.6, 2)
    with pytest.raises(InputError, match="none of none, emulator, stars and no file"):
        model_error_of(GAIA, str(tmp_path / "other.yaml"))


def test_a_larger_error_widens_intervals_and_lowers_chi_square(archive_pair: Pair) -> None:
    made = archive_spectrum(star(ARCHIVE), 200.0, 0.0, 3)
    there = np.isfinite(made.flux)
    seen = ObservedSpectrum("a star", 10.0 * made.wavelength[there], "vacuum", made.flux[there], made.flux_error[there])
    plain = Treatment(None, 3, error=ModelError(False))
    one = fit(seen, archive_pair, plain, {}).solution
    other = fit(seen, archive_pair, replace(plain, error=ModelError(True, PHYSICS)), {}).solution
    free = ARCHIVE.label_names.index("teff")
    assert other.error[free] > 1.5 * one.error[free]
    assert other.chi_square < 0.8 * one.chi_square
    assert other.independent < one.independent
    half = fit(seen, archive_pair, replace(plain, error=ModelError(True, replace(PHYSICS, labels=1.0))), {}).solution
    assert half.error[free] < 0.7 * other.error[free]
    assert half.velocity_error == pytest.approx(other.velocity_error, rel=0.1)
