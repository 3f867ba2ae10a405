"""Decisions that nobody made: runs, tags and locks that say that a pair was promoted, each beside its control."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from arena import MODELS, Arena, Ended
from crash import one_promoted
from keys import key_files

from stellar_emulator.promotion import audit
from stellar_emulator.promotion.audit import EXPERIMENT, HEAD, NEXT, RECORD
from stellar_emulator.promotion.champion import PairVersions
from stellar_emulator.saved.own_files import PUBLIC_KEY
from stellar_emulator.saved.signing import SIGNING_KEY

A, B = PairVersions(1, 1), PairVersions(2, 2)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """A registry in which A was promoted and B never judged."""
    with one_promoted(tmp_path_factory.mktemp("arena")) as made:
        yield made


@pytest.fixture
def arena(built: Arena) -> Iterator[Arena]:
    """The same, put back as it was: what the attack made is deleted."""
    client = built.client
    tags = dict(client.get_registered_model(MODELS.emulator).tags)
    before = known_runs(built)
    yield built
    for run in known_runs(built) - before:
        client.delete_run(run)
    for name in built.locks():
        client.delete_registered_model(name)
    for alias, version in (("champion", A), ("previous", None)):
        for name, number in ((MODELS.emulator, version and version.emulator), (MODELS.validator, version and 1)):
            if number is None:
                client.delete_registered_model_alias(name, alias)
            else:
                client.set_registered_model_alias(name, alias, str(number))
    for name in (HEAD, NEXT, EXPERIMENT):
        client.set_registered_model_tag(MODELS.emulator, name, tags[name])


def known_runs(arena: Arena) -> set[str]:
    experiments = [experiment.experiment_id for experiment in arena.client.search_experiments()]
    return {run.info.run_id for run in arena.client.search_runs(experiments)}


@dataclass(frozen=True)
class Forged:
    run: str
    sha256: str


def forge(arena: Arena, experiment: str = "own", sign_with: str = "", **changed: object) -> Forged:
    """A run with all the tags and the record of the promotion of B that follows the newest decision."""
    client = arena.client
    tags = client.get_registered_model(MODELS.emulator).tags
    place = tags[EXPERIMENT]
    if experiment != "own":
        found = client.get_experiment_by_name(experiment)
        place = found.experiment_id if found else client.create_experiment(experiment)
    run = client.create_run(place).info.run_id
    content = {
        "kind": "promotion",
        "number": 2,
        "previous_sha256": tags[HEAD],
        "run_id": run,
        "outcome": "promoted",
        "time": "2030-01-01T00:00:00Z",
        "who": "somebody",
        "models": MODELS.model_dump(),
        "digests": {},
        "pair": vars(B),
        "before": {"champion": vars(A), "previous": None},
        "after": {"champion": vars(B), "previous": vars(A)},
        **changed,
    }
    text = json.dumps(content)
    client.log_text(run, text, RECORD)
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    stated = {"model": MODELS.emulator, "number": str(content["number"]), "sha256": sha256, "gate": "", "moves": "yes"}
    stated |= {"previous": str(content["previous_sha256"]), "kind": "promotion", "outcome": "promoted"}
    for name, value in stated.items():
        client.set_tag(run, f"decision.{name}", value)
    return Forged(run, sha256)


def lock_left(arena: Arena, decision: str, name: str = f"{MODELS.emulator}-lock-1") -> None:
    """A lock as a command leaves it that died after it had announced a decision."""
    tags = {"token": "t", "holder": "here", "machine": "m", "pid": "1", "since": "now", "expires": "1"}
    arena.client.create_registered_model(name, tags={**tags, "decision": decision})


def next_command(arena: Arena) -> Ended:
    """Any command that repairs; it is a dry run, and moves nothing itself."""
    ended = arena.promote(A, "--dry_run", "yes")
    assert "Traceback" not in ended.err
    return ended


def tag(arena: Arena, **tags: str) -> None:
    for name, value in tags.items():
        arena.client.set_registered_model_tag(MODELS.emulator, name, value)


def interrupted(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of all: a real promotion of B that dies after it has written its decision."""
    with monkeypatch.context() as patch:
        patch.setattr(audit, "anchor", lambda model, link: (_ for _ in ()).throw(OSError("the machine stopped")))
        assert arena.promote(B).code == 3
    assert arena.state() == (A, None)
    assert arena.locks()


