"""The error of a model: what it is made of, where its numbers come from, and what it does to a fit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stars import ARCHIVE, GAIA, archive_spectrum, star
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


def test_the_shipped_contracts_have_what_stars_showed() -> None:
    for contract in (GAIA, ARCHIVE):
        assert model_error_of(contract, "stars").physics is not None
        assert model_error_of(contract, "none") == ModelError(False)
        assert model_error_of(contract, "emulator") == EMULATOR_ALONE
    assert model_error_of(GAIA.model_copy(update={"name": "mine"}), "stars") == EMULATOR_ALONE


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("flat: 0.01\nlines: 0.1\nlength: 0.6\n", "must hold the numbers flat, labels, length, lines"),
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
