"""Ends what a killed promotion or rollback began: its decision was written ahead and tells what was to be done.

Only what such a command wrote is carried out: its signature says so where a public key is named, else the lock that it
left behind. Whatever else is found is said in a line, and left.
"""

import os

from mlflow.exceptions import MlflowException

from stellar_emulator.contract.contract import ModelNames
from stellar_emulator.errors import InputError, RefusedError
from stellar_emulator.promotion.audit import Link, Trail, anchor, damage, fault_of, finish, trail, void
from stellar_emulator.promotion.champion import derive, move, moves_of, read_state
from stellar_emulator.promotion.lease import Lease
from stellar_emulator.saved.own_files import PUBLIC_KEY


def repair(models: ModelNames, lock: Lease) -> list[str]:
    """Check the chain of decisions, carry out the newest one if that was left undone, and set derived aliases right.

    Returns
    -------
    list of str
        What was done, and what was found and doesn't count, one line each; empty if all was well.

    Raises
    ------
    InputError
        If no emulator is registered.
    RefusedError
        If a decision was changed, removed or replaced; the message names it.
    """
    read_state(models)
    known = trail(models.emulator)
    require_sound(models, known)
    done = [f"{line}: it doesn't count" for line in known.strangers]
    links = list(known.links)
    if known.waiting is not None:
        links += _taken_up(models, known.waiting, lock, done)
    moving = [link for link in links if link.moves]
    if moving and not moving[-1].finished:
        done.append(_complete(models, moving[-1], lock))
    if derive(models):
        done.append(f"pointed the aliases of {models.validator} at the validators of {models.emulator}'s")
    lock.settled()
    return done


def require_sound(models: ModelNames, known: Trail) -> None:
    """Return if no decision was tampered with. Raises `RefusedError` otherwise."""
    found = damage(models.emulator, known)
    if found:
        raise RefusedError(
            f"the decisions on {models.emulator} are not as they were written: {'; '.join(found)}. Nothing is promoted "
            "or rolled back before they are restored from a backup of the tracking store"
        )


def _taken_up(models: ModelNames, waiting: Link, lock: Lease, done: list[str]) -> list[Link]:
    """The decision whose writing was interrupted, noted as the newest; none if no promotion or rollback wrote it."""
    if doubt := fault_of(models.emulator, waiting, waiting.previous) or _doubt(waiting, lock):
        void(waiting, doubt)
        done.append(f"{waiting} doesn't count: {doubt}")
        return []
    anchor(models.emulator, waiting)
    done.append(f"noted decision {waiting.number} as the newest, which an interrupted command had not")
    return [waiting]


def _doubt(link: Link, lock: Lease) -> str:
    """Why an unfinished decision may not be what a promotion or rollback wrote; empty if it is."""
    if os.environ.get(PUBLIC_KEY):
        try:
            link.require_signed()
        except InputError as error:
            return str(error)
        return ""
    return "" if link.sha256 in lock.inherited else "no lock is left of a command that announced it"


def _complete(models: ModelNames, link: Link, lock: Lease) -> str:
    if doubt := _doubt(link, lock):
        finish(link, f"no: {doubt}")
        return f"left decision {link.number} undone: {doubt}. Give the command again that you want carried out"
    before, after = moves_of(link)
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
