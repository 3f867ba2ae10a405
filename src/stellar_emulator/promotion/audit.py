"""The trail of decisions: each is a run whose ``decision.json`` holds the SHA-256 of the one before.

A decision is written ahead: first the file, and its signature where a private key is named; then, at the lock and at
the registered emulator, that it comes next; then, in one write, the tags that make the run a link of the chain; then,
at the registered emulator, that it is the newest. Only then may aliases move. What counts is the newest one that the
emulator names and what leads back from it, in the emulator's own experiment; a run that says of itself that it is a
decision is none. Who may edit the registered emulator, its versions and all runs could forge an unsigned trail: the
registry's access rights keep that, or a key, not this file.
"""

import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException

from stellar_emulator.errors import InputError, SetupError
from stellar_emulator.registry.tracking_store import store_failed
from stellar_emulator.saved.own_files import PUBLIC_KEY, SIGNATURE
from stellar_emulator.saved.signing import SIGNING_KEY, require_signed, sign

RECORD = "decision.json"
PAGE = "decision.html"

SIGNED = "decision.sig"
"""Beside a record: its signature by the team's key, as model-signing writes it."""

HEAD = "decision_head"
"""Tag of the registered emulator: SHA-256 of the newest decision."""

NEXT = "decision_next"
"""Tag of the registered emulator: SHA-256 of the decision that is being written."""

EXPERIMENT = "decision_experiment"
"""Tag of the registered emulator: the experiment in which all decisions on it are runs."""

_TAG = "decision."

_VOID = "void"
"""Tag, after `_TAG`, of a run whose decision was announced and doesn't count."""

_FIELDS = ("number", "sha256", "previous", "kind", "gate", "outcome", "moves")


@dataclass(frozen=True)
class Link:
    """One decision of the chain, as its run's tags tell it.

    experiment: that the run belongs to; artifacts: address of the run's files; number: from 1; sha256: of the bytes of
    `RECORD`; previous: that of the link before, empty for the first; kind: promotion or rollback; gate: digest of the
    gate set, empty for a rollback; outcome: in words; moves: whether it was to move aliases; ended: empty until that
    was done ("yes") or left (why).
    """

    run_id: str
    experiment: str
    artifacts: str
    number: int
    sha256: str
    previous: str
    kind: str
    gate: str
    outcome: str
    moves: bool
    ended: str

    @property
    def finished(self) -> bool:
        """Whether its moves were done, or were found out of date."""
        return bool(self.ended)

    def read(self) -> bytes:
        """The record's bytes. Raises `InputError` if the file is gone."""
        try:
            return self._file(RECORD)
        except (MlflowException, OSError) as error:
            if store_failed(error):
                raise
            raise InputError(f"{self}: its {RECORD} is missing") from error

    def content(self) -> dict[str, Any]:
        """The record, changed since or not; see `faults`. Raises `InputError` if it is gone or no JSON."""
        try:
            return dict(json.loads(self.read()))
        except (ValueError, TypeError, RecursionError) as error:
            raise InputError(f"{self}: its {RECORD} is damaged") from error

    def require_signed(self) -> None:
        """Return if the holder of the public key signed the record. Raises `InputError` if not."""
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / RECORD).write_bytes(self.read())
            try:
                (Path(folder) / SIGNATURE).write_bytes(self._file(SIGNED))
                require_signed(Path(folder))
            except (MlflowException, OSError, InputError) as error:
                if store_failed(error):
                    raise
                raise InputError(f"{self} is not signed by the holder of {os.environ.get(PUBLIC_KEY)}") from error

    def _file(self, name: str) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            return Path(mlflow.artifacts.download_artifacts(f"{self.artifacts}/{name}", dst_path=folder)).read_bytes()

    def __str__(self) -> str:
        return f"decision {self.number} (run {self.run_id})"


@dataclass(frozen=True)
class Trail:
    """All runs that say that they are decisions on a registered emulator, told apart by what the emulator says.

    links: the decisions that count, oldest first; waiting: the one that was announced, and whose writing was
    interrupted before the emulator named it; strangers: what the other runs are, one line each; cut: SHA-256 of the
    decision that is missing where the links begin, empty if none is; altered: numbers of the runs that may have been
    that one; experiment: the one in which decisions count, empty before the first.
    """

    links: list[Link]
    waiting: Link | None
    strangers: list[str]
    cut: str
    altered: frozenset[int]
    experiment: str


def chain(model: str) -> list[Link]:
    """The decisions on a registered emulator that count, oldest first."""
    return trail(model).links


