"""The validator as people call it: labels, their measured errors, and spectra that it does not know."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units
from synthetic import TINY, synthetic_rows

from stellar_emulator import Validator
from stellar_emulator.errors import InputError
from stellar_emulator.evaluation.measured import validator_measures
from stellar_emulator.networks.basis import fit_basis
from stellar_emulator.networks.dense import linear_map
from stellar_emulator.networks.inference import ValidatorNetwork
from stellar_emulator.saved.bundle import save_validator

ROWS = synthetic_rows(TINY, 150)


def least_squares() -> tuple[ValidatorNetwork, np.ndarray]:
    """Labels as a linear function of eight principal components; the components' mean."""
    basis = fit_basis(ROWS.flux, 8, 0)
    spread = np.sqrt(basis.variance)
    kernel = basis.components.T / spread
    projection = linear_map(kernel, -basis.mean @ kernel)
    inputs = np.column_stack([projection(ROWS.flux), np.ones(len(ROWS.flux))])
    solution = np.linalg.lstsq(inputs, ROWS.labels, rcond=None)[0]
    return ValidatorNetwork(projection, (linear_map(solution[:-1], solution[-1]),)), basis.mean


@pytest.fixture(scope="module")
def validator(tmp_path_factory: pytest.TempPathFactory) -> Validator:
    folder = tmp_path_factory.mktemp("pair")
    network, mean = least_squares()
    kernel = network.projection.layers[0].kernel
    measured = validator_measures(TINY, network, mean, kernel, ROWS.labels, ROWS.flux)
    save_validator(folder / "validator", network, TINY, {}, measured)
    return Validator.load(folder)


@pytest.mark.rounding
def test_labels_are_those_of_the_network(validator: Validator) -> None:
    expected = least_squares()[0](ROWS.flux[:5])
    np.testing.assert_allclose(validator.labels(ROWS.flux[:5]), expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(validator(ROWS.flux[:5]), validator.labels(ROWS.flux[:5]))
    assert validator.wavelength.unit == units.Angstrom
    assert validator.version.startswith("tiny-label-validator ")
    assert validator.medium == "vacuum"


def test_masked_flux_is_never_used(validator: Validator) -> None:
    flux = ROWS.flux[:2].copy()
    mask = np.arange(flux.shape[1]) == np.array([[-1], [5]])
    for asked in (validator.labels, validator.reconstruction_error):
        with pytest.raises(InputError, match=r"flux = nan in row 1, pixel 5 .* is not finite"):
            asked(np.ma.array(flux, mask=mask))


@pytest.mark.parametrize("noise", [-0.01, np.nan, 50.0, "0.01", [0.01]])
def test_a_noise_that_is_none_is_refused_everywhere(noise: Any, validator: Validator) -> None:
    for ask in (
        lambda: validator.labels(ROWS.flux[:2], noise),
        lambda: validator.uncertainty(ROWS.labels[:2], noise),
        lambda: validator.reconstruction_error(ROWS.flux[:2], noise),
        lambda: validator.reconstruction_limit(noise),
    ):
        with pytest.raises(InputError, match=r"noise = .* is no standard deviation of a flux"):
            ask()


def test_the_uncertainty_is_the_error_that_it_made_and_grows_with_noise(validator: Validator) -> None:
    error = validator.labels(ROWS.flux) - ROWS.labels
    known = np.sqrt(np.mean(error**2, axis=0))
    found = validator.uncertainty(ROWS.labels)
    assert found.shape == ROWS.labels.shape
    np.testing.assert_allclose(np.sqrt(np.mean(found**2, axis=0)), known, rtol=0.35)
    noisy = validator.uncertainty(ROWS.labels[:3], 0.02)
    assert (noisy[:, 0] > found[:3, 0]).all()
    with pytest.raises(InputError, match="teff = 9000 K in row 0 lies outside"):
        validator.uncertainty([[9000.0, 0.0, 10.0]])


def test_spectra_unlike_the_grid_are_told_from_its_own_with_or_without_noise(validator: Validator) -> None:
    own = ROWS.flux[:200]
    foreign = own - 0.3 * np.exp(-0.5 * ((np.arange(777) - 600.0) / 4.0) ** 2).astype(np.float32)
    random = np.random.default_rng(1)
    for noise in (0.0, 0.005, 0.02):
        limit = validator.reconstruction_limit(noise)
        scatter = noise * random.standard_normal(own.shape, dtype=np.float32)
        assert (validator.reconstruction_error(own + scatter, noise) <= limit).mean() > 0.99
        assert (validator.reconstruction_error(foreign + scatter, noise) > limit).all()


@pytest.mark.rounding
def test_the_quantiles_are_those_of_the_test_spectra(validator: Validator) -> None:
    error = validator.reconstruction_error(ROWS.flux)
    for share, value in validator.reconstruction_quantiles.items():
        np.testing.assert_allclose(value, np.quantile(error, share), rtol=1e-3)
    assert list(validator.reconstruction_quantiles) == [0.5, 0.9, 0.99, 0.999]


def test_a_model_without_measured_errors_says_so(tmp_path: Path) -> None:
    save_validator(tmp_path / "validator", least_squares()[0], TINY, {})
    bare = Validator.load(tmp_path)
    for ask in (lambda: bare.uncertainty(ROWS.labels), lambda: bare.reconstruction_error(ROWS.flux)):
        with pytest.raises(InputError, match="holds no measured errors"):
            ask()
