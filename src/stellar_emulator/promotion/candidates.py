"""Registered pairs as the gate wants them: every file as it was saved, and the very models that were registered."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import mlflow
from mlflow.exceptions import MlflowException

from stellar_emulator.contract.contract import ModelNames
from stellar_emulator.errors import InputError
from stellar_emulator.gate.candidate import Candidate
from stellar_emulator.models.emulator import Emulator
from stellar_emulator.models.validator import Validator
from stellar_emulator.promotion.champion import VALIDATOR_VERSION, Pair
from stellar_emulator.registry.read import resolve, resolve_judges
from stellar_emulator.saved.rebuilt import require_graph_of_weights

PAIRED = "paired"
"""Stands for the validator that an emulator's version names itself."""


@dataclass(frozen=True)
class RegisteredPair:
    """A pair with its models loaded; judges: the validator first; tags: of the emulator's version."""

    pair: Pair
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


def preset_digest(validator: Mapping[str, object]) -> str:
    """SHA-256 of a preset's section ``validator``."""
    return hashlib.sha256(json.dumps(validator, sort_keys=True).encode()).hexdigest()


def choose(models: ModelNames, emulator: str, validator: str) -> Pair:
    """Find the versions that a user names: numbers, aliases or ``latest``; for the validator ``paired`` too.

    Raises
    ------
    InputError
        If the registry has no such version, or the emulator's names no validator.
    """
    version = _version(models.emulator, emulator)
    if validator != PAIRED:
        return Pair(version, _version(models.validator, validator))
    named = mlflow.MlflowClient().get_model_version(models.emulator, str(version)).tags.get(VALIDATOR_VERSION, "")
    if not named:
        raise InputError(f"{models.emulator} version {version} names no validator: give one with --validator")
    return Pair(version, _version(models.validator, named))


def load_pair(models: ModelNames, pair: Pair) -> RegisteredPair:
    """Load both models and the validator's siblings.

    Raises
    ------
    InputError
        If a file was changed since it was saved, a model is not the one that was registered, or its graph is not what
        its weights say; the message names it.
    """
    emulator = Emulator.load(resolve(models.emulator, str(pair.emulator)))
    judges = tuple(Validator.load(folder) for folder in resolve_judges(models.validator, str(pair.validator)))
    for model in (emulator, *judges):
        require_graph_of_weights(model.bundle)
    tags = mlflow.MlflowClient().get_model_version(models.emulator, str(pair.emulator)).tags
    return RegisteredPair(pair, emulator, judges, tags)


def _version(name: str, which: str) -> int:
    """Number of a version. Raises `InputError` if the registry has none such."""
    client = mlflow.MlflowClient()
    try:
        if which == "latest":
            return max(int(found.version) for found in client.search_model_versions(f"name='{name}'"))
        by_number = which.isdecimal()
        found = client.get_model_version(name, which) if by_number else client.get_model_version_by_alias(name, which)
        return int(found.version)
    except (MlflowException, ValueError):
        resolve(name, which)  # Its message lists the versions and aliases that there are.
        raise
