"""Trains the validator of a preset, the judge of the gate: on computed spectra only, never on generated ones."""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.grid.split import SplitRows
from stellar_emulator.grid.store import Grid
from stellar_emulator.networks import layers
from stellar_emulator.networks.basis import Basis, fit_grid_basis, project_grid
from stellar_emulator.networks.dense import from_keras, linear_map, scale_outputs
from stellar_emulator.networks.inference import ValidatorNetwork
from stellar_emulator.networks.preset import ValidatorSettings
from stellar_emulator.training.fit_network import Fit, fit
from stellar_emulator.training.train_emulator import StageReport, unit_labels

LEAST_SPREAD = np.float32(1e-4)
"""Smallest spread of a component relative to the first. Smaller variations are rounding and must not be scaled up."""


@dataclass(frozen=True)
class TrainedValidator:
    """A validator. network: maps flux to labels; basis: its principal components; fits: by stage."""

    network: ValidatorNetwork
    basis: Basis
    fits: dict[str, Fit]


@dataclass(frozen=True)
class _Examples:
    """What all seeds learn from: components over their spread, (rows, components), and labels in [-1, 1].

    kernel: maps flux to these components, (pixels, components).
    """

    basis: Basis
    kernel: NDArray[np.float32]
    inputs: NDArray[np.float32]
    targets: NDArray[np.float32]


def train_judges(
    grid: Grid, split: SplitRows, contract: Contract, preset: ValidatorSettings, folder: Path, report: StageReport
) -> tuple[TrainedValidator, ...]:
    """Train one validator for each seed of the preset, all on the same components; the first is the one to register."""
    examples = _examples(grid, split, contract, preset)

    def trained(seed: int) -> TrainedValidator:
        seeded = folder / f"judge_{seed}"
        return _train(examples, split, contract, preset, seed, seeded, lambda name: report(f"{name} seed {seed}"))

    return tuple(trained(seed) for seed in preset.seeds)


def train_validator(
    grid: Grid, split: SplitRows, contract: Contract, preset: ValidatorSettings, folder: Path, report: StageReport
) -> TrainedValidator:
    """Fit principal components, then one network for all labels or one for each (Table 4), by the preset's first
    seed."""
    return _train(_examples(grid, split, contract, preset), split, contract, preset, preset.seeds[0], folder, report)


def _examples(grid: Grid, split: SplitRows, contract: Contract, preset: ValidatorSettings) -> _Examples:
    keras.utils.set_random_seed(preset.seeds[0])
    basis = fit_grid_basis(grid, split.train, preset.components, preset.seeds[0])
    spread = np.maximum(np.sqrt(basis.variance), LEAST_SPREAD * np.sqrt(basis.variance[0]))
    inputs = project_grid(grid, basis) / spread
    return _Examples(basis, basis.components.T / spread, inputs, unit_labels(contract.labels, grid.labels))


def _train(
    examples: _Examples,
    split: SplitRows,
    contract: Contract,
    preset: ValidatorSettings,
    seed: int,
    folder: Path,
    report: StageReport,
) -> TrainedValidator:
    keras.utils.set_random_seed(seed)
    half, middle = (contract.upper - contract.lower) / 2.0, (contract.upper + contract.lower) / 2.0
    heads, fits = [], {}
    for name, columns in preset.label_groups(contract.label_names).items():
        model = layers.build_validator(examples.inputs.shape[1], len(columns), preset)
        training, validation = (
            (examples.inputs[split[part]], examples.targets[split[part]][:, columns])
            for part in ("train", "validation")
        )
        fits[name] = fit(model, training, validation, preset.training, folder / name, report(name))
        heads.append(scale_outputs(from_keras(model), half[columns], middle[columns]))
    projection = linear_map(examples.kernel, -examples.basis.mean @ examples.kernel)
    return TrainedValidator(ValidatorNetwork(projection, tuple(heads)), examples.basis, fits)