def trail(model: str) -> Trail:
    """Find the runs that say that they are decisions on a registered emulator, and which of them are."""
    tags = _tags_of(model)
    head, coming, own = tags.get(HEAD, ""), tags.get(NEXT, ""), tags.get(EXPERIMENT, "")
    strangers: list[str] = []
    claimed: list[Link] = []
    voided: set[str] = set()
    for run in _claimants(model):
        try:
            link = _link(run)
        except InputError as error:
            strangers.append(str(error))
            continue
        claimed.append(link)
        if _TAG + _VOID in run.data.tags:
            voided.add(link.run_id)
    inside = [link for link in claimed if own in ("", link.experiment)]
    links, cut = _leading_to(head, inside)
    taken = {link.run_id for link in links} | voided
    last = links[-1] if links else None
    waiting = [
        link
        for link in inside
        if link.run_id not in taken and (link.sha256, link.previous) == (coming, head) and link.number == _after(last)
    ]
    taken |= {link.run_id for link in waiting[:1]}
    strangers += [
        f"{link} was written by no promotion or rollback: it doesn't lead to the decision that {model} names as the "
        f"newest, {head[:12] or 'none'}" + ("" if link in inside else f", and lies in another experiment than {own}")
        for link in claimed
        if link.run_id not in taken and not (cut and link in inside)
    ]
    altered = {link.number for link in inside if cut and link.run_id not in taken}
    if not head and own and coming and any(link.run_id not in taken for link in inside):
        cut = coming  # the tag of the newest decision was taken away
    return Trail(links, waiting[0] if waiting else None, strangers, cut, frozenset(altered), own)


def _tags_of(model: str) -> Mapping[str, str]:
    """Tags of a registered model, none if there is no such."""
    try:
        return dict(mlflow.MlflowClient().get_registered_model(model).tags)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return {}


def _claimants(model: str) -> Iterable[Run]:
    """All runs of all experiments that have the tag of a decision on a registered emulator."""
    client = mlflow.MlflowClient()
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    token: str | None = None
    while True:
        found = client.search_runs(experiments, f"tags.`{_TAG}model` = '{model}'", page_token=token)
        yield from found
        token = found.token
        if not token:
            return


def _leading_to(head: str, links: list[Link]) -> tuple[list[Link], str]:
    """The links from the first to the one of a given SHA-256; and the SHA-256 of one that is missing, else nothing."""
    found: list[Link] = []
    wanted = head
    while wanted:
        fitting = [link for link in links if link.sha256 == wanted and link not in found]
        if not fitting:
            break
        found.insert(0, _own(fitting))
        wanted = found[0].previous
    return found, wanted


def _own(fitting: list[Link]) -> Link:
    """Of several runs with the same record, the one that the record names."""
    for link in fitting if len(fitting) > 1 else ():
        try:
            if link.content().get("run_id") == link.run_id:
                return link
        except InputError:
            continue
    return fitting[0]


def _after(last: Link | None) -> int:
    return last.number + 1 if last else 1


def _link(run: Run) -> Link:
    """One decision as its run's tags tell it. Raises `InputError` if they are not as `append` writes them."""
    tags = run.data.tags
    own = {name: tags.get(_TAG + name) for name in _FIELDS}
    if None in own.values() or not re.fullmatch("[0-9]{1,9}", str(own["number"])):
        wrong = next(name for name, value in own.items() if value is None or name == "number")
        raise InputError(
            f"run {run.info.run_id} has the tag {_TAG}model but {_TAG}{wrong} = {str(own[wrong])[:40]!r}: no promotion "
            f"or rollback wrote that; delete the run, or its tags {_TAG}*"
        )
    return Link(
        run_id=run.info.run_id,
        experiment=str(run.info.experiment_id),
        artifacts=run.info.artifact_uri,
        number=int(str(own["number"])),
        sha256=str(own["sha256"]),
        previous=str(own["previous"]),
        kind=str(own["kind"]),
        gate=str(own["gate"]),
        outcome=str(own["outcome"]),
        moves=own["moves"] == "yes",
        ended=tags.get(f"{_TAG}finished", ""),
    )


