"""The trail of decisions: each is a run whose ``decision.json`` holds the SHA-256 of the one before.

A decision is written ahead: first the file, then, at the registered emulator, that it comes next, then, in one write,
the tags that make the run a link of the chain; only then may aliases move. The newest link's SHA-256 stands in a tag of
the registered emulator too, so that cutting the chain's end off is noticed, and a run that says of itself that it is a
decision is none. Who could rewrite every run and those tags could forge the whole trail: the registry's access rights
keep that, not this file.
"""

import hashlib
import json
import re
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Metric, Param, RunInfo, RunTag
from mlflow.exceptions import MlflowException

from stellar_emulator.errors import InputError

RECORD = "decision.json"
PAGE = "decision.html"

HEAD = "decision_head"
"""Tag of the registered emulator: SHA-256 of the newest decision."""

NEXT = "decision_next"
"""Tag of the registered emulator: SHA-256 of the decision that is being written."""

_TAG = "decision."


_FIELDS = ("number", "sha256", "previous", "kind", "gate", "outcome", "moves")


@dataclass(frozen=True)
class Link:
    """One decision of the chain, as its run's tags tell it.

    artifacts: address of the run's files; number: from 1; sha256: of the bytes of `RECORD`; previous: that of the link
    before, empty for the first; kind: promotion or rollback; gate: digest of the gate set, empty for a rollback;
    outcome: in words; moves: whether it was to move aliases; finished: whether that was done, or was found out of date.
    """

    run_id: str
    artifacts: str
    number: int
    sha256: str
    previous: str
    kind: str
    gate: str
    outcome: str
    moves: bool
    finished: bool

    def read(self) -> bytes:
        """The record's bytes. Raises `InputError` if the file is gone."""
        try:
            with tempfile.TemporaryDirectory() as folder:
                path = mlflow.artifacts.download_artifacts(f"{self.artifacts}/{RECORD}", dst_path=folder)
                return Path(path).read_bytes()
        except (MlflowException, OSError) as error:
            raise InputError(f"{self}: its {RECORD} is missing") from error

    def content(self) -> dict[str, Any]:
        """The record, changed since or not; see `faults`. Raises `InputError` if it is gone or no JSON."""
        try:
            return dict(json.loads(self.read()))
        except ValueError as error:
            raise InputError(f"{self}: its {RECORD} is damaged") from error

    def __str__(self) -> str:
        return f"decision {self.number} (run {self.run_id})"


def chain(model: str) -> list[Link]:
    """All decisions on a registered emulator, oldest first."""
    client = mlflow.MlflowClient()
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    links: list[Link] = []
    token: str | None = None
    while True:
        found = client.search_runs(experiments, f"tags.`{_TAG}model` = '{model}'", page_token=token)
        links += [_link(run.info, run.data.tags) for run in found]
        token = found.token
        if not token:
            return sorted(links, key=lambda link: link.number)


def _link(run: RunInfo, tags: Mapping[str, str]) -> Link:
    """One decision as its run's tags tell it. Raises `InputError` if they are not as `append` writes them."""
    own = {name: tags.get(_TAG + name) for name in _FIELDS}
    if None in own.values() or not re.fullmatch("[0-9]{1,9}", str(own["number"])):
        wrong = next(name for name, value in own.items() if value is None or name == "number")
        raise InputError(
            f"run {run.run_id} has the tag {_TAG}model but {_TAG}{wrong} = {str(own[wrong])[:40]!r}: no promotion or "
            f"rollback wrote that; delete the run, or its tags {_TAG}*"
        )
    return Link(
        run_id=run.run_id,
        artifacts=run.artifact_uri,
        number=int(str(own["number"])),
        sha256=str(own["sha256"]),
        previous=str(own["previous"]),
        kind=str(own["kind"]),
        gate=str(own["gate"]),
        outcome=str(own["outcome"]),
        moves=own["moves"] == "yes",
        finished=f"{_TAG}finished" in tags,
    )


def following(links: list[Link]) -> dict[str, Any]:
    """The fields of a new record that chain it to the others."""
    last = links[-1] if links else None
    return {
        "number": last.number + 1 if last else 1,
        "previous_sha256": last.sha256 if last else "",
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def append(model: str, run_id: str, record: Mapping[str, Any]) -> Link:
    """Write a record that has the fields of `following` and ``kind``, ``outcome``, ``before``, ``after`` (or None)."""
    text = json.dumps(record, indent=1, allow_nan=False) + "\n"
    client = mlflow.MlflowClient()
    client.log_text(run_id, text, RECORD)
    tags = {
        "model": model,
        "number": str(record["number"]),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "previous": record["previous_sha256"],
        "kind": record["kind"],
        "gate": record.get("gate", {}).get("digest", ""),
        "outcome": record["outcome"],
        "moves": "no" if record["after"] is None else "yes",
    }
    client.set_registered_model_tag(model, NEXT, tags["sha256"])
    _tag(run_id, tags)
    link = _link(client.get_run(run_id).info, {_TAG + name: value for name, value in tags.items()})
    anchor(model, link)
    return link


def anchor(model: str, link: Link) -> None:
    """Note the newest link at the registered emulator."""
    mlflow.MlflowClient().set_registered_model_tag(model, HEAD, link.sha256)


def finish(link: Link, how: str = "yes") -> None:
    """Note that a link's moves are done; ``how``: "yes", or why they were left out."""
    _tag(link.run_id, {"finished": how})


def _tag(run_id: str, tags: Mapping[str, str]) -> None:
    # One transaction, unlike a set_tag for each.
    entries = [RunTag(_TAG + name, value) for name, value in tags.items()]
    metrics: list[Metric] = []
    params: list[Param] = []
    mlflow.MlflowClient().log_batch(run_id, metrics, params, entries)


def faults(model: str, links: list[Link]) -> list[str]:
    """What is wrong with the chain, one line each: changed, missing, doubled or cut decisions."""
    found: list[str] = []
    before = ""
    for place, link in enumerate(links, start=1):
        if link.number != place:
            return [*found, f"decision {place} is missing or doubled: {link} stands in its place"]
        if fault := _fault(link, before):
            found.append(fault)
        before = link.sha256
    return found + _cut(model, links)


def _fault(link: Link, before: str) -> str:
    """What is wrong with one decision after another one of a given SHA-256; empty if nothing is."""
    try:
        content = link.read()
    except InputError as error:
        return str(error)
    digest = hashlib.sha256(content).hexdigest()
    if digest != link.sha256:
        return f"{link}: its {RECORD} was changed after it was written (SHA-256 {digest[:12]}...)"
    stated = json.loads(content)["previous_sha256"]
    if stated != before:
        return f"decision {link.number - 1} was replaced: {link} follows {stated[:12]}..., not {before[:12]}..."
    return ""


def _cut(model: str, links: list[Link]) -> list[str]:
    """Whether the newest decision is the one that the registered emulator names."""
    tags = mlflow.MlflowClient().get_registered_model(model).tags
    head, coming = tags.get(HEAD, ""), tags.get(NEXT, "")
    newest = links[-1].sha256 if links else ""
    # A crash between writing a decision and noting it leaves the one before, and which one was to come.
    if head == newest or (links and head == links[-1].previous and coming == newest):
        return []
    if links and head == links[-1].previous:
        return [f"{links[-1]} was written by no promotion or rollback: {model} announces {coming[:12] or 'none'}"]
    return [
        f"the newest decision was removed or replaced: {model} names {head[:12]}..., the chain ends with "
        f"{newest[:12]}..."
    ]
