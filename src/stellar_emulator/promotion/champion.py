"""The pointer to what serves: the alias ``champion`` of the emulator, whose version names its validator in a tag.

Setting that alias is the one write that changes what serves. The aliases of the validator are derived from it, so that
people find the pair in the registry's pages; where a crash left them behind, the next command sets them right.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException

from stellar_emulator.contract.contract import ModelNames
from stellar_emulator.errors import InputError
from stellar_emulator.promotion.audit import Link
from stellar_emulator.promotion.lease import Lease
from stellar_emulator.registry.read import VALIDATOR_VERSION
from stellar_emulator.registry.tracking import TrackedRun

CHAMPION = "champion"
PREVIOUS = "previous"

PROMOTED_BY = "promoted_by"
"""Tag of an emulator's version: the run that holds the decision by which it became champion."""

JUDGED_BY = "judged_by"
"""Tag of an emulator's version and of a decision's run, where the contract has no gate: what the pair was judged by."""


@dataclass(frozen=True)
class PairVersions:
    """Versions of an emulator and of its validator."""

    emulator: int
    validator: int

    def __str__(self) -> str:
        return f"emulator {self.emulator} with validator {self.validator}"


@dataclass(frozen=True)
class State:
    """What serves, and what served before it."""

    champion: PairVersions | None
    previous: PairVersions | None

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a decision's record."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "State":
        """Read what `to_dict` gave."""
        champion, previous = (content[alias] and PairVersions(**content[alias]) for alias in (CHAMPION, PREVIOUS))
        return cls(champion, previous)


def moves_of(link: Link) -> tuple[State, State]:
    """What served before and after a decision that moves aliases. Raises `InputError` if its record doesn't say it."""
    content = link.content()
    try:
        return State.from_dict(content["before"]), State.from_dict(content["after"])
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{link}: its record does not say what it moves") from error


def read_state(models: ModelNames) -> State:
    """Read the pairs that the emulator's aliases point to.

    Raises
    ------
    InputError
        If no emulator is registered, or a version that an alias points to names no validator.
    """
    aliases = aliases_of(models)
    return State(*(_pair(models, str(aliases[alias])) if alias in aliases else None for alias in (CHAMPION, PREVIOUS)))


def aliases_of(models: ModelNames) -> dict[str, str]:
    """Versions of the emulator by alias. Raises `InputError` if no emulator is registered."""
    try:
        return dict(mlflow.MlflowClient().get_registered_model(models.emulator).aliases)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise InputError(
            f"no model {models.emulator} is registered in {mlflow.get_tracking_uri()}: train one, or set "
            "MLFLOW_TRACKING_URI"
        ) from error


def _pair(models: ModelNames, emulator: str) -> PairVersions:
    tag = mlflow.MlflowClient().get_model_version(models.emulator, emulator).tags.get(VALIDATOR_VERSION, "")
    if not tag.isdecimal():
        raise InputError(
            f"{models.emulator} version {emulator} has an alias but no tag {VALIDATOR_VERSION}: "
            "it was not promoted by stellar-emulator; remove the alias"
        )
    return PairVersions(int(emulator), int(tag))


def move(models: ModelNames, after: State, decided_by: str, lock: Lease) -> None:
    """Make ``after`` what serves; repeating it, in whole or after a crash, changes nothing more.

    decided_by: the run that holds the decision. The lock is looked at before each write that readers could notice.
    """
    client = mlflow.MlflowClient()
    champion = after.champion
    if champion is None:
        raise ValueError("there is no decision that leaves no champion")
    version = str(champion.emulator)
    tags = {VALIDATOR_VERSION: str(champion.validator), PROMOTED_BY: decided_by}
    present = client.get_model_version(models.emulator, version).tags
    lock.require()
    for name, value in tags.items():
        if present.get(name) != value:
            client.set_model_version_tag(models.emulator, version, name, value)
    lock.require()
    _point(models.emulator, CHAMPION, champion.emulator)
    _point(models.emulator, PREVIOUS, after.previous.emulator if after.previous else None)
    derive(models)


def note_judged(models: ModelNames, pair: PairVersions, job: TrackedRun, how: str) -> None:
    """Say in a decision's run and at the emulator's version by what a pair without a gate was judged."""
    job.set_tags({JUDGED_BY: how})
    mlflow.MlflowClient().set_model_version_tag(models.emulator, str(pair.emulator), JUDGED_BY, how)


def derive(models: ModelNames) -> bool:
    """Point the validator's aliases at the pairs that the emulator's point at; tell whether any had to be moved."""
    state = read_state(models)
    moved = [
        _point(models.validator, alias, pair.validator if pair else None)
        for alias, pair in ((CHAMPION, state.champion), (PREVIOUS, state.previous))
    ]
    return any(moved)


def _point(name: str, alias: str, version: int | None) -> bool:
    """Set or remove an alias where it is not as wanted; tell whether it was not."""
    client = mlflow.MlflowClient()
    present = client.get_registered_model(name).aliases.get(alias)
    # A database gives numbers, a server text.
    if version == (None if present is None else int(present)):
        return False
    if version is None:
        client.delete_registered_model_alias(name, alias)
    else:
        client.set_registered_model_alias(name, alias, str(version))
    return True
