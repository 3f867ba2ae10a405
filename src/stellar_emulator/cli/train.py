"""The verb ``train``: check a grid, train emulator and validator on it, measure both, register both."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.cli.settings import Train
from stellar_emulator.contract.contract import Contract, read_contract
from stellar_emulator.errors import InputError
from stellar_emulator.evaluation.accuracy import accuracy_table
from stellar_emulator.evaluation.evaluation import Evaluation, evaluate, read_part
from stellar_emulator.evaluation.flux_error import flux_error_table
from stellar_emulator.evaluation.measured import emulator_measures, validator_measures
from stellar_emulator.evaluation.model_card import NAME
from stellar_emulator.figures.gallery import evaluation_figures, training_figures
from stellar_emulator.grid.departures.departures import stated
from stellar_emulator.grid.known_runs import RUN_LABELS, as_text, from_text, unique_run_labels
from stellar_emulator.grid.source import Source, open_source
from stellar_emulator.grid.split import PARTS, SplitRows, about_few, split_rows
from stellar_emulator.grid.store import run_hashes
from stellar_emulator.models.pair import find_model
from stellar_emulator.networks.inference import ExactEmulatorNetwork
from stellar_emulator.networks.other_axis import on_axis
from stellar_emulator.networks.preset import AnyPreset, read_any_preset
from stellar_emulator.registry import tracking
from stellar_emulator.registry.publish_evaluation import publish
from stellar_emulator.registry.read import VALIDATOR_VERSION
from stellar_emulator.registry.register import Registered, register_emulator, register_validator
from stellar_emulator.registry.stages import Stages
from stellar_emulator.registry.write_card import facts, write_card
from stellar_emulator.saved.bundle import Arrays, Bundle, read_bundle, read_network, save_emulator, save_validator
from stellar_emulator.system.files import write_file
from stellar_emulator.system.job_clock import Expected, JobClock
from stellar_emulator.system.lock import locked, make_folder
from stellar_emulator.system.say import say
from stellar_emulator.training.cross_validation import (
    FEW_RUNS,
    cross_validate,
    cross_validation_rows,
    cross_validation_table,
    label_errors,
)
from stellar_emulator.training.expected_times import expected_times
from stellar_emulator.training.train_emulator import TrainedEmulator, reconstruct, train_emulator
from stellar_emulator.training.train_validator import TrainedValidator, train_judges
from stellar_emulator.validation.validated import require_validated

SEARCH_RUN = "search_run"
"""Tag of a training's run and of its models: the run of the search that found the preset."""

HASH_DIGITS = 16
"""Digits of each run's hash that a model's folder keeps, so that no model is judged on its training runs."""

BY_GRID = "grid"
"""Word for the preset that suits the grid."""

CROSS_VALIDATION = "cross_validation.json"
"""File of the errors by cross-validation, for grids of few runs."""

NEW = "new"
"""Word for networks that are yet to be trained."""

_DECIDES_TRAINING = {"labels", "wavelength", "intrinsic", "instrument", "limb_darkening", "sampling", "split"}
"""Fields of a contract on which the networks depend, besides the grid."""


@dataclass(frozen=True)
class Lent:
    """Trained networks of another emulator, in the folder ``lender``, that also serve this training's contract."""

    lender: Bundle
    network: ExactEmulatorNetwork


