"""The verbs promote, rollback and history on a real registry: each attack beside a control that differs only in it.

The control of every attack is the same pair, or the same command before and after the attack, and it is promoted.
"""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from arena import ARENA, GATE_RUNS, MODELS, Arena, Ended, gate_hashes, gate_rows, without_page_and_server
from synthetic import write_rows

from stellar_emulator import Emulator
from stellar_emulator.grid import sampling
from stellar_emulator.models.loaded import LoadedModel
from stellar_emulator.promotion.champion import PairVersions


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Arena:
    folder = tmp_path_factory.mktemp("arena")
    made = Arena(folder, f"sqlite:///{folder / 'mlflow.db'}")
    made.build()
    return made


@pytest.fixture(scope="module")
def first(arena: Arena) -> PairVersions:
    return arena.register()


@pytest.fixture(scope="module")
def promoted(arena: Arena, first: PairVersions) -> Ended:
    """The first promotion, with all that it does: gate, fresh process, server, page."""
    return arena.promote(first)


@pytest.fixture(scope="module")
def champion(arena: Arena, first: PairVersions, promoted: Ended) -> Iterator[PairVersions]:
    """A champion that every attack must leave in place."""
    assert promoted.code == 0, promoted.err
    with pytest.MonkeyPatch.context() as patch:
        without_page_and_server(patch)
        yield first
    assert arena.state() == (first, None)


def control(arena: Arena, pair: PairVersions) -> None:
    """The pair passes, without becoming champion."""
    ended = arena.promote(pair, "--dry_run", "yes")
    assert ended.code == 0, ended.err
    assert "would be promoted" in ended.out


def assert_refused(ended: Ended, arena: Arena, champion: PairVersions, reason: str) -> None:
    assert ended.code == 1, ended.err
    assert reason in ended.err.splitlines()[-1]
    assert arena.state() == (champion, None)
    assert arena.locks() == []


def refusals(arena: Arena) -> list[str]:
    """Names of the criteria that the last decision refused."""
    return [row["name"] for row in arena.decision()["criteria"] if row["verdict"] == "refused"]


def test_a_good_pair_is_promoted_and_everything_served_for_real(
    arena: Arena, first: PairVersions, promoted: Ended
) -> None:
    assert promoted.code == 0, promoted.err
    assert arena.state() == (first, None)
    assert f"{first} is champion now; before it: none" in promoted.out
    served = {row["name"]: row for row in arena.decision()["criteria"] if row["section"] == "serves"}
    assert set(served) == {
        "input example reproduced by a fresh process: emulator",
        "input example reproduced by a fresh process: validator",
        "request answered by a server",
        "bad request refused by a server",
    }
    assert all(row["passed"] and not row["note"] for row in served.values())
    assert "<html" in (arena.folder / "output" / "promote" / "decision.html").read_text()


def test_the_record_says_what_why_who_and_when(arena: Arena, first: PairVersions, promoted: Ended) -> None:
    record, client = arena.decision(), arena.client
    assert record["outcome"] == "promoted"
    assert record["pair"] == asdict(first)
    assert record["before"] == {"champion": None, "previous": None}
    assert record["after"] == {"champion": asdict(first), "previous": None}
    assert record["contract"] == {"name": "arena", "digest": ARENA.digest}
    assert record["digests"]["emulator"] == client.get_model_version(MODELS.emulator, "1").tags["digest"]
    assert {"emulator", "validator", "judge 2", "judge 3"} == set(record["digests"])
    assert "@" in record["who"]
    assert "version.mlflow" in record["provenance"]
    assert record["settings"]["seed"] == ARENA.sampling.gate_seed
    kept = client.download_artifacts(record["run_id"], "decision.json")
    assert json.loads(Path(kept).read_text()) == record
    assert client.get_model_version(MODELS.emulator, "1").tags["promoted_by"] == record["run_id"]
    assert client.get_run(record["run_id"]).info.status == "FINISHED"


def test_leaked_runs(arena: Arena, champion: PairVersions) -> None:
    control(arena, arena.register(seen=["2" * 16]))
    leaky = arena.register(seen=gate_hashes(1))
    assert_refused(arena.promote(leaky), arena, champion, "gate runs that a model saw")
    assert refusals(arena) == ["gate runs that a model saw"]


