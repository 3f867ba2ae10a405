"""The chain of decisions on a real store: whatever is changed in it afterwards is noticed and named."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from fresh_store import fresh_store

from stellar_emulator.errors import InputError
from stellar_emulator.promotion.audit import (
    EXPERIMENT,
    HEAD,
    NEXT,
    RECORD,
    Link,
    append,
    chain,
    damage,
    faults,
    finish,
    following,
    require_own_experiment,
    trail,
    void,
)
from stellar_emulator.registry import tracking

MODEL = "audited"


@pytest.fixture(autouse=True)
def decisions(tmp_path_factory: pytest.TempPathFactory, store: Path) -> list[Link]:
    """Three decisions, which ``store`` starts anew for each test."""
    for number in range(1, 4):
        decide(f"outcome {number}")
    return chain(MODEL)


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("store")
    mlflow.set_tracking_uri(fresh_store(folder))
    tracking.connect()
    mlflow.MlflowClient().create_experiment("trail", artifact_location=str(folder / "artifacts"))
    yield folder
    mlflow.set_tracking_uri("")


@pytest.fixture
def store(shared_store: Path) -> Path:
    client = mlflow.MlflowClient()
    for experiment in client.search_experiments():
        for run in client.search_runs([experiment.experiment_id]):
            client.delete_run(run.info.run_id)
    if client.search_registered_models(filter_string=f"name = '{MODEL}'"):
        client.delete_registered_model(MODEL)
    client.create_registered_model(MODEL)
    return shared_store


def decide(outcome: str, moves: bool = True) -> Link:
    client = mlflow.MlflowClient()
    run = client.create_run(client.get_experiment_by_name("trail").experiment_id)
    require_own_experiment(MODEL, run.info.run_id, trail(MODEL))
    after = {"champion": {"emulator": 1, "validator": 1}, "previous": None} if moves else None
    record = {"kind": "promotion", **following(chain(MODEL)), "outcome": outcome, "before": {}, "after": after}
    record["run_id"] = run.info.run_id
    return append(MODEL, run.info.run_id, record)


def rewrite(link: Link, old: str, new: str) -> str:
    """Change a record where it lies; return its new SHA-256."""
    path = Path(link.artifacts) / RECORD
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_each_decision_holds_the_digest_of_the_one_before(decisions: list[Link]) -> None:
    assert faults(MODEL, decisions) == []
    digests = [hashlib.sha256(link.read()).hexdigest() for link in decisions]
    assert [link.content()["previous_sha256"] for link in decisions] == ["", *digests[:2]]
    assert [link.number for link in decisions] == [1, 2, 3]
    assert [link.outcome for link in decisions] == ["outcome 1", "outcome 2", "outcome 3"]
    assert mlflow.MlflowClient().get_registered_model(MODEL).tags[HEAD] == digests[2]


def test_moves_and_their_end_are_noted(decisions: list[Link]) -> None:
    assert [link.moves for link in decisions] == [True] * 3
    assert not decide("refused", moves=False).moves
    finish(decisions[1])
    assert [link.finished for link in chain(MODEL)] == [False, True, False, False]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_changed_record_is_named(decisions: list[Link], place: int) -> None:
    rewrite(decisions[place], "outcome", "Outcome")
    (fault,) = faults(MODEL, decisions)
    assert f"decision {place + 1} (run {decisions[place].run_id}): its decision.json was changed" in fault


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_forger_who_changes_the_tag_too_is_found_out_by_the_next_link(decisions: list[Link], place: int) -> None:
    digest = rewrite(decisions[place], "outcome", "Outcome")
    mlflow.MlflowClient().set_tag(decisions[place].run_id, "decision.sha256", digest)
    (fault,) = faults(MODEL, chain(MODEL))
    said = "the newest decision was removed or replaced" if place == 2 else f"decision {place + 1} was replaced"
    assert said in fault


@pytest.mark.parametrize(("place", "said"), [(0, "decision 1 is missing"), (1, "decision 2 is missing")])
def test_a_deleted_decision_is_noticed(decisions: list[Link], place: int, said: str) -> None:
    mlflow.MlflowClient().delete_run(decisions[place].run_id)
    assert said in faults(MODEL, chain(MODEL))[0]


def test_two_cut_off_the_end_are_noticed(decisions: list[Link]) -> None:
    for link in decisions[1:]:
        mlflow.MlflowClient().delete_run(link.run_id)
    assert "the newest decision was removed" in faults(MODEL, chain(MODEL))[0]


def test_a_record_that_is_gone_is_named(decisions: list[Link]) -> None:
    (Path(decisions[1].artifacts) / RECORD).unlink()
    with pytest.raises(InputError, match="decision 2"):
        decisions[1].content()
    assert "decision 2" in faults(MODEL, decisions)[0]
    assert "is missing" in faults(MODEL, decisions)[0]


def test_a_crash_before_the_newest_was_noted_is_no_fault(decisions: list[Link]) -> None:
    mlflow.MlflowClient().set_registered_model_tag(MODEL, HEAD, decisions[1].sha256)
    assert faults(MODEL, decisions) == []


def test_records_are_json_for_people(decisions: list[Link]) -> None:
    text = decisions[0].read().decode()
    assert json.loads(text)["time"].endswith("Z")
    assert len(text.splitlines()) > 5


def forged(experiment: str, previous: str, **changed: str) -> str:
    """A run that says of itself that it is the next decision, with a record that says so too."""
    client = mlflow.MlflowClient()
    found = client.get_experiment_by_name(experiment)
    run = client.create_run(found.experiment_id if found else client.create_experiment(experiment)).info.run_id
    record = {"kind": "promotion", "number": 4, "previous_sha256": previous, "outcome": "promoted", "before": {}}
    text = json.dumps({**record, "after": {"champion": {"emulator": 9, "validator": 9}, "previous": None}})
    client.log_text(run, text, RECORD)
    tags = {"model": MODEL, "number": "4", "sha256": hashlib.sha256(text.encode()).hexdigest(), "previous": previous}
    tags |= {"kind": "promotion", "gate": "", "outcome": "promoted", "moves": "yes", **changed}
    for name, value in tags.items():
        client.set_tag(run, f"decision.{name}", value)
    return run


@pytest.mark.parametrize("experiment", ["trail", "another"])
def test_a_run_that_no_promotion_wrote_is_no_decision(decisions: list[Link], experiment: str) -> None:
    run = forged(experiment, decisions[-1].sha256)
    (fault,) = faults(MODEL, chain(MODEL))
    assert f"decision 4 (run {run}) was written by no promotion or rollback" in fault
    assert chain(MODEL) == decisions
    assert damage(MODEL, trail(MODEL)) == []  # it blocks nobody


@pytest.mark.parametrize("number", ["4", "3", "1"])
def test_a_decision_that_was_announced_counts_in_its_experiment_and_place_alone(
    decisions: list[Link], number: str
) -> None:
    for experiment in ("trail", "another"):
        run = forged(experiment, decisions[-1].sha256, number=number)
        sha256 = mlflow.MlflowClient().get_run(run).data.tags["decision.sha256"]
        mlflow.MlflowClient().set_registered_model_tag(MODEL, NEXT, sha256)
        waiting = trail(MODEL).waiting
        assert (waiting is not None) == (experiment == "trail" and number == "4")
        assert chain(MODEL) == decisions
        mlflow.MlflowClient().delete_run(run)


@pytest.mark.parametrize("copy", ["in the trail", "in another"])
def test_a_copy_of_a_decision_is_not_taken_for_it(decisions: list[Link], copy: str) -> None:
    client, name = mlflow.MlflowClient(), "trail" if copy == "in the trail" else "another"
    experiment = client.get_experiment_by_name(name)
    place = experiment.experiment_id if experiment else client.create_experiment(name)
    run = client.create_run(place, start_time=1).info.run_id
    client.log_text(run, decisions[1].read().decode(), RECORD)
    for tag, value in client.get_run(decisions[1].run_id).data.tags.items():
        if tag.startswith("decision."):
            client.set_tag(run, tag, value)
    assert chain(MODEL) == decisions
    assert damage(MODEL, trail(MODEL)) == []
    assert len(trail(MODEL).strangers) == 1
    client.delete_run(decisions[1].run_id)
    assert ("in another" in copy) == ("decision 2 is missing" in faults(MODEL, chain(MODEL))[0])
    assert ("in the trail" in copy) == ("decision.json says run_id" in faults(MODEL, chain(MODEL))[0])


def test_a_decision_whose_noting_was_interrupted_is_one(decisions: list[Link]) -> None:
    """The control: the same state, reached by `append` itself."""
    decide("outcome 4")
    mlflow.MlflowClient().set_registered_model_tag(MODEL, HEAD, decisions[-1].sha256)
    assert faults(MODEL, chain(MODEL)) == []
    waiting = trail(MODEL).waiting
    assert waiting is not None
    assert waiting.number == 4


@pytest.mark.parametrize("number", ["", "four", "-1", "1e3", "9" * 5000])
def test_a_stray_tag_is_one_line_and_blocks_nobody(decisions: list[Link], number: str) -> None:
    run = forged("trail", decisions[-1].sha256, number=number)
    (line,) = faults(MODEL, chain(MODEL))
    assert f"run {run} has the tag decision.model but decision.number = " in line
    assert len(line) < 300
    assert chain(MODEL) == decisions


@pytest.mark.parametrize("tag", ["outcome", "kind", "moves", "previous", "number"])
def test_a_changed_tag_is_named(decisions: list[Link], tag: str) -> None:
    assert faults(MODEL, chain(MODEL)) == []
    mlflow.MlflowClient().set_tag(decisions[1].run_id, f"decision.{tag}", "7" if tag == "number" else "no")
    assert "decision" in faults(MODEL, chain(MODEL))[0]


def test_a_command_in_another_experiment_is_told_where_decisions_lie(decisions: list[Link]) -> None:
    client = mlflow.MlflowClient()
    inside = client.create_run(decisions[0].experiment).info.run_id
    require_own_experiment(MODEL, inside, trail(MODEL))
    found = client.get_experiment_by_name("elsewhere")
    outside = client.create_run(found.experiment_id if found else client.create_experiment("elsewhere")).info.run_id
    with pytest.raises(InputError, match=r"are kept in the experiment 'trail'.* set MLFLOW_EXPERIMENT_NAME=trail"):
        require_own_experiment(MODEL, outside, trail(MODEL))


def test_the_tag_of_the_newest_decision_is_missed(decisions: list[Link]) -> None:
    client = mlflow.MlflowClient()
    assert damage(MODEL, trail(MODEL)) == []
    client.delete_registered_model_tag(MODEL, HEAD)
    (fault,) = damage(MODEL, trail(MODEL))
    assert "the newest decision was removed or replaced" in fault
    client.set_registered_model_tag(MODEL, HEAD, "../" * 20)
    (fault,) = damage(MODEL, trail(MODEL))
    assert "the newest decision was removed or replaced" in fault


def test_the_experiment_s_tag_hides_no_decision_and_is_nobody_s_before_the_first(decisions: list[Link]) -> None:
    client = mlflow.MlflowClient()
    client.set_registered_model_tag(MODEL, EXPERIMENT, "999999")
    assert EXPERIMENT in damage(MODEL, trail(MODEL))[0]
    client.create_registered_model("fresh", tags={EXPERIMENT: "999999", NEXT: "0" * 64})
    run = client.create_run(decisions[0].experiment).info.run_id
    assert damage("fresh", trail("fresh")) == []
    require_own_experiment("fresh", run, trail("fresh"))
    assert client.get_registered_model("fresh").tags[EXPERIMENT] == decisions[0].experiment
    client.delete_registered_model("fresh")


def test_a_decision_that_counts_can_t_be_voided(decisions: list[Link]) -> None:
    void(decisions[2], "by somebody")
    assert chain(MODEL) == decisions
    assert faults(MODEL, chain(MODEL)) == []
