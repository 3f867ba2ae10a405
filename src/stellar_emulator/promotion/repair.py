"""Ends what a killed promotion or rollback began: its decision was written ahead and tells what was to be done."""

import mlflow
from mlflow.exceptions import MlflowException

from stellar_emulator.contract.contract import ModelNames
from stellar_emulator.errors import RefusedError
from stellar_emulator.promotion.audit import HEAD, Link, anchor, chain, faults, finish
from stellar_emulator.promotion.champion import State, derive, move, read_state
from stellar_emulator.promotion.lease import Lease


def repair(models: ModelNames, lock: Lease) -> list[str]:
    """Check the chain of decisions, carry out the newest one if that was left undone, and set derived aliases right.

    Returns
    -------
    list of str
        What was done, one line each; empty if nothing was to be done.

    Raises
    ------
    InputError
        If no emulator is registered.
    RefusedError
        If a decision was changed, removed or replaced; the message names it.
    """
    read_state(models)
    links = chain(models.emulator)
    require_sound(models, links)
    done = []
    if links and mlflow.MlflowClient().get_registered_model(models.emulator).tags.get(HEAD) != links[-1].sha256:
        anchor(models.emulator, links[-1])
        done.append(f"noted decision {links[-1].number} as the newest, which an interrupted command had not")
    moving = [link for link in links if link.moves]
    if moving and not moving[-1].finished:
        done.append(_complete(models, moving[-1], lock))
    if derive(models):
        done.append(f"pointed the aliases of {models.validator} at the validators of {models.emulator}'s")
    return done


def require_sound(models: ModelNames, links: list[Link]) -> None:
    """Return if no decision was tampered with. Raises `RefusedError` otherwise."""
    found = faults(models.emulator, links)
    if found:
        raise RefusedError(
            f"the decisions on {models.emulator} are not as they were written: {'; '.join(found)}. Nothing is promoted "
            "or rolled back before they are restored from a backup of the tracking store"
        )


def _complete(models: ModelNames, link: Link, lock: Lease) -> str:
    content = link.content()
    before, after = State.from_dict(content["before"]), State.from_dict(content["after"])
    now = read_state(models)
    if now.champion not in (before.champion, after.champion):
        finish(link, "no: the champion was moved by hand")
        return f"left decision {link.number} undone: the champion was moved by hand since, to {now.champion}"
    try:
        move(models, after, link.run_id, lock)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        finish(link, "no: a version is gone")
        return f"left decision {link.number} undone: a version that it names was deleted"
    finish(link)
    return f"carried out decision {link.number}, which an interrupted command had not: champion is {after.champion}"
