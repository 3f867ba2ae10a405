"""The verb ``train``: check a grid, train emulator and validator on it, measure both, register both."""

import argparse
import hashlib
import json
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stellar_emulator import tracking
from stellar_emulator.accuracy import accuracy_table
from stellar_emulator.bundle import save_emulator, save_validator
from stellar_emulator.contract import Contract, read_contract
from stellar_emulator.errors import InputError
from stellar_emulator.evaluation import Evaluation, evaluate, read_part
from stellar_emulator.flux_error import flux_error_table
from stellar_emulator.gallery import evaluation_figures, training_figures
from stellar_emulator.grid.source import Source, open_source
from stellar_emulator.grid.split import PARTS, SplitRows, split_rows
from stellar_emulator.grid.store import run_hashes
from stellar_emulator.jobs.publish import publish
from stellar_emulator.jobs.stages import Stages
from stellar_emulator.jobs.validation import require_validated, say
from stellar_emulator.lock import locked, make_folder
from stellar_emulator.networks.judging import TrainedValidator, train_judges
from stellar_emulator.networks.learning import TrainedEmulator, reconstruct, train_emulator
from stellar_emulator.networks.preset import Preset, read_preset
from stellar_emulator.registry import Registered, register_emulator, register_validator

HASH_DIGITS = 16
"""Of each run's hash, kept in the model's folder so that nobody is judged on what it was trained on."""

_DECIDES_TRAINING = {"labels", "wavelength", "intrinsic", "instrument", "sampling", "split"}
"""Fields of a contract that the networks depend on, beside the grid."""


def run(options: argparse.Namespace) -> None:
    """Train and register a pair; ``output`` keeps the state of a killed training, and the files that people read."""
    contract, preset = read_contract(options.contract), read_preset(options.preset)
    store = tracking.connect()
    make_folder(options.output)
    with locked(options.output), tracking.start_job(f"train {preset.name}", options.output) as parent:
        parent.log_settings({"contract": contract.digest, "seed": options.seed, "preset": preset.model_dump()})
        source = open_source(options.grid, contract, options.output / "grids")
        validation_run = require_validated(source.grid, contract, options.output)
        hashes = run_hashes(source.grid, contract)
        split = split_rows(contract, hashes)
        require_parts(split, contract)
        parent.log_dataset(contract.name, source.grid.digest, source.grid.path, "training")
        folder = options.output / "networks" / _training_key(contract, preset, options.seed, source)
        with Stages() as stages:
            emulator = train_emulator(
                source.grid, source.intrinsic, split, contract, preset, options.seed, folder, stages
            )
            judges = train_judges(source.grid, split, contract, preset.validator, folder, stages)
        say("measuring both models on unseen runs, drawing figures")
        evaluation = _evaluate(contract, source, split, emulator, judges[0], options.seed)
        fits = {**emulator.fits, **judges[0].fits}
        figures = evaluation_figures(contract, evaluation) | training_figures(contract, fits, source.grid.labels)
        publish(parent, contract, evaluation, figures, options.output)
        seen = _short_hashes(hashes[np.concatenate([split.train, split.validation])])
        metadata = {
            "preset": preset.model_dump(mode="json"),
            "seed": options.seed,
            "grid_digest": source.grid.digest,
            "test_set": evaluation.test.digest,
            "run_id": parent.run_id,
            "validation_run_id": validation_run,
            "seen_runs": seen,
            "test_runs": _short_hashes(hashes[split.test]),
        }
        parent.log_json(seen, "seen_runs.json")
        say(f"registering both models in {store}")
        pair = _register(contract, emulator, judges, metadata, options.output)
    print(f"\n{accuracy_table(contract, evaluation.accuracy)}\n\n{flux_error_table(evaluation.flux_error)}\n")
    for registered in pair:
        print(f"registered {registered.uri} in {store}")
    print(f"files and figures: {options.output}")


def require_parts(split: SplitRows, contract: Contract) -> None:
    """Refuse a grid with too few runs to split. Raises `InputError`."""
    empty = [part for part in PARTS if not len(split[part])]
    if empty:
        raise InputError(
            f"the grid has too few runs: split by run, none falls into {' and '.join(empty)} "
            f"({contract.split.train:.0%} of the runs train): give it some tens of runs at least"
        )


def _training_key(contract: Contract, preset: Preset, seed: int, source: Source) -> str:
    """Name of the folder that keeps a training's state: whatever changes the networks changes it."""
    parts = [
        contract.model_dump_json(include=_DECIDES_TRAINING),
        preset.model_dump_json(),
        str(seed),
        source.grid.digest,
        os.environ.get("KERAS_BACKEND", ""),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def _short_hashes(hashes: NDArray[np.str_]) -> list[str]:
    """The first `HASH_DIGITS` of each run's hash, once for each run."""
    return [str(value)[:HASH_DIGITS] for value in np.unique(hashes)]


def _evaluate(
    contract: Contract,
    source: Source,
    split: SplitRows,
    emulator: TrainedEmulator,
    validator: TrainedValidator,
    seed: int,
) -> Evaluation:
    parts = {part: read_part(source.grid, split[part], contract.sampling.seed) for part in PARTS}
    return evaluate(
        contract,
        emulator.network,
        validator.network,
        parts,
        seed,
        reconstruct(emulator, contract, source.intrinsic, parts["test"]),
        lambda flux: validator.basis.restore(validator.basis.project(flux)),
    )


def _register(
    contract: Contract,
    emulator: TrainedEmulator,
    judges: tuple[TrainedValidator, ...],
    metadata: dict[str, object],
    output: Path,
) -> tuple[Registered, Registered]:
    """Save and register both models; the emulator's version names its validator's in a tag."""
    models = output / "models"
    save_emulator(models / "emulator", emulator.network, contract, metadata)
    folders = [models / ("validator" if not number else f"judge_{number + 1}") for number in range(len(judges))]
    for folder, judge in zip(folders, judges, strict=True):
        save_validator(folder, judge.network, contract, metadata)
    tags = {name: str(metadata[name]) for name in ("grid_digest", "test_set", "run_id", "validation_run_id", "seed")}
    validator = register_validator(folders[0], tags, folders[1:])
    return register_emulator(models / "emulator", {**tags, "validator_version": str(validator.version)}), validator
