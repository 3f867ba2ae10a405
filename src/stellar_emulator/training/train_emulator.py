"""Trains the emulator of a preset: autoencoder, label network and, if the preset asks for it, the chain of both."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from stellar_emulator.broadening.broadening import contract_broadening
from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.label import Label
from stellar_emulator.errors import InputError
from stellar_emulator.evaluation.evaluation import Reconstruction
from stellar_emulator.grid.expand import limb_darkening
from stellar_emulator.grid.sampling import run_hash
from stellar_emulator.grid.shards import IntrinsicGrid
from stellar_emulator.grid.split import PARTS, SplitRows, split_rows
from stellar_emulator.grid.store import Grid, Rows
from stellar_emulator.networks import layers
from stellar_emulator.networks.basis import Basis, fit_basis, fit_grid_basis, project_grid
from stellar_emulator.networks.coordinates import (
    Coordinates,
    bounds,
    own_coordinates,
    physical_coordinates,
    scaled,
    scaled_coordinates,
)
from stellar_emulator.networks.dense import DenseChain, from_keras, linear_map, scale_inputs
from stellar_emulator.networks.inference import (
    LIMB_DARKENING_WEIGHT,
    EmulatorNetwork,
    ExactEmulatorNetwork,
    exact_emulator,
)
from stellar_emulator.networks.preset import (
    AnyPreset,
    Autoencoder,
    Inputs,
    Interpolation,
    LabelNetwork,
    Preset,
    TeacherSettings,
    Training,
)
from stellar_emulator.training.fit_network import Fit, Report, fit
from stellar_emulator.training.interpolation import interpolate
from stellar_emulator.training.space import PixelSpace, Space, basis_space, row_weights, weighted
from stellar_emulator.training.teacher import Lessons, kept_lessons, teach

Array = NDArray[np.float32]
LEAST_SECONDS = 1e-3
"""Seconds for fits whose time has been used up by others, so that each still runs one epoch."""

LESSONS = "lessons.npz"
"""File of a teacher's predictions in the folder of a training."""

StageReport = Callable[[str], Report]
"""Given a network's name, returns the function that receives each of its epochs."""


@dataclass(frozen=True)
class TrainedEmulator:
    """An emulator with its networks and the course of its training.

    network: maps labels to flux; encoder and decoder: as trained, before fine-tuning; fits: by stage.

    The encoder reads flux (learned family) or modes and limb darkening of a run (exact family); the decoder gives them.
    Networks that were trained elsewhere have neither encoder, decoder nor fits.
    """

    network: EmulatorNetwork | ExactEmulatorNetwork
    encoder: DenseChain | None
    decoder: DenseChain | None
    fits: dict[str, Fit]


@dataclass(frozen=True)
class Examples:
    """The examples from which networks of one family learn: scaled labels, the coordinates they stand for, and targets.

    given: labels, or coordinates of them, scaled to [-1, 1], shape (n, inputs); coordinates: these coordinates, empty
    for the labels themselves. wrap: makes the family's emulator from a chain that maps physical inputs to physical
    targets.
    """

    given: Array
    labels: tuple[Label, ...]
    coordinates: Coordinates
    space: Space
    split: SplitRows
    wrap: Callable[[DenseChain], EmulatorNetwork | ExactEmulatorNetwork]


class Fitting:
    """Fits the networks of one training, one after the other, and keeps the result of each.

    folder: keeps their states; report: receives their epochs; epochs: sum of their planned epochs; seconds: time for
    all of them together. Each gets a share of the remaining time in proportion to its planned epochs.
    """

    def __init__(self, folder: Path, report: StageReport, epochs: int = 0, seconds: float | None = None) -> None:
        self.folder, self.report, self.epochs, self.seconds = folder, report, epochs, seconds
        self.fits: dict[str, Fit] = {}
        self.before = 0.0
        """Seconds spent on these fits by processes that were killed."""

    def __call__(self, model: keras.Model, training: Any, validation: Any, settings: Training) -> None:
        name, share = str(model.name), None
        if self.seconds is not None:
            share = max(LEAST_SECONDS, self.seconds) * settings.epochs / self.epochs
        began = time.monotonic()
        done = fit(model, training, validation, settings, self.folder / name, self.report(name), share)
        self.before += max(0.0, done.seconds - (time.monotonic() - began))
        if self.seconds is not None:
            self.seconds -= done.seconds
        self.epochs -= settings.epochs
        self.fits[name] = done