def test_leaked_runs_whose_labels_were_rounded(arena: Arena, champion: PairVersions) -> None:
    labels = sampling.run_labels(ARENA, ARENA.sampling.gate_seed, 0, 3)
    control(arena, arena.register(seen=[value[:16] for value in sampling.run_hash(np.round(labels) + 7.0)]))
    rounded = labels.copy()
    rounded[:, 0] = np.round(labels[:, 0])
    leaky = arena.register(seen=[value[:16] for value in sampling.run_hash(rounded)])
    assert_refused(arena.promote(leaky), arena, champion, "gate runs that a model saw")
    assert refusals(arena) == ["gate runs that a model saw"]


def test_another_grid_is_an_evaluation_that_moves_no_champion(arena: Arena, champion: PairVersions) -> None:
    better = arena.register(ripple=1e-4)
    with arena.entered():
        rows = gate_rows()
        write_rows(Path("other.parquet"), replace(rows, flux=rows.flux + np.float32(1e-6)), ARENA)
        write_rows(Path("same.parquet"), rows, ARENA)
    ended = arena.promote(better, grid="other.parquet")
    assert_refused(ended, arena, champion, "an evaluation, which moves no champion")
    record = arena.decision()
    assert record["promoted"] is True
    assert record["after"] is None
    assert record["outcome"] == "promoted (evaluation)"
    assert "is not the gate set" in record["evaluation"]
    assert arena.promote(better, "--dry_run", "yes", grid="other.parquet").code == 0
    ended = arena.promote(better, "--dry_run", "yes", grid="same.parquet")
    assert "would be promoted" in ended.out
    assert arena.decision()["evaluation"] == ""


def test_fresh_runs_want_a_gate_set_that_goes_on_and_an_engine(arena: Arena, champion: PairVersions) -> None:
    ended = arena.promote(champion, "--dry_run", "yes", "--fresh_runs", "2")
    assert ended.code == 2
    assert "arena can't be synthesised" in ended.err.splitlines()[-1]
    with arena.entered():
        rows = gate_rows()
        write_rows(Path("moved.parquet"), replace(rows, run_id=rows.run_id + 1), ARENA)
    ended = arena.promote(champion, "--dry_run", "yes", "--fresh_runs", "2", grid="moved.parquet")
    assert ended.code == 2
    assert "holds other runs than the sequence of gate_seed" in ended.err.splitlines()[-1]


def test_smoke_preset(arena: Arena, champion: PairVersions) -> None:
    control(arena, arena.register(preset="default"))
    assert_refused(arena.promote(arena.register(preset="smoke")), arena, champion, "not smoke-trained")
    assert refusals(arena) == ["not smoke-trained"]


def test_too_few_runs(arena: Arena, champion: PairVersions) -> None:
    with arena.entered():
        write_rows(Path("few.parquet"), gate_rows(GATE_RUNS - 1), ARENA)
    control(arena, champion)
    assert_refused(arena.promote(champion, grid="few.parquet"), arena, champion, "evidence: runs")
    assert refusals(arena) == ["runs"]


def test_what_was_judged_is_recorded(arena: Arena, champion: PairVersions, monkeypatch: pytest.MonkeyPatch) -> None:
    control(arena, champion)
    gate = arena.decision()["gate"]
    assert gate["spectra"] == gate["spectra_in_set"] == len(gate_rows().run_id)
    monkeypatch.setattr("stellar_emulator.promotion.gate_set.MOST_JUDGED", 160)
    ended = arena.promote(champion, "--dry_run", "yes")
    record = arena.decision()
    assert (record["gate"]["spectra"], record["gate"]["spectra_in_set"]) == (160, gate["spectra"])
    assert record["settings"]["spectra"] == 160
    assert "judging on 160 spectra, drawn from the gate set's" in ended.err + ended.out


def test_a_champion_that_is_better(arena: Arena, champion: PairVersions) -> None:
    control(arena, arena.register(ripple=5e-4))
    worse = arena.register(ripple=7e-4)
    assert_refused(arena.promote(worse), arena, champion, "flux error / champion's")
    assert {name.split(",")[0] for name in refusals(arena)} == {"flux error / champion's"}