def run(options: Train) -> None:
    """Train and register a pair; ``output`` keeps the state of a killed training, and the files for readers."""
    contract, asked = read_contract(options.contract), _preset_asked(options.preset)
    store = tracking.connect()
    make_folder(options.output)
    job, clock = "train" if asked is None else f"train {asked.name}", JobClock()
    with locked(options.output), tracking.start_job(job, options.output) as parent:
        clock.begin("grid")
        source = open_source(options.grid, contract, options.output / "grids")
        preset = asked or _preset_for(source, contract)
        clock.expect(_expected_times(options, contract, preset, source))
        parent.log_settings({"contract": contract.digest, "seed": options.seed, "preset": preset.model_dump()})
        if preset.search_run is not None:
            parent.set_tags({SEARCH_RUN: preset.search_run})
        clock.begin("check")
        validation_run = require_validated(source.grid, contract, options.output)
        hashes = run_hashes(source.grid, contract)
        split = split_rows(contract, hashes)
        require_parts(split, contract)
        parent.log_dataset(contract.name, source.grid.digest, source.grid.path, "training")
        runs: dict[str, Any] = {
            "seen_runs": _short_hashes(hashes[np.concatenate([split.train, split.validation])]),
            "test_runs": _short_hashes(hashes[split.test]),
            RUN_LABELS: as_text(unique_run_labels(source.grid, contract)),
        }
        lent = None if options.networks == NEW else _lent(options, contract, runs["test_runs"])
        emulator, judges = _trained(options, contract, preset, source, split, lent, clock)
        clock.begin("measuring")
        for note in about_few(contract, hashes):
            say(f"warning: {note}")
        say(f"measuring both models on unseen runs, drawing figures; {clock.remark}")
        evaluation = _evaluate(contract, source, split, emulator, judges[0], options.seed)
        clock.begin("figures and registration")
        fits = {**emulator.fits, **judges[0].fits}
        figures = evaluation_figures(contract, evaluation) | training_figures(contract, fits, source.grid.labels)
        publish(parent, contract, evaluation, figures, options.output)
        metadata = {
            "preset": preset.model_dump(mode="json"),
            "seed": options.seed,
            "grid_digest": source.grid.digest,
            "test_set": evaluation.test.digest,
            "run_id": parent.run_id,
            "validation_run_id": validation_run,
            **runs,
        }
        whose = {"emulator": _borrowed(metadata, lent), "validator": metadata}
        parent.log_json(whose["emulator"]["seen_runs"], "seen_runs.json")
        say(f"registering both models in {store}")
        measured = _measured(contract, evaluation, judges[0])
        pair = _register(contract, emulator, judges, whose, measured, preset.search_run, options.output)
        stated = facts(source.grid, hashes, split, whose, pair)
        write_card(parent, contract, stated, evaluation, figures, pair, options.output)
        tables = f"{accuracy_table(contract, evaluation.accuracy)}\n\n{flux_error_table(evaluation.flux_error)}"
        if contract.sampling.on_nodes and lent is None and len(np.unique(hashes)) < FEW_RUNS:
            clock.begin("cross-validation")
            tables = _cross_validated(options, contract, preset, source, hashes, parent)
        clock.end()
        parent.log_metrics({f"seconds.{stage}": seconds for stage, seconds in clock.seconds.items()})
    print(f"\n{tables}\n\n{clock.table}\n")
    for registered in pair:
        print(f"registered {registered.uri} in {store}")
    print(f"files and figures: {options.output} ({NAME} sums them up)")


def _expected_times(options: Train, contract: Contract, preset: AnyPreset, source: Source) -> dict[str, Expected]:
    runs = len(np.unique(source.grid.run_id))
    return expected_times(contract, preset, source.grid.rows, runs, lent=options.networks != NEW)


def _preset_asked(name: str) -> AnyPreset | None:
    """The preset that a user names; None leaves the choice to the grid."""
    return None if name == BY_GRID else read_any_preset(name)


def _preset_for(source: Source, contract: Contract) -> AnyPreset:
    """The preset for a grid: of the exact family if it has intrinsic spectra, and for few runs if it has few nodes."""
    few = contract.sampling.on_nodes and len(np.unique(source.grid.run_id)) < FEW_RUNS
    names = ("few", "default") if source.intrinsic is not None else ("few_learned", "learned")
    preset = read_any_preset(names[0] if few else names[1])
    say(f"preset {preset.name}, for {'few' if few else 'many'} runs, {preset.family} broadening")
    return preset


def _cross_validated(
    options: Train,
    contract: Contract,
    preset: AnyPreset,
    source: Source,
    hashes: NDArray[np.str_],
    run: tracking.TrackedRun,
) -> str:
    """Cross-validate a training, keep the errors, and return the table for readers."""
    say(f"{len(np.unique(hashes))} runs are too few for a test part: cross-validating")
    folder = options.output / "networks" / _training_key(contract, preset, options.seed, source)
    found = cross_validate(
        source.grid,
        source.intrinsic,
        hashes,
        contract,
        preset,
        options.seed,
        folder,
        lambda _: lambda epoch, values: None,
    )
    rows, labels = cross_validation_rows(contract, source.grid, found), label_errors(contract, source.grid, found)
    told = {"folds": found.folds, "runs": found.runs, "flux_error": rows, "label_rmse": labels}
    write_file(options.output / CROSS_VALIDATION, json.dumps(told, indent=1))
    run.log_file(options.output / CROSS_VALIDATION)
    return cross_validation_table(contract, rows, labels, found)


