import numpy as np
import pytest

from stars import GAIA, star
from stellar_emulator.fitting.estimate import Pair
from stellar_emulator.fitting.forward import Forward, ParameterRows
from stellar_emulator.observed.continuum import chebyshev_basis
from stellar_emulator.observed.velocity import at_rest, observed_at

PIXELS = observed_at(GAIA.wavelength.pixels[200:-200:3], 40.0)


def forward(pair: Pair) -> tuple[Forward, ParameterRows]:
    """Two spectra, of which the second has another velocity and other labels."""
    basis = chebyshev_basis(PIXELS, 2)
    made = Forward(pair.emulator, np.stack([PIXELS, PIXELS + 0.03]), np.stack([basis, basis]))
    labels = np.concatenate([star(GAIA, vsini=40.0), star(GAIA, vsini=90.0, teff=7000.0)])
    return made, ParameterRows(labels, np.array([42.0, -20.0]), np.array([[3.0, 0.2, -0.1], [1.0, 0.0, 0.1]]))


def test_slopes_are_those_of_the_flux(pair: Pair) -> None:
    model, at = forward(pair)
    vectors, weight = model.pack(at), np.ones((2, len(PIXELS)))
    slopes = model(vectors, weight).slopes
    assert slopes.shape == (2, len(PIXELS), model.parameters)
    for i in range(model.parameters):
        step = np.zeros(model.parameters)
        step[i] = 2e-3
        above, below = (model(vectors + sign * step, weight).flux.astype(float) for sign in (1.0, -1.0))
        numeric = (above - below) / 4e-3
        assert (np.abs(numeric - slopes[..., i]).max(axis=1) < 0.02 * np.abs(slopes[..., i]).max(axis=1)).all()


def test_weights_multiply_flux_and_slopes(pair: Pair) -> None:
    model, at = forward(pair)
    weight = np.random.default_rng(0).uniform(0.0, 100.0, (2, len(PIXELS)))
    plain, weighted = model(model.pack(at), np.ones_like(weight)), model(model.pack(at), weight)
    np.testing.assert_allclose(weighted.flux, plain.flux * weight, rtol=1e-5)
    np.testing.assert_allclose(weighted.slopes, plain.slopes * weight[..., None], rtol=1e-4, atol=1e-4)


def test_each_spectrum_of_a_batch_is_predicted_as_if_it_were_alone(pair: Pair) -> None:
    model, at = forward(pair)
    vectors, weight = model.pack(at), np.ones((2, len(PIXELS)))
    together = model(vectors, weight)
    for row in range(2):
        alone = model.rows(slice(row, row + 1))(vectors[row : row + 1], weight[:1])
        np.testing.assert_allclose(alone.flux[0], together.flux[row], atol=1e-5)
        np.testing.assert_allclose(alone.slopes[0], together.slopes[row], atol=1e-4)


def test_parameters_survive_packing(pair: Pair) -> None:
    model, at = forward(pair)
    back = model.unpack(model.pack(at))
    np.testing.assert_allclose(back.labels, at.labels, rtol=1e-9)
    np.testing.assert_allclose(back.velocity, at.velocity)
    np.testing.assert_array_equal(back.continuum, at.continuum)
    assert back.row(1).velocity == pytest.approx(-20.0)


@pytest.mark.rounding
def test_model_is_the_emulators_flux_where_its_pixels_are_observed(pair: Pair) -> None:
    _, at = forward(pair)
    flat = Forward(pair.emulator, PIXELS[None], np.empty((1, len(PIXELS), 0)))
    vectors = flat.pack(ParameterRows(at.labels[:1], np.array([40.0]), np.empty((1, 0))))
    flux = flat(vectors, np.ones((1, len(PIXELS)))).flux[0]
    np.testing.assert_allclose(flux, pair.emulator.flux(at.labels[:1])[0, 200:-200:3], atol=1e-5)
    assert at_rest(PIXELS, 40.0)[0] == pytest.approx(GAIA.wavelength.pixels[200])