def train_emulator(
    grid: Grid,
    intrinsic: IntrinsicGrid | None,
    split: SplitRows,
    contract: Contract,
    preset: AnyPreset,
    seed: int,
    folder: Path,
    report: StageReport,
) -> TrainedEmulator:
    """Train the emulator of a preset; ``folder`` keeps its state, so that a killed training can resume.

    Raises
    ------
    InputError
        If the preset broadens exactly and the grid has no intrinsic spectra, or interpolates and there are too many.
    """
    keras.utils.set_random_seed(seed)
    fitting = Fitting(folder, report)
    if isinstance(preset, Interpolation) and preset.family == "learned":
        return _interpolated(grid, split, contract, preset, seed, report)
    if isinstance(preset, Preset) and preset.family == "learned":
        examples = _learned(grid, split, contract, preset, seed, folder, report)
        return train_on(examples, preset, fitting)
    if intrinsic is None:
        raise InputError(
            f"preset {preset.name} broadens exactly and needs a grid with intrinsic spectra; this one has broadened "
            "spectra alone: choose --preset learned"
        )
    targets, rows = intrinsic_targets(contract, intrinsic), _split_of_runs(grid, split, intrinsic)
    basis = fit_basis(targets[rows.train], preset.basis or 1, seed)
    coefficients = basis.project(targets)
    if isinstance(preset, Interpolation):
        labels = unit_labels(contract.run_labels, intrinsic.labels)[rows.train]
        chain = _between(labels, contract.run_labels, coefficients[rows.train], basis, seed, report)
        return TrainedEmulator(exact_emulator(chain, contract), None, None, {})
    lessons = None
    if (teacher := preset.teacher) is not None:
        told = report("teacher")
        lessons = kept_lessons(
            folder / LESSONS, lambda: exact_lessons(intrinsic, contract, coefficients, teacher, seed, rows)
        )
        told(0, {"val_loss": lessons.error / float(basis.variance.mean())})
    examples = exact_examples(intrinsic, contract, basis, coefficients, seed, preset.inputs, lessons, rows)
    return train_on(examples, preset, fitting)


def _interpolated(
    grid: Grid, split: SplitRows, contract: Contract, preset: Interpolation, seed: int, report: StageReport
) -> TrainedEmulator:
    """An emulator that interpolates between spectra that are broadened already."""
    basis = fit_grid_basis(grid, split.train, preset.basis, seed)
    coefficients, labels = project_grid(grid, basis, noisy=True), unit_labels(contract.labels, grid.labels)
    rows = split.train
    chain = _between(labels[rows], contract.labels, coefficients[rows], basis, seed, report)
    return TrainedEmulator(EmulatorNetwork(chain), None, None, {})


def _between(
    labels: Array, inputs: tuple[Label, ...], coefficients: Array, basis: Basis, seed: int, report: StageReport
) -> DenseChain:
    """Physical labels to what a basis describes, interpolated between nodes, whose error left out is reported."""
    told = report("interpolation")
    made = interpolate(labels, inputs, coefficients, seed)
    told(0, {"val_loss": made.error / float(basis.variance.mean())})
    return made.chain + linear_map(basis.components, basis.mean)


def train_on(examples: Examples, preset: Preset, fitting: Fitting) -> TrainedEmulator:
    """Train autoencoder and label network on examples and, if the preset asks for it, the chain of both."""
    encoder, decoder = build_autoencoder(examples, preset.autoencoder)
    fit_autoencoder(examples, encoder, decoder, preset.autoencoder, fitting)
    label_network = build_label_network(examples, preset)
    fit_label_network(examples, encoder, label_network, preset.label_network, fitting)
    whole = layers.chain([label_network, decoder], "chain")
    # Kept as trained, before fine-tuning changes the decoder.
    encoding, decoding = from_keras(encoder), from_keras(decoder)
    if preset.fine_tuning is not None:
        fit_chain(examples, whole, preset.fine_tuning, fitting)
    return trained_emulator(examples, encoding, decoding, from_keras(whole), fitting)


