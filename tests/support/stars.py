"""A small world to observe: pairs of real models, trained in a second on spectra of a few lines, and their archive."""

from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, Literal, cast

import numpy as np
from scipy.stats import qmc
from synthetic import GAIA, ROOT

from stellar_emulator import Emulator, Validator
from stellar_emulator.contract.axis import SPEED_OF_LIGHT
from stellar_emulator.contract.contract import Contract, Hull, read_contract
from stellar_emulator.contract.medium import converted
from stellar_emulator.evaluation.measured import emulator_measures, validator_measures
from stellar_emulator.explorer.app import explorer_app
from stellar_emulator.fitting.estimate import Pair
from stellar_emulator.fitting.protocols import library
from stellar_emulator.networks.dense import DenseChain, DenseLayer, linear_map, scale_inputs
from stellar_emulator.networks.inference import EmulatorNetwork, ValidatorNetwork
from stellar_emulator.saved.bundle import save_emulator, save_validator

ARCHIVE = read_contract(ROOT / "data_contracts" / "gaia_dr3_rvs.yaml")
CONTRACTS = {contract.name: contract for contract in (GAIA, ARCHIVE)}
SUN = {"teff": 5777.0, "logg": 4.44, "vsini": 8.0, "m_h": 0.0, "vmicro": 1.0, "resolution": 11500.0}

_FOLDER = TemporaryDirectory()


def star(contract: Contract, **changed: float) -> np.ndarray:
    """The Sun's labels but for some, shape (1, labels), in the contract's order."""
    return np.array([[{**SUN, **changed}[name] for name in contract.label_names]])


def line_spectra(contract: Contract, labels: np.ndarray) -> np.ndarray:
    """Ca II and twenty weak lines, whose strengths answer to each label in their own way, broadened as Gaussians."""
    random = np.random.default_rng(3)
    value = {name: labels[:, i] for i, name in enumerate(contract.label_names)}
    resolution = value.get("resolution", np.full(len(labels), 11500.0))
    pixels = converted(contract.wavelength.pixels, contract.wavelength.medium, "air")
    centres = np.concatenate([[8498.02, 8542.09, 8662.14], random.uniform(8465.0, 8790.0, 20)])
    strengths = np.concatenate([[1.6, 2.4, 2.0], random.uniform(0.1, 0.9, 20)])
    cooling, pressure, metals, turbulence = random.uniform(
        [[-1.0], [-0.3], [0.2], [0.0]], [[3.0], [0.3], [0.6], [0.1]], (4, 23)
    )
    heat = (value["teff"] - 3600.0) / 11400.0
    optical = np.ones((len(labels), len(pixels)))
    for i, centre in enumerate(centres):
        strength = strengths[i] * np.exp(-cooling[i] * heat) * 10.0 ** (metals[i] * value["m_h"])
        strength *= (1.0 + pressure[i] * (value["logg"] - 3.5)) * (1.0 + turbulence[i] * (value["vmicro"] - 2.0))
        own = 9.0 * (1.0 + 0.15 * (value["logg"] - 3.5)) if i < 3 else np.full(len(labels), 5.0)
        width = np.sqrt(own**2 + value["vsini"] ** 2 / 4.0 + (SPEED_OF_LIGHT / resolution / 2.355) ** 2)
        shape = np.exp(-0.5 * ((pixels / centre - 1.0) * SPEED_OF_LIGHT / width[:, None]) ** 2)
        optical -= ((1.0 - np.exp(-strength)) * own / width)[:, None] * shape * 0.6
    return np.clip(optical, 0.02, 1.0).astype(np.float32)


def pair_folder(contract: Contract = GAIA) -> Path:
    """Folder of an emulator and a validator."""
    return _trained(contract.name)


@dataclass(frozen=True)
class LoadedPair(Pair):
    """A pair of models, and not of what is like them."""

    emulator: Emulator
    validator: Validator


def pair_of(contract: Contract = GAIA) -> LoadedPair:
    return _loaded(contract.name)


@cache
def _loaded(name: str) -> LoadedPair:
    emulator = Emulator.load(_trained(name))
    return LoadedPair(emulator, Validator.load(_trained(name)), library(emulator))


