"""Collects the evidence that spectra do not show: the origin of models and grids, and runs seen by each model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import mlflow
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from stellar_emulator.contract.contract import Contract
from stellar_emulator.gate.evidence import Evidence
from stellar_emulator.gate.leaks import near_runs, rounded_hashes
from stellar_emulator.grid.known_runs import RUN_LABELS, from_text, unique_run_labels
from stellar_emulator.grid.sampling import run_hash
from stellar_emulator.grid.store import Grid
from stellar_emulator.networks.preset import read_preset
from stellar_emulator.promotion.candidates import RegisteredPair, preset_digest

PINNED_PRESET = "default"
"""Its section ``validator`` is the architecture that every judge must have."""

SMOKE = "smoke"
"""The preset whose models are never promoted."""

VALIDATION_RUN = "validation_run_id"
"""Tag of a registered version: the run in which its training grid was checked."""


@dataclass(frozen=True)
class Origin:
    """What a pair's models say of their training; fields as of `gate.evidence.Evidence`."""

    smoke: bool
    contract_digests: Mapping[str, str]
    validation_passed: bool


def origin(contract: Contract, challenger: RegisteredPair) -> Origin:
    """How a challenger was trained, as its models and the check of its training grid say."""
    models = challenger.models
    validation = _validation_run(challenger)
    digests = {name: model.contract.digest for name, model in models.items()}
    checked = validation.data.tags.get("contract", "") if validation else ""
    return Origin(
        smoke=SMOKE in {model.metadata["preset"]["name"] for model in models.values()},
        contract_digests={"contract": contract.digest, **digests, "training grid": checked},
        validation_passed=_passed(validation, challenger, contract),
    )


def gather(contract: Contract, gate: Grid, challenger: RegisteredPair, attempts_before: int) -> Evidence:
    """Facts about a challenger and a gate set that obeys the contract."""
    told = origin(contract, challenger)
    pinned = preset_digest(read_preset(PINNED_PRESET).validator.model_dump(mode="json"))
    seeds = challenger.judges[0].metadata["preset"]["validator"]["seeds"]
    distinct = len({judge.digest for judge in challenger.judges})
    return Evidence(
        smoke=told.smoke,
        contract_digests=told.contract_digests,
        judge_presets={f"preset {PINNED_PRESET}": pinned, **challenger.judge_presets()},
        leaked_runs=len(leaked_runs(contract, gate, challenger)),
        validation_passed=told.validation_passed,
        attempts_before=attempts_before,
        judge_seeds=tuple(seeds[:distinct]),
    )


def leaked_runs(contract: Contract, gate: Grid, challenger: RegisteredPair) -> Sequence[str]:
    """Hashes of gate runs that any of the models saw in training, validation or test, as they are or nearly so.

    Models tell the labels of their runs, and runs too near to be others count. Those that were trained before they told
    them have hashes alone, which are compared with those of the gate's labels as they are and rounded.
    """
    own = unique_run_labels(gate, contract)
    known = [model.metadata for model in challenger.models.values()]
    seen = {value for metadata in known for part in ("seen_runs", "test_runs") for value in metadata[part]}
    digits = {len(value) for value in seen}
    near = set[int]()
    for text in {metadata[RUN_LABELS] for metadata in known if RUN_LABELS in metadata}:
        near |= set(near_runs(contract, own, from_text(text, contract)).tolist())
    rounded = enumerate(rounded_hashes(contract, own))
    near |= {place for place, hashes in rounded if any(value[:count] in seen for value in hashes for count in digits)}
    hashes = run_hash(own)
    return sorted(hashes[place] for place in near)


def _validation_run(challenger: RegisteredPair) -> Run | None:
    """The run that the emulator's version names; None if it names none or that is gone."""
    run_id = challenger.tags.get(VALIDATION_RUN)
    if run_id is None:
        return None
    try:
        return mlflow.MlflowClient().get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


def _passed(validation: Run | None, challenger: RegisteredPair, contract: Contract) -> bool:
    """Whether the grid that all the models were trained on was checked, by this contract, and passed."""
    if validation is None or validation.info.lifecycle_stage != "active":
        return False
    grids = {model.metadata["grid_digest"] for model in challenger.models.values()}
    wanted = {"passed": "true", "contract": contract.digest}
    return wanted.items() <= validation.data.tags.items() and grids == {validation.data.tags.get("grid_digest")}