def _trained(
    options: Train,
    contract: Contract,
    preset: AnyPreset,
    source: Source,
    split: SplitRows,
    lent: Lent | None,
    clock: JobClock,
) -> tuple[TrainedEmulator, tuple[TrainedValidator, ...]]:
    """The trained emulator and validators; the emulator's networks may come from another emulator."""
    folder = options.output / "networks" / _training_key(contract, preset, options.seed, source)
    with Stages(clock) as stages:
        if lent is None:
            emulator = train_emulator(
                source.grid, source.intrinsic, split, contract, preset, options.seed, folder, stages
            )
        else:
            emulator = TrainedEmulator(lent.network, None, None, {})
        return emulator, train_judges(source.grid, split, contract, preset.validator, folder, stages)


def _lent(options: Train, contract: Contract, test_runs: list[str]) -> Lent:
    """The networks of an emulator. Raises `InputError` if they don't fit, or were trained on runs of the test part."""
    lender = read_bundle(find_model(options.networks, "emulator", options.contract), "emulator")
    network = on_axis(read_network(lender), contract)
    known = len(set(test_runs) & set(lender.metadata["seen_runs"]))
    if known:
        raise InputError(
            f"{lender.folder} was trained on {known} of the runs that would test it: take networks trained on this "
            "grid's own training runs, or train new ones"
        )
    say(f"taking the networks of {lender.folder}, trained by contract {lender.contract.name}")
    return Lent(lender, network)


def _borrowed(metadata: dict[str, Any], lent: Lent | None) -> dict[str, Any]:
    """Metadata of an emulator whose networks come from another one: their training data and method."""
    if lent is None:
        return metadata
    theirs = lent.lender.metadata
    parts = ("seen_runs", "test_runs")
    runs: dict[str, Any] = {name: sorted({*metadata[name], *theirs[name]}) for name in parts}
    own, more = metadata.get(RUN_LABELS), theirs.get(RUN_LABELS)
    if own and more:
        both = [from_text(text, lent.lender.contract) for text in (own, more)]
        runs[RUN_LABELS] = as_text(np.unique(np.concatenate(both), axis=0))
    return {**metadata, **runs, "preset": theirs["preset"], "seed": theirs["seed"], "networks_of": lent.lender.digest}


def require_parts(split: SplitRows, contract: Contract) -> None:
    """Refuse a grid with too few runs to split. Raises `InputError`."""
    empty = [part for part in PARTS if not len(split[part])]
    if empty:
        raise InputError(
            f"the grid has too few runs: split by run, none falls into {' and '.join(empty)} "
            f"({contract.split.train:.0%} of the runs train): give it some tens of runs at least, or state "
            "sampling: {runs: nodes} in the contract, which tests few runs by cross-validation"
        )


def _training_key(contract: Contract, preset: AnyPreset, seed: int, source: Source) -> str:
    """Name of the folder that keeps a training's state: everything that changes the networks changes the name."""
    parts = [
        contract.model_dump_json(include=_DECIDES_TRAINING),
        *(str(each) for each in stated(contract).values()),
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


def _measured(contract: Contract, evaluation: Evaluation, validator: TrainedValidator) -> dict[str, Arrays]:
    """Errors of both models on the test set, to be kept in their folders."""
    test, (projection, *_) = evaluation.test, validator.network.projection.layers
    return {
        "emulator": emulator_measures(contract, test.labels, test.flux, evaluation.generated),
        "validator": validator_measures(
            contract, validator.network, validator.basis.mean, projection.kernel, test.labels, test.flux
        ),
    }


def _register(
    contract: Contract,
    emulator: TrainedEmulator,
    judges: tuple[TrainedValidator, ...],
    metadata: dict[str, dict[str, Any]],
    measured: dict[str, Arrays],
    search_run: str | None,
    output: Path,
) -> tuple[Registered, Registered]:
    """Save and register both models; the emulator's version names its validator's in a tag."""
    models = output / "models"
    save_emulator(models / "emulator", emulator.network, contract, metadata["emulator"], measured["emulator"])
    folders = [models / ("validator" if not number else f"judge_{number + 1}") for number in range(len(judges))]
    for folder, judge in zip(folders, judges, strict=True):
        # The siblings only judge; their errors are not needed.
        told = measured["validator"] if judge is judges[0] else None
        save_validator(folder, judge.network, contract, metadata["validator"], told)
    noted = ("grid_digest", "test_set", "run_id", "validation_run_id", "seed")
    tags = {name: str(metadata["validator"][name]) for name in noted}
    if search_run is not None:
        tags[SEARCH_RUN] = search_run
    validator = register_validator(folders[0], tags, folders[1:])
    return register_emulator(models / "emulator", {**tags, VALIDATOR_VERSION: str(validator.version)}), validator
