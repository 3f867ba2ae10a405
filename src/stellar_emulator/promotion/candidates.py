"""Registered pairs as the gate wants them: every file as it was saved, and the very models that were registered."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
from mlflow.entities.model_registry import ModelVersion
from numpy.typing import NDArray

from stellar_emulator.contract.contract import ModelNames
from stellar_emulator.contract.hull import within_hull
from stellar_emulator.errors import InputError
from stellar_emulator.gate.candidate import Candidate
from stellar_emulator.models.emulator import FLUX_TOLERANCE, Emulator
from stellar_emulator.models.pair import CHAMPION, LATEST, SAME, shipped_names
from stellar_emulator.models.validator import LABEL_TOLERANCE, Validator
from stellar_emulator.promotion.champion import PairVersions
from stellar_emulator.registry.read import (
    MODELS,
    RUNS,
    VALIDATOR_VERSION,
    aliased,
    find_version,
    resolve_judges,
    version_at,
)
from stellar_emulator.saved.rebuilt import require_graph_of_weights, require_rows_alone

ROWS_COMPARED = 70
"""Rows that a model answers one by one and all at once; more than pass through a network together."""


@dataclass(frozen=True)
class RegisteredPair:
    """A pair with its models loaded; judges: the validator first; tags: of the emulator's version."""

    pair: PairVersions
    emulator: Emulator
    judges: tuple[Validator, ...]
    tags: Mapping[str, str]

    @property
    def models(self) -> dict[str, Emulator | Validator]:
        """All models by what people call them."""
        judges = {f"judge {number}": judge for number, judge in enumerate(self.judges[1:], start=2)}
        return {"emulator": self.emulator, "validator": self.judges[0], **judges}

    def candidate(self) -> Candidate:
        """The same for the gate: networks without checks of labels and flux."""
        return Candidate(self.emulator.network, tuple(judge.network for judge in self.judges))

    def judge_presets(self) -> dict[str, str]:
        """Digest of each judge's architecture and training, by what people call it."""
        return {
            name: preset_digest(model.metadata["preset"]["validator"])
            for name, model in self.models.items()
            if isinstance(model, Validator)
        }


def require_training_noted(pair: RegisteredPair) -> None:
    """Return if all models say how they were trained. Raises `InputError`, naming what is missing."""
    for what, model in pair.models.items():
        noted = model.metadata
        for name, kind in (("preset", Mapping), ("grid_digest", str), ("seen_runs", list), ("test_runs", list)):
            if not isinstance(noted.get(name), kind):
                raise InputError(f"the {what} says no {name} of its training: promote a pair that `train` registered")
        preset = noted["preset"]
        if not isinstance(preset.get("validator"), Mapping) or "name" not in preset:
            raise InputError(f"the {what} says no preset of its training: promote a pair that `train` registered")
    if not isinstance(pair.judges[0].metadata["preset"]["validator"].get("seeds"), list):
        raise InputError("the validator says no seeds of its training: promote a pair that `train` registered")


def preset_digest(validator: Mapping[str, object]) -> str:
    """SHA-256 of a preset's section ``validator``."""
    return hashlib.sha256(json.dumps(validator, sort_keys=True).encode()).hexdigest()


def choose(models: ModelNames, emulator: str, validator: str) -> PairVersions:
    """Find the versions that a user names: numbers, aliases, ``latest``, addresses; for the validator ``paired`` too.

    Raises
    ------
    InputError
        If the registry has no such version, it is of another model than the contract's, or the emulator's names no
        validator.
    """
    version = _version(models.emulator, emulator)
    if validator not in SAME:
        return PairVersions(int(version.version), int(_version(models.validator, validator).version))
    named = version.tags.get(VALIDATOR_VERSION, "")
    if not named.isdecimal():
        raise InputError(f"{models.emulator} version {version.version} names no validator: give one with --validator")
    return PairVersions(int(version.version), int(_version(models.validator, named).version))


def load_pair(models: ModelNames, pair: PairVersions) -> RegisteredPair:
    """Load both models and the validator's siblings.

    Raises
    ------
    InputError
        If a file was changed since it was saved, a model is not the one that was registered, or its graph is not what
        its weights say; the message names it.
    """
    (folder,) = resolve_judges(models.emulator, str(pair.emulator), afresh=True)
    emulator = Emulator.load(folder)
    judges = tuple(Validator.load(folder) for folder in resolve_judges(models.validator, str(pair.validator), True))
    labels = _drawn(emulator)
    flux = emulator.network(labels)
    require_graph_of_weights(emulator.bundle)
    require_rows_alone(emulator.bundle, emulator.network, labels, FLUX_TOLERANCE)
    for judge in judges:
        require_graph_of_weights(judge.bundle)
        require_rows_alone(judge.bundle, judge.network, flux, LABEL_TOLERANCE)
    tags = mlflow.MlflowClient().get_model_version(models.emulator, str(pair.emulator)).tags
    return RegisteredPair(pair, emulator, judges, tags)


def _drawn(emulator: Emulator) -> NDArray[np.float64]:
    """Labels (n, labels) in the box and its hull, which nobody could know when the model was made: its digest draws
    them."""
    shares = np.random.default_rng(int(emulator.digest, 16)).random((ROWS_COMPARED, len(emulator.contract.labels)))
    box = emulator.contract.lower + shares * (emulator.contract.upper - emulator.contract.lower)
    # Beyond the hull there are no runs, and a network answers with numbers of any size, rounded accordingly.
    return within_hull(emulator.contract, box)


def _version(name: str, which: str) -> ModelVersion:
    """A version of the contract's model. Raises `InputError` if the registry has none such."""
    if which == name:
        return aliased(name, CHAMPION) or find_version(name, LATEST)
    if not which.startswith((MODELS, RUNS)):
        if which in shipped_names() or Path(which).is_dir():
            raise InputError(
                f"{which} is no version of the registered model {name}, and the gate judges no others: give latest, "
                "a version, an alias or models:/NAME/3"
            )
        return find_version(name, which)
    version = version_at(which)
    if version is None or version.name != name:
        raise InputError(f"{which} is no version of {name}, the registered model of this contract: name its own one")
    return version