def test_what_promote_wrote_and_left_is_carried_out(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(arena, monkeypatch)
    history = arena.run("history")
    assert "decision 2 was interrupted: the next promote or rollback carries it out" in history.out
    ended = next_command(arena)
    assert ended.code == 0, ended.err
    assert "carried out decision 2, which an interrupted command had not" in ended.err
    assert arena.state() == (B, A)
    assert arena.locks() == []


@pytest.mark.parametrize("access", ["runs", "runs and locks", "runs and the emulator", "all, in another experiment"])
def test_a_forged_decision_is_not_carried_out(arena: Arena, access: str) -> None:
    made = forge(arena, "another" if "another" in access else "own")
    if "locks" in access or "all" in access:
        lock_left(arena, made.sha256)
    if "emulator" in access or "all" in access:
        tag(arena, **{NEXT: made.sha256})
    ended = next_command(arena)
    assert ended.code == 0, ended.err
    assert arena.state() == (A, None)
    assert f"run {made.run}" in ended.err
    assert "count" in ended.err
    assert arena.locks() == []


@pytest.mark.parametrize("experiment", ["own", "another"])
def test_history_tells_of_a_forged_decision(arena: Arena, experiment: str) -> None:
    assert arena.run("history").code == 0
    made = forge(arena, experiment)
    ended = arena.run("history", "--verify", "yes")
    assert ended.code == 1
    assert f"decision 2 (run {made.run}) was written by no promotion or rollback" in ended.err
    assert len(ended.err.splitlines()) == 1


def test_a_decision_that_is_named_as_the_newest_and_was_left_by_nobody_moves_nothing(arena: Arena) -> None:
    made = forge(arena)
    tag(arena, **{NEXT: made.sha256, HEAD: made.sha256})
    ended = next_command(arena)
    assert "left decision 2 undone: no lock is left of a command that announced it" in ended.err
    assert arena.state() == (A, None)


def test_a_decision_carried_out_before_is_not_carried_out_again(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may edit runs takes the tag away that says that it is done, and points the alias elsewhere."""
    interrupted(arena, monkeypatch)
    next_command(arena)
    assert arena.state() == (B, A)
    assert arena.run("rollback", "--reason", "bad lines").code == 0
    with arena.entered():
        links = audit.chain(MODELS.emulator)
    arena.client.delete_tag(links[1].run_id, "decision.finished")
    next_command(arena)
    assert arena.state() == (A, None)


@pytest.mark.parametrize("text", ["../../x" + "x" * 4000, "0" * 64 + " ' OR 1=1"])
def test_a_lock_that_announces_nonsense_is_removed(arena: Arena, text: str) -> None:
    lock_left(arena, text)
    ended = next_command(arena)
    assert ended.code == 0, ended.err
    assert arena.locks() == []


@pytest.mark.parametrize("record", [{"after": {"champion": 3}}, {"before": None}, {"models": None}, {"run_id": 5}])
def test_a_malformed_record_is_one_line(arena: Arena, record: dict[str, Any]) -> None:
    made = forge(arena, **record)
    tag(arena, **{NEXT: made.sha256})
    lock_left(arena, made.sha256)
    ended = next_command(arena)
    assert ended.code in (0, 1, 2)
    assert arena.state() == (A, None)
    assert "Traceback" not in ended.err


def test_rollback_goes_to_no_pair_that_was_never_promoted(arena: Arena) -> None:
    arena.client.set_registered_model_alias(MODELS.emulator, "previous", "2")
    ended = arena.run("rollback")
    assert ended.code == 1
    assert "emulator 2 with validator 2, which no decision promoted" in ended.err
    assert arena.state()[0] == A


def test_of_a_team_with_a_key_unsigned_decisions_count_for_nothing(
    arena: Arena, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = key_files(tmp_path, "team")
    other, _ = key_files(tmp_path, "other")
    monkeypatch.setenv(PUBLIC_KEY, public)
    monkeypatch.setenv(SIGNING_KEY, private)
    interrupted(arena, monkeypatch)
    with arena.entered():
        waiting = audit.trail(MODELS.emulator).waiting
    for name in arena.locks():  # the signature says enough
        arena.client.delete_registered_model(name)
    ended = next_command(arena)
    assert waiting is not None
    assert "carried out decision 2" in ended.err
    assert arena.state() == (B, A)
    monkeypatch.delenv(SIGNING_KEY)
    told = next_command(arena)
    assert told.code == 3
    assert f"name the private key by {SIGNING_KEY}" in told.err
    head = arena.client.get_registered_model(MODELS.emulator).tags[HEAD]
    for key in (None, other):
        tag(arena, **{HEAD: head})
        made = forge(arena, number=4, before={"champion": vars(B), "previous": vars(A)}, after={"champion": vars(A)})
        if key:
            monkeypatch.setenv(SIGNING_KEY, key)
            text = (Path(arena.client.get_run(made.run).info.artifact_uri.removeprefix("file://")) / RECORD).read_text()
            arena.client.log_text(made.run, audit._signature(text), audit.SIGNED)
        tag(arena, **{NEXT: made.sha256, HEAD: made.sha256})
        lock_left(arena, made.sha256, f"{MODELS.emulator}-lock-{9 if key else 5}")
        ended = arena.run("history", "--verify", "yes")
        assert ended.code == 1
        assert "is not signed by the holder of" in ended.err
        assert next_command(arena).code == 1
        assert arena.state() == (B, A)
        arena.client.delete_run(made.run)
