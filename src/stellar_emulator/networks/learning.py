"""Trains the emulator of a preset: autoencoder, label network and, where the preset says so, the chain of both."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract import Contract, Label
from stellar_emulator.errors import InputError
from stellar_emulator.evaluation import Reconstruction
from stellar_emulator.grid.broadening import contract_broadening
from stellar_emulator.grid.sampling import run_hash
from stellar_emulator.grid.shards import IntrinsicGrid
from stellar_emulator.grid.split import SplitRows, split_rows
from stellar_emulator.grid.store import Grid, Rows
from stellar_emulator.networks import layers
from stellar_emulator.networks.basis import fit_basis, fit_grid_basis, project_grid
from stellar_emulator.networks.dense import DenseChain, from_keras, scale_inputs
from stellar_emulator.networks.inference import (
    LIMB_DARKENING_WEIGHT,
    EmulatorNetwork,
    ExactEmulatorNetwork,
    exact_emulator,
)
from stellar_emulator.networks.preset import Autoencoder, LabelNetwork, Preset, Training
from stellar_emulator.networks.space import PixelSpace, Space, basis_space
from stellar_emulator.training import Fit, Report, fit

Array = NDArray[np.float32]
StageReport = Callable[[str], Report]
"""Given a network's name, returns what is told each of its epochs."""


@dataclass(frozen=True)
class TrainedEmulator:
    """network: labels to flux; encoder and decoder as trained, before fine-tuning; fits by stage.

    The encoder reads flux (learned family) or modes and limb darkening of a run (exact family); the decoder gives them.
    """

    network: EmulatorNetwork | ExactEmulatorNetwork
    encoder: DenseChain
    decoder: DenseChain
    fits: dict[str, Fit]


@dataclass(frozen=True)
class _Examples:
    """What the networks learn from: labels scaled to [-1, 1] (n, inputs), their physical meaning, targets, parts."""

    labels: Array
    inputs: tuple[Label, ...]
    space: Space
    split: SplitRows


def train_emulator(
    grid: Grid,
    intrinsic: IntrinsicGrid | None,
    split: SplitRows,
    contract: Contract,
    preset: Preset,
    seed: int,
    folder: Path,
    report: StageReport,
) -> TrainedEmulator:
    """Train the emulator of a preset; ``folder`` keeps its state, so that a killed training goes on.

    Raises
    ------
    InputError
        If the preset broadens exactly and the grid carries no intrinsic spectra.
    """
    keras.utils.set_random_seed(seed)
    if preset.family == "learned":
        return _train(_learned_examples(grid, split, contract, preset, seed), preset, folder, report, EmulatorNetwork)
    if intrinsic is None:
        raise InputError(
            f"preset {preset.name} broadens exactly and needs a grid with intrinsic spectra; this one has broadened "
            "spectra alone: choose --preset learned"
        )
    return _train(
        _exact_examples(intrinsic, contract, preset, seed),
        preset,
        folder,
        report,
        lambda chain: exact_emulator(chain, contract),
    )


def _learned_examples(grid: Grid, split: SplitRows, contract: Contract, preset: Preset, seed: int) -> _Examples:
    space: Space = PixelSpace(grid, split, seed)
    if preset.basis is not None:
        basis = fit_grid_basis(grid, split.train, preset.basis, seed)
        space = basis_space(basis, project_grid(grid, basis), split, seed)
    return _Examples(unit_labels(contract.labels, grid.labels), contract.labels, space, split)


def _exact_examples(intrinsic: IntrinsicGrid, contract: Contract, preset: Preset, seed: int) -> _Examples:
    """One example a run: the modes of its spectrum as the sharpest instrument sees it, and its limb darkening."""
    split = split_rows(contract, np.array(run_hash(intrinsic.labels)))
    targets = intrinsic_targets(contract, intrinsic)
    basis = fit_basis(targets[split.train], preset.basis or 1, seed)
    space = basis_space(basis, basis.project(targets), split, seed)
    return _Examples(unit_labels(contract.run_labels, intrinsic.labels), contract.run_labels, space, split)


def reconstruct(
    trained: TrainedEmulator, contract: Contract, intrinsic: IntrinsicGrid | None, part: Rows
) -> Reconstruction:
    """What the autoencoder of a training makes of computed spectra; the exact family broadens them afterwards."""
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
    weighted = LIMB_DARKENING_WEIGHT * intrinsic.limb_darkening[:, np.newaxis]
    return np.concatenate([modes, weighted.astype(np.float32)], axis=1)


def unit_labels(labels: tuple[Label, ...], values: NDArray[np.float64]) -> Array:
    """Values scaled from the labels' bounds to [-1, 1], shape (n, labels)."""
    lower, upper = np.array([label.lower for label in labels]), np.array([label.upper for label in labels])
    return np.asarray(2.0 * (values - lower) / (upper - lower) - 1.0, dtype=np.float32)


def _train(
    examples: _Examples,
    preset: Preset,
    folder: Path,
    report: StageReport,
    wrap: Callable[[DenseChain], EmulatorNetwork | ExactEmulatorNetwork],
) -> TrainedEmulator:
    space, split = examples.space, examples.split
    encoder, decoder, fits = _fit_autoencoder(space, preset.autoencoder, folder, report)
    encoding, decoding = from_keras(encoder), from_keras(decoder)
    label_network, fits["label_network"] = _fit_label_network(
        space.encode(encoding), examples.labels, split, preset.label_network, folder, report
    )
    whole = layers.chain([label_network, decoder], "chain")
    if preset.fine_tuning is not None:
        fits["chain"] = _fit_chain(whole, space, examples.labels, preset.fine_tuning, folder, report)
    lower = np.array([label.lower for label in examples.inputs])
    upper = np.array([label.upper for label in examples.inputs])
    physical = scale_inputs(space.leave(from_keras(whole)), 2.0 / (upper - lower), -(upper + lower) / (upper - lower))
    return TrainedEmulator(wrap(physical), space.enter(encoding), space.leave(decoding), fits)


def _fit_autoencoder(
    space: Space, preset: Autoencoder, folder: Path, report: StageReport
) -> tuple[keras.Sequential, keras.Sequential, dict[str, Fit]]:
    encoder, decoder = layers.build_encoder(space.width, preset), layers.build_decoder(space.width, preset)
    whole = layers.chain([encoder, decoder], "autoencoder")
    batch = preset.training.batch_size
    training, validation = (space.examples(part, None, batch) for part in ("train", "validation"))
    fitted = fit(whole, training, validation, preset.training, folder / "autoencoder", report("autoencoder"))
    return encoder, decoder, {"autoencoder": fitted}


def _fit_label_network(
    latent: Array, labels: Array, split: SplitRows, preset: LabelNetwork, folder: Path, report: StageReport
) -> tuple[keras.Sequential, Fit]:
    model = layers.build_label_network(labels.shape[1], latent.shape[1], preset)
    training, validation = ((labels[split[part]], latent[split[part]]) for part in ("train", "validation"))
    return model, fit(model, training, validation, preset.training, folder / "label_network", report("label_network"))


def _fit_chain(
    whole: keras.Sequential, space: Space, labels: Array, settings: Training, folder: Path, report: StageReport
) -> Fit:
    training, validation = (space.examples(part, labels, settings.batch_size) for part in ("train", "validation"))
    return fit(whole, training, validation, settings, folder / "chain", report("chain"))
