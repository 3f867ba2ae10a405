from dataclasses import replace

import numpy as np
import pytest

from stars import GAIA, star
from stellar_emulator.fitting.estimate import Pair
from stellar_emulator.fitting.forward import Forward, Parameters
from stellar_emulator.observed.continuum import chebyshev_basis
from stellar_emulator.observed.velocity import at_rest, observed_at

PIXELS = observed_at(GAIA.wavelength.pixels[200:-200:3], 40.0)


def forward(pair: Pair) -> tuple[Forward, Parameters]:
    free = np.ones(len(GAIA.labels), dtype=bool)
    made = Forward(pair.emulator, PIXELS, chebyshev_basis(PIXELS, 2), free, free_velocity=True)
    return made, Parameters(star(GAIA, vsini=40.0)[0], 42.0, np.array([3.0, 0.2, -0.1]))


def test_slopes_are_those_of_the_flux(pair: Pair) -> None:
    model, at = forward(pair)
    vector, slopes = model.pack(at), model(at).slopes
    assert slopes.shape == (len(vector), len(PIXELS))
    for i in range(len(vector)):
        step = np.zeros(len(vector))
        step[i] = 2e-3
        above, below = (model(model.unpack(vector + sign * step, at)).flux for sign in (1.0, -1.0))
        numeric = (above - below) / 4e-3
        assert np.abs(numeric - slopes[i]).max() < 0.02 * np.abs(slopes[i]).max()


def test_parameters_survive_packing_and_fixed_ones_stay(pair: Pair) -> None:
    model, at = forward(pair)
    back = model.unpack(model.pack(at), at)
    np.testing.assert_allclose(back.labels, at.labels, rtol=1e-9)
    assert back.velocity == pytest.approx(42.0)
    fixed = replace(model, free=np.arange(len(GAIA.labels)) != 0, free_velocity=False)
    vector = fixed.pack(at)
    assert len(vector) == 5 + 3
    moved = fixed.unpack(vector + 0.01, at)
    assert (moved.labels[0], moved.velocity) == (at.labels[0], 42.0)
    assert (moved.labels[1:] != at.labels[1:]).all()


@pytest.mark.rounding
def test_model_is_the_emulators_flux_where_its_pixels_are_observed(pair: Pair) -> None:
    model, at = forward(pair)
    flat = replace(model, basis=np.empty((len(PIXELS), 0)))
    flux = flat(Parameters(at.labels, 40.0, np.empty(0))).flux
    np.testing.assert_allclose(flux, pair.emulator.flux(at.labels[None])[0, 200:-200:3], atol=1e-5)
    assert at_rest(PIXELS, 40.0)[0] == pytest.approx(GAIA.wavelength.pixels[200])