@cache
def _trained(name: str) -> Path:
    """Random features with fitted output layers, so that training is two systems of linear equations."""
    contract, folder = CONTRACTS[name], Path(_FOLDER.name) / name
    random = np.random.default_rng(4)
    unit = qmc.Sobol(len(contract.labels), rng=random).random(512)
    labels = contract.lower + unit * (contract.upper - contract.lower)
    truth = line_spectra(contract, labels)

    mean = truth.mean(axis=0)
    components = _components(truth - mean, 40)
    features = _features(2.0 * unit - 1.0, 0.6, 250, random)
    out = _fitted(features, 2.0 * unit - 1.0, (truth - mean) @ components.T)
    scale = 2.0 / (contract.upper - contract.lower)
    chain = scale_inputs(DenseChain((features, out)), scale, -1.0 - scale * contract.lower)
    emulator = EmulatorNetwork(chain + linear_map(components, mean))
    made = emulator(labels)
    measured = emulator_measures(contract, labels, made, made + 2e-4)
    save_emulator(folder / "emulator", emulator, contract, {"seen_runs": [], "test_runs": []}, measured)

    noisy = made + random.normal(0.0, 0.01, made.shape).astype(np.float32)
    kernel = components[:25].T / ((made - mean) @ components[:25].T).std(axis=0)
    inputs = (noisy - mean) @ kernel
    features = _features(inputs, 0.3, 250, random)
    validator = ValidatorNetwork(
        linear_map(kernel, -mean @ kernel), (DenseChain((features, _fitted(features, inputs, labels))),)
    )
    measured = validator_measures(contract, validator, mean.astype(np.float32), kernel.astype(np.float32), labels, made)
    save_validator(folder / "validator", validator, contract, {"seen_runs": []}, measured)
    return folder


def _components(centred: np.ndarray, count: int) -> np.ndarray:
    """Principal components (count, pixels), from the small matrix of products of rows."""
    vectors = np.linalg.eigh((centred @ centred.T).astype(float))[1][:, ::-1][:, :count]
    found = vectors.T.astype(np.float32) @ centred
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def _features(inputs: np.ndarray, size: float, count: int, random: np.random.Generator) -> DenseLayer:
    kernel = random.normal(0.0, size, (inputs.shape[1], count)).astype(np.float32)
    return DenseLayer(kernel, random.normal(0.0, 1.0, count).astype(np.float32), "tanh")


def _fitted(features: DenseLayer, inputs: np.ndarray, targets: np.ndarray) -> DenseLayer:
    """Least squares, slightly ridged, from the features to the targets."""
    hidden = np.column_stack([features(inputs.astype(np.float32)), np.ones(len(inputs))]).astype(float)
    weights = np.linalg.solve(hidden.T @ hidden + 1e-4 * np.eye(hidden.shape[1]), hidden.T @ targets)
    return DenseLayer(weights[:-1].astype(np.float32), weights[-1].astype(np.float32), "linear")


@dataclass(frozen=True)
class ArchiveSpectrum:
    """One spectrum in the form of Gaia DR3's archive: nm, normalised, NaN at the ends."""

    wavelength: np.ndarray
    flux: np.ndarray
    flux_error: np.ndarray


def archive_spectrum(
    labels: np.ndarray, signal_to_noise: float, velocity: float = 0.0, seed: int = 0, missing: int = 6
) -> ArchiveSpectrum:
    """Flux of labels (1, labels) on the archive's pixels; at rest, as real ones are, but for an error of velocity."""
    pixels = ARCHIVE.wavelength.pixels
    flux = pair_of(ARCHIVE).emulator.flux(labels)[0].astype(float)
    flux = np.interp(pixels / (1.0 + velocity / SPEED_OF_LIGHT), pixels, flux)
    error = np.full(len(pixels), 1.0 / signal_to_noise)
    flux += np.random.default_rng(seed).normal(0.0, error)
    for part in (slice(missing), slice(len(pixels) - missing, None)):
        flux[part], error[part] = np.nan, np.nan
    return ArchiveSpectrum(np.round(pixels / 10.0, 2), flux, error)


def with_hull(outside: Literal["refuse", "warn"]) -> Any:
    """The page of a pair whose grid has nodes among warm stars alone."""
    pair = pair_of()
    ends = [(0.1 * label.lower + 0.9 * label.upper, label.upper) for label in GAIA.run_labels]
    hull = Hull(outside=outside, distance=0.05, corners=tuple(product(*ends)))
    contract = pair.emulator.contract.model_copy(update={"hull": hull})
    emulator = SimpleNamespace(contract=contract, flux=pair.emulator.flux, version="one", digest="0")
    return explorer_app(cast(Emulator, emulator), pair.validator)
