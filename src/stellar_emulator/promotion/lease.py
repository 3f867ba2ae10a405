"""One promotion at a time: whoever creates the registered model NAME-lock-1 holds the lock until its lease expires.

Names of registered models are unique, so of two processes one creates it and the other is told who did. The lease of a
holder that died is taken over under the next number, never by removing and making again under the same name: between
the two, somebody else might have done so. Whoever has taken one looks again and withdraws if another one is alive.
"""

import os
import platform
import random
import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import mlflow
from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import MlflowException

from stellar_emulator.errors import SetupError

LEASE_SECONDS = 120.0
"""After which a holder that has not renewed its lease counts as dead, wherever it runs."""

_DECISION = "decision"
"""Tag of a lock: SHA-256 of the decisions that its holder has announced or inherited, and not finished."""

_RENEWALS_PER_LEASE = 4
_ROUNDS = 8

_SHA256 = re.compile("[0-9a-f]{64}")

_DESCRIPTION = "A promotion or rollback is at work. It removes this itself; where it died, the next one does."


@dataclass(frozen=True)
class Lease:
    """The lock as its holder sees it; token tells it from a later lock of the same name.

    inherited: SHA-256 of decisions that dead holders, whose locks were taken over, had announced and not finished.
    """

    name: str
    token: str
    inherited: frozenset[str] = frozenset()

    def require(self) -> None:
        """Return if the lock is still held. Raises `SetupError` if the lease ran out, as after a machine slept."""
        if not self._held():
            raise SetupError(
                f"the lock {self.name} was lost: this process did not renew it for {LEASE_SECONDS:.0f} s, and another "
                "one may have gone on. Nothing more was changed; give the command again"
            )

    def renew(self) -> None:
        """Move the expiry forward; a lock that was lost stays lost."""
        if self._held():
            mlflow.MlflowClient().set_registered_model_tag(self.name, "expires", repr(time.time() + LEASE_SECONDS))

    def announce(self, decision: str) -> None:
        """Note the SHA-256 of a decision that comes: who takes this lock over may carry out that one and no other."""
        self.require()
        mlflow.MlflowClient().set_registered_model_tag(self.name, _DECISION, decision)

    def settled(self) -> None:
        """Note that nothing that was announced is left to be carried out."""
        if self._held() and _DECISION in mlflow.MlflowClient().get_registered_model(self.name).tags:
            mlflow.MlflowClient().delete_registered_model_tag(self.name, _DECISION)

    def release(self) -> None:
        """Remove the lock if it is still held; where a decision is left unfinished, let the next one take it over."""
        if not self._held():
            return
        if _DECISION in mlflow.MlflowClient().get_registered_model(self.name).tags:
            mlflow.MlflowClient().set_registered_model_tag(self.name, "expires", "0")
        else:
            _remove(self.name)

    def _held(self) -> bool:
        try:
            tags = mlflow.MlflowClient().get_registered_model(self.name).tags
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise
        return bool(tags.get("token") == self.token and not _expired(tags))


@contextmanager
def lease(model: str) -> Iterator[Lease]:
    """Hold the lock of a registered model, renewing it meanwhile.

    Raises
    ------
    SetupError
        If somebody else holds it; the message names holder, machine, process and expiry.
    """
    held = _acquire(model)
    ended = threading.Event()
    renewal = threading.Thread(target=_keep, args=(held, ended), daemon=True)
    renewal.start()
    try:
        yield held
    finally:
        ended.set()
        renewal.join()
        held.release()


def _keep(held: Lease, ended: threading.Event) -> None:
    while not ended.wait(LEASE_SECONDS / _RENEWALS_PER_LEASE):
        # A store that does not answer now may answer next time; `Lease.require` decides.
        with suppress(Exception):
            held.renew()


def _acquire(model: str) -> Lease:
    client = mlflow.MlflowClient()
    for _ in range(_ROUNDS):
        found = _leases(model)
        _refuse_if_held(model, found)
        left = _announced(found)
        held = Lease(f"{model}-lock-{max(map(_number, found), default=0) + 1}", uuid.uuid4().hex, left)
        inherited = {_DECISION: " ".join(sorted(left))} if left else {}
        try:
            client.create_registered_model(held.name, tags=_tags(held.token) | inherited, description=_DESCRIPTION)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            continue
        others = [other for other in _leases(model) if other.name != held.name]
        if all(_expired(other.tags) for other in others) and _announced(others) <= left:
            for other in others:
                _remove(other.name)
            return held
        held.release()
        time.sleep(random.random())
    _refuse_if_held(model, _leases(model))
    raise SetupError(f"several promotions of {model} started at once and none got its lock: give the command again")


def _refuse_if_held(model: str, found: list[RegisteredModel]) -> None:
    for other in found:
        tags = other.tags
        if not _expired(tags):
            left = float(tags["expires"]) - time.time()
            holder, since = tags.get("holder", "somebody"), tags.get("since", "a time unknown")
            raise SetupError(
                f"{holder} is promoting or rolling back {model} (process {tags['pid']}, since {since}; "
                f"its lock {other.name} is valid for another {left:.0f} s unless renewed): wait for it"
            )


def _leases(model: str) -> list[RegisteredModel]:
    """Locks of a model, dead ones too."""
    found = mlflow.MlflowClient().search_registered_models(filter_string=f"name LIKE '{model}-lock-%'")
    return [other for other in found if re.fullmatch(re.escape(model) + r"-lock-\d+", other.name)]


def _announced(found: list[RegisteredModel]) -> frozenset[str]:
    """SHA-256 of the decisions that the holders of some locks have announced."""
    return frozenset(
        word for other in found for word in other.tags.get(_DECISION, "").split() if _SHA256.fullmatch(word)
    )


def _number(found: RegisteredModel) -> int:
    return int(found.name.rpartition("-")[2])


def _remove(name: str) -> None:
    try:
        mlflow.MlflowClient().delete_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise


def _tags(token: str) -> dict[str, str]:
    return {
        "token": token,
        "holder": platform.node(),
        "machine": _machine(),
        "pid": str(os.getpid()),
        "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "expires": repr(time.time() + LEASE_SECONDS),
    }


def _expired(tags: dict[str, str]) -> bool:
    """Whether a holder's lease ran out, or its process was one of this machine and is gone.

    A lock whose tags no promotion wrote holds nobody: it would block for ever.
    """
    try:
        expires, pid = float(tags["expires"]), int(tags["pid"])
    except (KeyError, ValueError):
        return True
    # No lease is longer, whatever it says.
    if not time.time() <= expires <= time.time() + 2 * LEASE_SECONDS:
        return True
    return tags.get("machine") == _machine() and not _alive(pid)


def _alive(pid: int) -> bool:
    if pid <= 0:  # a group of processes, not one
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _machine() -> str:
    """What must be equal for two processes to know each other's number: name, boot and process namespace."""
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    if boot.is_file() and namespace.exists():
        return f"{platform.node()}:{boot.read_text().strip()}:{namespace.stat().st_ino}"
    return f"{platform.node()}:{uuid.getnode():x}"