def _learned(
    grid: Grid, split: SplitRows, contract: Contract, preset: Preset, seed: int, folder: Path, report: StageReport
) -> Examples:
    """Examples of the learned family; a teacher's predictions are further ones to train on."""
    if preset.basis is None:
        return learned_examples(grid, split, contract, PixelSpace(grid, split, seed), preset.inputs)
    basis = fit_grid_basis(grid, split.train, preset.basis, seed)
    coefficients, weights = project_grid(grid, basis, noisy=True), row_weights(grid, split)
    teacher = preset.teacher
    if teacher is None or weights is not None:
        space = basis_space(basis, coefficients, split, seed, weights)
        return learned_examples(grid, split, contract, space, preset.inputs)
    labels, count = unit_labels(contract.labels, grid.labels), teacher.draws * len(split.train)
    told = report("teacher")
    lessons = kept_lessons(
        folder / LESSONS, lambda: teach(contract, labels, contract.labels, coefficients, split, count, seed)
    )
    told(0, {"val_loss": lessons.error / float(basis.variance.mean())})
    labels, coefficients, split = _taught(labels, coefficients, split, lessons)
    given, coordinates = _given(labels, contract.labels, preset.inputs)
    space = basis_space(basis, coefficients, split, seed)
    return Examples(given, contract.labels, coordinates, space, split, EmulatorNetwork)


def _taught(labels: Array, coefficients: Array, split: SplitRows, lessons: Lessons) -> tuple[Array, Array, SplitRows]:
    """Labels, coefficients and split with a teacher's predictions after the examples, all of them to train on."""
    more = np.arange(len(labels), len(labels) + len(lessons.labels))
    return (
        np.concatenate([labels, lessons.labels]),
        np.concatenate([coefficients, lessons.targets]),
        replace(split, train=np.concatenate([split.train, more])),
    )


def learned_examples(grid: Grid, split: SplitRows, contract: Contract, space: Space, inputs: Inputs) -> Examples:
    """One example for each spectrum of a grid, with all its labels and its flux."""
    given, coordinates = _given(unit_labels(contract.labels, grid.labels), contract.labels, inputs)
    return Examples(given, contract.labels, coordinates, space, split, EmulatorNetwork)


def exact_examples(
    intrinsic: IntrinsicGrid,
    contract: Contract,
    basis: Basis,
    coefficients: Array,
    seed: int,
    inputs: Inputs,
    lessons: Lessons | None = None,
    split: SplitRows | None = None,
) -> Examples:
    """One example for each run: the modes of its spectrum as the sharpest instrument sees it, and its limb darkening.

    coefficients: of all runs in the basis, (runs, components); lessons: further examples to train on; split: of the
    runs, by default the contract's.
    """
    labels, split = unit_labels(contract.run_labels, intrinsic.labels), split or intrinsic_split(contract, intrinsic)
    if lessons is not None:
        labels, coefficients, split = _taught(labels, coefficients, split, lessons)
    space = basis_space(basis, coefficients, split, seed)
    given, coordinates = _given(labels, contract.run_labels, inputs)
    return Examples(
        given, contract.run_labels, coordinates, space, split, lambda chain: exact_emulator(chain, contract)
    )


def _given(unit: Array, labels: tuple[Label, ...], inputs: Inputs) -> tuple[Array, Coordinates]:
    """Inputs of a label network, computed from labels scaled to [-1, 1], and the coordinates that they are."""
    if inputs == "labels":
        return unit, ()
    return scaled_coordinates(labels, unit).astype(np.float32), physical_coordinates(labels)


def exact_lessons(
    intrinsic: IntrinsicGrid,
    contract: Contract,
    coefficients: Array,
    teacher: TeacherSettings,
    seed: int,
    split: SplitRows | None = None,
) -> Lessons:
    """Predictions of a teacher that has learned the training runs' coefficients in a basis, (runs, components).

    split: of the runs, by default the contract's.
    """
    labels, split = unit_labels(contract.run_labels, intrinsic.labels), split or intrinsic_split(contract, intrinsic)
    return teach(contract, labels, contract.run_labels, coefficients, split, teacher.draws * len(split.train), seed)


def intrinsic_split(contract: Contract, intrinsic: IntrinsicGrid) -> SplitRows:
    """Runs of each part; the same runs as in any grid made from them."""
    return split_rows(contract, np.array(run_hash(intrinsic.labels)))