@pytest.mark.parametrize("altered", ["model.onnx", "fingerprint.npz", "contract.yaml", "model.json"])
def test_altered_artifact(arena: Arena, champion: PairVersions, altered: str) -> None:
    pair = arena.register() if altered == "model.onnx" else champion
    (path,) = bundle_files(arena, MODELS.emulator, pair.emulator, altered)
    content = path.read_bytes()
    changed = bytearray(content)
    changed[len(content) // 2] ^= 1
    path.write_bytes(changed)
    assert_refused(arena.promote(pair, "--dry_run", "yes"), arena, champion, altered)
    assert arena.decision()["outcome"] == "refused (dry run)"
    assert altered in arena.decision()["reason"]
    path.write_bytes(content)
    control(arena, pair)


def test_a_sound_bundle_that_is_not_the_registered_one(arena: Arena, champion: PairVersions) -> None:
    pair, other = arena.register(), arena.register(ripple=1e-4)
    files = {path.name: path for path in bundle_files(arena, MODELS.emulator, pair.emulator, "*")}
    contents = {path: path.read_bytes() for path in files.values()}
    for path in bundle_files(arena, MODELS.emulator, other.emulator, "*"):
        files[path.name].write_bytes(path.read_bytes())
    assert_refused(arena.promote(pair), arena, champion, "holds another model than was registered")
    for path, content in contents.items():
        path.write_bytes(content)
    control(arena, pair)


def bundle_files(arena: Arena, name: str, version: int, pattern: str) -> list[Path]:
    """Files of a registered bundle where they lie."""
    with arena.entered():
        model = arena.client.get_model_version(name, str(version))
        where = arena.client.get_logged_model(model.source.removeprefix("models:/")).artifact_location
    return sorted(Path(where.removeprefix("file://")).glob(f"artifacts/*/{pattern}"))


@pytest.mark.parametrize("missing", ["preset", "grid_digest", "seen_runs"])
def test_a_pair_that_nobody_trained_is_refused_in_one_line(
    arena: Arena, champion: PairVersions, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = champion_model(arena, champion).metadata
    less = {name: value for name, value in known.items() if name != missing}
    monkeypatch.setattr(LoadedModel, "metadata", property(lambda model: less))
    assert_refused(arena.promote(champion, "--dry_run", "yes"), arena, champion, f"says no {missing} of its training")


def champion_model(arena: Arena, pair: PairVersions) -> Emulator:
    with arena.entered():
        return Emulator.load(f"models:/{MODELS.emulator}/{pair.emulator}")


Alteration = Callable[[Arena], object]


def pointing(name: str, alias: str, version: int) -> Alteration:
    return lambda arena: arena.client.set_registered_model_alias(name, alias, str(version))


def tagged(name: str, tag: str, value: str) -> Alteration:
    return lambda arena: arena.client.set_model_version_tag(name, "1", tag, value)


ALTERED: dict[str, Alteration] = {
    "alias champion of arena-emulator points to version 2, and the decisions say version 1": pointing(
        MODELS.emulator, "champion", 2
    ),
    "alias previous of arena-emulator points to version 2, and the decisions say none": pointing(
        MODELS.emulator, "previous", 2
    ),
    "alias champion of arena-validator points to version 2, and the decisions say version 1": pointing(
        MODELS.validator, "champion", 2
    ),
    "tag validator_version of arena-emulator version 1 says '2', and decision 1": tagged(
        MODELS.emulator, "validator_version", "2"
    ),
    "tag digest of arena-emulator version 1 says 000000000000...": tagged(MODELS.emulator, "digest", "0" * 64),
    "tag digest_judge_2 of arena-validator version 1 says 000000000000...": tagged(
        MODELS.validator, "digest_judge_2", "0" * 64
    ),
    "code/stellar_emulator/errors.py was changed": lambda arena: write_code(arena, "\n# edited"),
}
"""Each alteration by what `history --verify` says of it."""


def write_code(arena: Arena, text: str) -> None:
    (folder,) = {path.parents[2] for path in bundle_files(arena, MODELS.emulator, 1, "model.json")}
    file = folder / "code" / "stellar_emulator" / "errors.py"
    file.write_text(file.read_text().removesuffix("\n# edited") + text)


@pytest.mark.parametrize("said", ALTERED)
def test_history_says_what_differs_from_the_decisions(arena: Arena, champion: PairVersions, said: str) -> None:
    if len(arena.client.search_model_versions(f"name='{MODELS.emulator}'")) < 2:
        arena.register()
    client = arena.client
    kept = {name: client.get_model_version(name, "1").tags for name in (MODELS.emulator, MODELS.validator)}
    assert arena.run("history", "--verify", "yes").code == 0
    try:
        ALTERED[said](arena)
        ended = arena.run("history", "--verify", "yes")
        assert ended.code == 1
        assert said in ended.err
        assert len(ended.err.splitlines()) == 1
    finally:
        for name, tags in kept.items():
            for tag, value in tags.items():
                client.set_model_version_tag(name, "1", tag, value)
            client.set_registered_model_alias(name, "champion", "1")
            client.delete_registered_model_alias(name, "previous")
        write_code(arena, "")


def test_stale_validation(arena: Arena, champion: PairVersions) -> None:
    pair = arena.register()
    control(arena, pair)
    with arena.entered():
        stale = arena.validation_run("another grid")
    arena.client.set_model_version_tag(MODELS.emulator, str(pair.emulator), "validation_run_id", stale)
    assert_refused(arena.promote(pair), arena, champion, "grid validation passed")
    assert refusals(arena) == ["grid validation passed"]


def test_no_validation_at_all(arena: Arena, champion: PairVersions) -> None:
    pair = arena.register()
    arena.client.delete_model_version_tag(MODELS.emulator, str(pair.emulator), "validation_run_id")
    assert_refused(arena.promote(pair), arena, champion, "different contracts")
    assert "grid validation passed" in refusals(arena)


def test_tampered_audit(arena: Arena, champion: PairVersions) -> None:
    control(arena, champion)
    run_id = arena.decision()["run_id"]
    record = Path(arena.client.get_run(run_id).info.artifact_uri.removeprefix("file://")) / "decision.json"
    content = record.read_text()
    record.write_text(content.replace('"who": "', '"who": "not '))
    for ended in (arena.promote(champion), arena.run("rollback"), arena.run("history", "--verify", "yes")):
        assert_refused(ended, arena, champion, f"(run {run_id}): its decision.json was changed")
    assert arena.run("history").code == 0
    record.write_text(content)
    control(arena, champion)
    assert "each as it was written" in arena.run("history", "--verify", "yes").out


def test_attempts_on_one_gate_set_are_counted(arena: Arena, champion: PairVersions) -> None:
    control(arena, champion)
    before = arena.decision()["attempts_before"]
    control(arena, champion)
    assert arena.decision()["attempts_before"] == before + 1 >= 1


def test_a_dry_run_changes_no_alias(arena: Arena, champion: PairVersions) -> None:
    better, before = arena.register(ripple=1e-4), arena.aliases()
    control(arena, better)
    assert arena.aliases() == before
    assert arena.decision()["after"] is None


def test_what_can_be_given_wrong_ends_with_one_line(arena: Arena, champion: PairVersions) -> None:
    for words, said in (
        (["promote", "--emulator", "99"], "has no version or alias '99'"),
        (["promote", "--emulator", "best"], "has no version or alias 'best'"),
        (["promote"], "contract arena has no embedded gate set"),
        (["rollback"], "no pair to go back to"),
    ):
        ended = arena.run(*words)
        assert ended.code == 2, ended.err
        assert said in ended.err.splitlines()[-1]
    assert arena.state() == (champion, None)


@pytest.mark.parametrize("verb", ["promote", "rollback", "history"])
def test_an_empty_registry_is_told_in_one_line(tmp_path: Path, verb: str) -> None:
    empty = Arena(tmp_path, f"sqlite:///{tmp_path / 'mlflow.db'}")
    (tmp_path / "contract.yaml").write_text(ARENA.source)
    ended = empty.run(verb)
    assert ended.code == 2
    assert f"no model {MODELS.emulator} is registered" in ended.err.splitlines()[-1]
    assert "Traceback" not in ended.err
    assert empty.locks() == []


def test_a_second_promotion_is_told_who_holds_the_lock(arena: Arena, champion: PairVersions) -> None:
    name = f"{MODELS.emulator}-lock-1"
    expires = str(time.time() + 200.0)
    tags = {"holder": "far-away", "machine": "m", "pid": "1", "since": "now", "token": "t", "expires": expires}
    arena.client.create_registered_model(name, tags=tags)
    try:
        for ended in (arena.promote(champion), arena.run("rollback")):
            assert ended.code == 3
            assert "far-away is promoting or rolling back" in ended.err
    finally:
        arena.client.delete_registered_model(name)
    control(arena, champion)


def test_derived_aliases_are_repaired_by_the_next_command(arena: Arena, champion: PairVersions) -> None:
    before = arena.aliases()
    arena.client.delete_registered_model_alias(MODELS.validator, "champion")
    arena.client.set_registered_model_alias(MODELS.validator, "previous", "1")
    control(arena, champion)
    assert arena.aliases() == before


def test_promoted_rolled_back_and_promoted_again(arena: Arena, champion: PairVersions) -> None:
    second, third = arena.register(ripple=3e-4), arena.register(ripple=2e-4)
    assert arena.promote(second).code == 0
    assert arena.promote(third).code == 0
    assert arena.state() == (third, second)
    stands = {alias: int(version) for alias, version in arena.aliases()[MODELS.validator].items()}
    assert stands == {"champion": third.validator, "previous": second.validator}
    repaired = arena.promote(third, "--validator", str(second.validator))
    assert repaired.code == 2
    assert "its tag defines that pair" in repaired.err
    for left in ((second, champion), (champion, None)):
        ended = arena.run("rollback", "--reason", "lines too deep")
        assert ended.code == 0, ended.err
        assert arena.state() == left
    history = arena.run("history", "--verify", "yes")
    assert history.code == 0
    assert "rolled back" in history.out
    assert "(lines too deep)" in history.out
    assert f"champion: {champion}; before it: none" in history.out


def test_the_ci_profile_can_set_no_champion(tmp_path: Path) -> None:
    """Whatever registry the environment names, .ci/promote ci decides in a dry run on one that is thrown away."""
    calls = run_profile(tmp_path, "ci", MLFLOW_TRACKING_URI="http://precious.example", MLFLOW_REGISTRY_URI="http://p")
    assert calls.returncode == 0, calls.stderr
    lines = (tmp_path / "calls").read_text().splitlines()
    assert len(lines) == 2
    assert "run . -e train -P preset=smoke" in lines[0]
    assert "run . -e promote -P dry_run=yes" in lines[1]
    for line in lines:
        assert line.startswith("sqlite:///")
        assert "precious" not in line
        assert "dry_run=no" not in line


def test_the_release_profile_wants_a_registry(tmp_path: Path) -> None:
    refused = run_profile(tmp_path, "release")
    assert refused.returncode == 3
    assert "MLFLOW_TRACKING_URI" in refused.stderr
    assert not (tmp_path / "calls").exists()
    assert run_profile(tmp_path, "release", MLFLOW_TRACKING_URI="http://team.example").returncode == 0
    assert "preset=default" in (tmp_path / "calls").read_text()
    assert "http://team.example run . -e promote -P dry_run=no" in (tmp_path / "calls").read_text()


def test_a_smoke_pair_that_passed_would_fail_ci(tmp_path: Path) -> None:
    assert "let a smoke-trained pair pass" in run_profile(tmp_path, "ci", PASSES="yes").stderr


def run_profile(folder: Path, profile: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run .ci/promote with an mlflow that only notes how it was called, and refuses as the gate refuses smoke."""
    mlflow_command = folder / "mlflow"
    mlflow_command.write_text(
        f"""#!/usr/bin/env bash
echo "$MLFLOW_TRACKING_URI${{MLFLOW_REGISTRY_URI:-}} $*" >> "{folder}/calls"
case "$*" in *dry_run=yes*)
    mkdir -p "{folder}/output/promote"
    echo '"outcome": "refused (dry run)"' > "{folder}/output/promote/decision.json"
    echo page > "{folder}/output/promote/decision.html"
    [ -n "${{PASSES:-}}" ]
esac
"""
    )
    mlflow_command.chmod(0o755)
    script = Path(__file__).parents[2] / ".ci" / "promote"
    environment = {"PATH": f"{folder}:/usr/bin:/bin", **variables}
    command = ["bash", str(script), profile, str(folder / "output")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
