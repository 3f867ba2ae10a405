"""What promotions and rollbacks share: a decision is kept first, then carried out."""

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow

from stellar_emulator.contract.contract import ModelNames
from stellar_emulator.errors import InputError
from stellar_emulator.promotion import audit
from stellar_emulator.promotion.champion import PROMOTED_BY, PairVersions, State, move
from stellar_emulator.promotion.lease import Lease
from stellar_emulator.registry.read import VALIDATOR_VERSION
from stellar_emulator.registry.tracking import TrackedRun, provenance
from stellar_emulator.system.files import write_file


def begin(models: ModelNames, job: TrackedRun) -> list[audit.Link]:
    """The decisions that a new one follows.

    Raises
    ------
    InputError
        If the job's run lies in another experiment than they do.
    SetupError
        If they are signed and this command can't sign.
    """
    known = audit.trail(models.emulator)
    audit.require_own_experiment(models.emulator, job.run_id, known)
    audit.require_signer(known)
    return known.links


def following(kind: str, job: TrackedRun, links: list[audit.Link]) -> dict[str, Any]:
    """First fields of a record: its place in the chain, who, when, and with what versions."""
    user = mlflow.MlflowClient().get_run(job.run_id).data.tags.get("mlflow.user", "unknown")
    return {
        "kind": kind,
        **audit.following(links),
        "who": f"{user}@{platform.node()}",
        "run_id": job.run_id,
        "provenance": provenance(),
    }


def keep(
    models: ModelNames, job: TrackedRun, record: Mapping[str, Any], page: str | None, output: Path, lock: Lease
) -> None:
    """Write a decision to its run, to the chain and to ``output``; then carry it out if it moves anything."""
    client = mlflow.MlflowClient()
    if page is not None:
        client.log_text(job.run_id, page, audit.PAGE)
    lock.require()
    link = audit.append(models.emulator, job.run_id, record, lock.announce)
    write_file(output / audit.RECORD, link.read())
    if page is not None:
        write_file(output / audit.PAGE, page)
    if link.moves:
        move(models, State.from_dict(record["after"]), job.run_id, lock)
        audit.finish(link)
    lock.settled()


def require_new_pairing(models: ModelNames, pair: PairVersions) -> None:
    """Refuse to give an emulator that was promoted another validator. Raises `InputError`."""
    tags = mlflow.MlflowClient().get_model_version(models.emulator, str(pair.emulator)).tags
    if PROMOTED_BY in tags and tags[VALIDATOR_VERSION] != str(pair.validator):
        raise InputError(
            f"{models.emulator} version {pair.emulator} was promoted with validator {tags[VALIDATOR_VERSION]}, and its "
            "tag defines that pair: register the emulator again to pair it with another validator"
        )
