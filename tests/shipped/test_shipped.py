"""The pairs that come with the package: small, sound, and right about a star that everybody knows."""

import json

import numpy as np
import pytest
from synthetic import ROOT

from stellar_emulator import Emulator, Validator
from stellar_emulator.contract.axis import SPEED_OF_LIGHT
from stellar_emulator.contract.contract import read_contract
from stellar_emulator.fitting.estimate import Pair, fit, infer
from stellar_emulator.fitting.preparation import Treatment
from stellar_emulator.fitting.protocols import library
from stellar_emulator.models.pair import shipped_names
from stellar_emulator.networks.inference import ExactEmulatorNetwork
from stellar_emulator.observed.spectrum import ObservedSpectrum
from stellar_emulator.saved.bundle import read_network
from stellar_emulator.shipped.resources import DEFAULT

pytestmark = pytest.mark.skipif(DEFAULT not in shipped_names(), reason="no pair was shipped yet: make models/gaia_rvs")

ARCHIVE = "gaia_dr3_rvs"
PAIRS = pytest.mark.parametrize("name", [DEFAULT, ARCHIVE])
SUN = {"teff": 5777.0, "logg": 4.44, "vsini": 2.0, "m_h": 0.0, "vmicro": 1.0, "resolution": 11500.0}


def test_all_are_small_together() -> None:
    assert shipped_names() == [ARCHIVE, DEFAULT]
    assert sum(path.stat().st_size for path in (ROOT / "models").rglob("*") if path.is_file()) <= 20_000_000


@PAIRS
def test_its_decision_made_it_champion_by_its_contract(name: str) -> None:
    digest = read_contract(ROOT / "data_contracts" / f"{name}.yaml").digest
    emulator, validator = Emulator.load(name), Validator.load(name)
    assert emulator.contract.digest == validator.contract.digest == digest
    folder = ROOT / "models" / name
    record = json.loads((folder / "decision.json").read_text())
    assert record["kind"] == "promotion"
    assert record["promoted"] is True
    for digest in (emulator.digest, validator.digest):
        assert digest in (folder / "decision.json").read_text()
    assert (folder / "decision.html").stat().st_size > 1000
    assert (folder / "model_card.md").stat().st_size > 1000


def test_the_one_meant_where_none_is_named_is_that_of_the_embedded_grid() -> None:
    assert Emulator.load().digest == Emulator.load(DEFAULT).digest
    assert Validator.load().digest == Validator.load(DEFAULT).digest


def test_both_have_the_same_networks() -> None:
    """Broadening is exact: another axis is another synthesis matrix."""
    first, second = (read_network(ROOT / "models" / name / "emulator") for name in (DEFAULT, ARCHIVE))
    assert isinstance(first, ExactEmulatorNetwork)
    assert isinstance(second, ExactEmulatorNetwork)
    assert first.chain.coordinates == second.chain.coordinates
    for ours, theirs in zip(first.chain.layers, second.chain.layers, strict=True):
        np.testing.assert_array_equal(ours.kernel, theirs.kernel)
        np.testing.assert_array_equal(ours.bias, theirs.bias)


@pytest.mark.rounding
def test_the_sun_has_deep_calcium_lines_and_is_read_back() -> None:
    emulator, validator = Emulator.load(), Validator.load()
    flux = emulator(**SUN)
    pixels = emulator.contract.wavelength.pixels
    for centre in emulator.contract.regions.line_cores.values():
        assert flux[np.abs(pixels - centre).argmin()] < 0.5
    assert np.quantile(flux, 0.95) > 0.98
    labels = validator.labels(flux[np.newaxis])
    uncertainty = validator.uncertainty(np.array([list(SUN.values())]))
    gated = emulator.contract.columns(emulator.contract.accuracy_labels)
    assert (np.abs(labels[0] - list(SUN.values()))[gated] < 4.0 * uncertainty[0, gated]).all()
    assert validator.reconstruction_error(flux[np.newaxis])[0] < validator.reconstruction_limit()


@PAIRS
def test_its_errors_were_measured(name: str) -> None:
    emulator = Emulator.load(name)
    error = emulator.error(np.array([[SUN[label] for label in emulator.contract.label_names]]))
    assert 1e-5 < error.mean() < 5e-3


@pytest.mark.parametrize("velocity", [-120.0, 0.0, 65.0])
def test_a_star_as_gaias_archive_has_it_is_read_back(velocity: float) -> None:
    emulator = Emulator.load(ARCHIVE)
    assert (emulator.medium, len(emulator.contract.wavelength.pixels)) == ("vacuum", 2401)
    pair, pixels = Pair(emulator, Validator.load(ARCHIVE), library(emulator)), emulator.contract.wavelength.pixels
    star = {name: {**SUN, "vsini": 12.0}[name] for name in emulator.contract.label_names}
    error = np.full(len(pixels), 0.01)
    moved = np.interp(pixels / (1.0 + velocity / SPEED_OF_LIGHT), pixels, emulator(**star))
    flux = moved + np.random.default_rng(2).normal(0.0, error)
    flux[:20], error[:20] = 0.0, np.inf  # as the reader leaves missing pixels
    spectrum = ObservedSpectrum("a star", pixels, "vacuum", flux, error)
    truth = np.array(list(star.values()))
    inferred = infer(spectrum, pair, Treatment(None, None))
    assert (np.abs(inferred.labels - truth) < 3.0 * inferred.uncertainty).all()
    found = fit(spectrum, pair, Treatment(None, 3), {}).solution
    assert (np.abs(found.parameters.labels - truth) < 4.0 * found.error[: len(truth)]).all()
    for measured in (inferred.velocity, found.parameters.velocity):
        assert abs(measured - velocity) < 1.0


@pytest.mark.parametrize("teff", [4500.0, 5777.0, 10000.0])
def test_a_star_without_the_calcium_triplet_is_warned_of(teff: float) -> None:
    emulator = Emulator.load()
    pair, pixels = Pair(emulator, Validator.load(), library(emulator)), emulator.contract.wavelength.pixels
    noise = np.random.default_rng(0).normal(0.0, 0.01, len(pixels))
    lines = np.array(list(emulator.contract.regions.line_cores.values()))
    near = (np.abs(pixels[:, np.newaxis] - lines) < 10.0).any(axis=1)
    star = emulator(**{**SUN, "teff": teff}).astype(np.float64)
    for flux, warned in ((star, False), (np.where(near, 1.0, star), True)):
        spectrum = ObservedSpectrum("a star", pixels, "air", flux + noise, np.full(len(pixels), 0.01))
        inferred = infer(spectrum, pair, Treatment(None, None)).warnings
        assert any("outside the training grid" in warning for warning in inferred) == warned
        fitted = fit(spectrum, pair, Treatment(None, 3), {}).warnings
        assert any("nothing in the model's box fits" in warning for warning in fitted) == warned


def test_a_continuum_to_fit_moves_no_inferred_label_far() -> None:
    emulator = Emulator.load()
    pair, pixels = Pair(emulator, Validator.load(), library(emulator)), emulator.contract.wavelength.pixels
    error = np.full(len(pixels), 0.01)
    flux = emulator(**SUN) + np.random.default_rng(0).normal(0.0, error)
    spectrum = ObservedSpectrum("sun", pixels, emulator.contract.wavelength.medium, flux, error)
    without, fitted = (infer(spectrum, pair, Treatment(None, degree)) for degree in (None, 3))
    assert (np.abs(without.labels - fitted.labels) < without.uncertainty).all()
    assert fitted.reconstruction_error < 1.05 * without.reconstruction_error