def _split_of_runs(grid: Grid, split: SplitRows, intrinsic: IntrinsicGrid) -> SplitRows:
    """Runs of each part, by the parts in which a grid's rows of them are."""
    training, validation, test = (np.flatnonzero(np.isin(intrinsic.run_id, grid.run_id[split[part]])) for part in PARTS)
    return SplitRows(training, validation, test)


def reconstruct(
    trained: TrainedEmulator, contract: Contract, intrinsic: IntrinsicGrid | None, part: Rows
) -> Reconstruction | None:
    """Computed spectra as the autoencoder of a training reproduces them; the exact family broadens them afterwards.

    The result is None for networks without their autoencoder.
    """
    if trained.encoder is None or trained.decoder is None:
        return None
    if isinstance(trained.network, EmulatorNetwork) or intrinsic is None:
        latent = trained.encoder(part.flux)
        return Reconstruction(latent, trained.decoder(latent))
    runs, row_of_run = np.unique(part.run_id, return_inverse=True)
    latent = trained.encoder(intrinsic_targets(contract, intrinsic.take(np.searchsorted(intrinsic.run_id, runs))))
    made = trained.decoder(latent)[row_of_run]
    return Reconstruction(latent, trained.network.broadened(made, part.labels))


def intrinsic_targets(contract: Contract, intrinsic: IntrinsicGrid) -> Array:
    """Modes of each run and, last, its weighted limb darkening, shape (runs, 2 modes + 1)."""
    modes = contract_broadening(contract).modes(intrinsic.flux)
    weighted = LIMB_DARKENING_WEIGHT * limb_darkening(contract, intrinsic)[:, np.newaxis]
    return np.concatenate([modes, weighted.astype(np.float32)], axis=1)


def unit_labels(labels: tuple[Label, ...], values: NDArray[np.float64]) -> Array:
    """Scale values from the labels' bounds to [-1, 1], shape (n, labels)."""
    return scaled(own_coordinates(labels), labels, values).astype(np.float32)


def build_autoencoder(examples: Examples, preset: Autoencoder) -> tuple[keras.Sequential, keras.Sequential]:
    """Build encoder and decoder for the examples' targets."""
    width = examples.space.width
    return layers.build_encoder(width, preset), layers.build_decoder(width, preset)


def build_label_network(examples: Examples, preset: Preset) -> keras.Sequential:
    """Build the label network, from the examples' inputs to the autoencoder's latent values."""
    return layers.build_label_network(examples.given.shape[1], preset.autoencoder.latent, preset.label_network)


def fit_autoencoder(
    examples: Examples, encoder: keras.Sequential, decoder: keras.Sequential, preset: Autoencoder, fitting: Fitting
) -> None:
    """Fit both halves to reproduce the targets."""
    space, batch = examples.space, preset.training.batch_size
    training, validation = (space.examples(part, None, batch) for part in ("train", "validation"))
    fitting(layers.chain([encoder, decoder], "autoencoder"), training, validation, preset.training)


def fit_label_network(
    examples: Examples, encoder: keras.Sequential, model: keras.Sequential, preset: LabelNetwork, fitting: Fitting
) -> None:
    """Fit a label network to the latent values of a trained encoder."""
    given, split, latent = examples.given, examples.split, examples.space.encode(from_keras(encoder))
    weights = examples.space.row_weights
    training, validation = (
        (given[split[part]], weighted(latent[split[part]], weights, split[part])) for part in ("train", "validation")
    )
    fitting(model, training, validation, preset.training)


def fit_chain(examples: Examples, whole: keras.Sequential, settings: Training, fitting: Fitting) -> None:
    """Fit label network and decoder end to end."""
    space = examples.space
    training, validation = (
        space.examples(part, examples.given, settings.batch_size) for part in ("train", "validation")
    )
    fitting(whole, training, validation, settings)


def trained_emulator(
    examples: Examples, encoding: DenseChain, decoding: DenseChain, chain: DenseChain, fitting: Fitting
) -> TrainedEmulator:
    """Convert networks on scaled labels and the examples' space to an emulator on physical values."""
    lower, upper = bounds(examples.coordinates or own_coordinates(examples.labels), examples.labels)
    scale, shift = 2.0 / (upper - lower), -(upper + lower) / (upper - lower)
    space = examples.space
    physical = replace(scale_inputs(space.leave(chain), scale, shift), coordinates=examples.coordinates)
    return TrainedEmulator(examples.wrap(physical), space.enter(encoding), space.leave(decoding), fitting.fits)