def following(links: list[Link]) -> dict[str, Any]:
    """The fields of a new record that chain it to the others."""
    last = links[-1] if links else None
    return {
        "number": _after(last),
        "previous_sha256": last.sha256 if last else "",
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def append(model: str, run_id: str, record: Mapping[str, Any], announce: Callable[[str], None] | None = None) -> Link:
    """Make a record the newest decision.

    It has the fields of `following` and ``kind``, ``outcome``, ``before``, ``after`` (or None). ``announce`` is told
    its SHA-256 once it is written and before it counts.
    """
    text = json.dumps(record, indent=1, allow_nan=False) + "\n"
    client = mlflow.MlflowClient()
    if os.environ.get(SIGNING_KEY):
        client.log_text(run_id, _signature(text), SIGNED)
    client.log_text(run_id, text, RECORD)
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    tags = {
        "model": model,
        "number": str(record["number"]),
        "sha256": sha256,
        "previous": record["previous_sha256"],
        "kind": record["kind"],
        "gate": record.get("gate", {}).get("digest", ""),
        "outcome": record["outcome"],
        "moves": "no" if record["after"] is None else "yes",
    }
    if announce is not None:
        announce(sha256)
    client.set_registered_model_tag(model, NEXT, sha256)
    _tag(run_id, tags)
    link = _link(client.get_run(run_id))
    anchor(model, link)
    return link


def _signature(text: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / RECORD).write_text(text)
        sign(Path(folder))
        return (Path(folder) / SIGNATURE).read_text()


def require_signer(known: Trail) -> None:
    """Return if this command can go on with the decisions, which are signed or not.

    Raises
    ------
    SetupError
        If they are signed, and no private key is named.
    """
    if os.environ.get(SIGNING_KEY) or not os.environ.get(PUBLIC_KEY) or not known.links:
        return
    try:
        known.links[-1].require_signed()
    except InputError:
        return
    raise SetupError(
        f"the decisions are signed, and an unsigned one would not count: name the private key by {SIGNING_KEY}, or let "
        "its holder give this command"
    )


def require_own_experiment(model: str, run_id: str, known: Trail) -> None:
    """Return if a run lies where decisions on a registered emulator count; note that experiment before the first one.

    Raises
    ------
    InputError
        If it doesn't; the message names the experiment.
    """
    client = mlflow.MlflowClient()
    place = str(client.get_run(run_id).info.experiment_id)
    own = known.links[-1].experiment if known.links else place
    if place != own:
        name = client.get_experiment(own).name
        raise InputError(
            f"decisions on {model} are kept in the experiment {name!r}, and this command runs in another one: set "
            f"MLFLOW_EXPERIMENT_NAME={name}, or give `mlflow run` --experiment-name"
        )
    if known.experiment != own:
        client.set_registered_model_tag(model, EXPERIMENT, own)


def anchor(model: str, link: Link) -> None:
    """Note the newest link at the registered emulator."""
    mlflow.MlflowClient().set_registered_model_tag(model, HEAD, link.sha256)


def finish(link: Link, how: str = "yes") -> None:
    """Note that a link's moves are done; ``how``: "yes", or why they were left out."""
    _tag(link.run_id, {"finished": how})


def void(link: Link, why: str) -> None:
    """Note that a run whose writing was interrupted is no decision."""
    _tag(link.run_id, {_VOID: why})


def _tag(run_id: str, tags: Mapping[str, str]) -> None:
    # One transaction, unlike a set_tag for each.
    entries = [RunTag(_TAG + name, value) for name, value in tags.items()]
    metrics: list[Metric] = []
    params: list[Param] = []
    mlflow.MlflowClient().log_batch(run_id, metrics, params, entries)


def damage(model: str, known: Trail) -> list[str]:
    """What is wrong with the decisions that count, one line each: changed, missing, replaced or unsigned ones."""
    found: list[str] = []
    if known.cut:
        found.append(_missing(model, known))
    before = known.cut
    for place, link in enumerate(known.links, start=known.links[0].number if known.links else 1):
        if link.number != place:
            return [*found, f"decision {place} is missing or doubled: {link} stands in its place"]
        if fault := fault_of(model, link, before):
            found.append(fault)
        before = link.sha256
    if known.links and not known.cut and known.links[0].number != 1:
        found.append(f"decision 1 is missing: the first one is {known.links[0]}")
    return found or _unsigned(known.links)


def faults(model: str, links: list[Link]) -> list[str]:
    """What `damage` finds in some decisions, and who only says that it is one."""
    known = trail(model)
    return damage(model, replace(known, links=links)) + known.strangers


def _missing(model: str, known: Trail) -> str:
    if not known.links:
        return (
            f"the newest decision was removed or replaced: {model} names {known.cut[:12]}..., by its tag {HEAD} or "
            f"{NEXT}, and no decision of the experiment that its tag {EXPERIMENT} names is that one and counts"
        )
    first = known.links[0]
    what = "was replaced" if first.number - 1 in known.altered else "is missing"
    return f"decision {first.number - 1} {what}: {first} follows {known.cut[:12]}..., and no run is that one"


def fault_of(model: str, link: Link, before: str) -> str:
    """What is wrong with one decision after another one of a given SHA-256; empty if nothing is."""
    try:
        content = link.read()
        stated = link.content()
    except InputError as error:
        return str(error)
    digest = hashlib.sha256(content).hexdigest()
    if digest != link.sha256:
        return f"{link}: its {RECORD} was changed after it was written (SHA-256 {digest[:12]}...)"
    own = {"run_id": link.run_id, "number": link.number, "previous_sha256": link.previous, "kind": link.kind}
    own |= {"outcome": link.outcome}
    for name, value in own.items():
        if stated.get(name, value) != value:
            return f"{link}: its {RECORD} says {name} = {str(stated[name])[:40]!r}, its tags {str(value)[:40]!r}"
    if link.previous != before or (stated.get("after") is not None) != link.moves:
        return f"{link}: its tags are not what its {RECORD} says"
    of = stated.get("models", {"emulator": model})
    if not isinstance(of, dict) or of.get("emulator") != model:
        return f"{link}: its {RECORD} is of {str(of)[:80]}, not of {model}"
    return ""


def _unsigned(links: list[Link]) -> list[str]:
    """Decisions after the first signed one that nobody signed, where a public key is named."""
    if not os.environ.get(PUBLIC_KEY):
        return []
    found: list[str] = []
    signed = False
    for link in links:
        try:
            link.require_signed()
            signed = True
        except InputError as error:
            if signed:
                found.append(str(error))
    return found
