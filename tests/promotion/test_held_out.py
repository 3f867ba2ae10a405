"""From a published grid to a champion without an edit: import, validate, train, evaluate, promote."""

import json

import foreign
import pytest
from arena import SERVED
from fresh_store import fresh_store
from workplace import Ended, Workplace

PRESET = """
name: swift
family: {family}
basis: 8
interpolation: cubic
validator:
  {{seeds: [1], components: 4, hidden: [8], activation: gelu, initializer: glorot_uniform, one_network_per_label: false,
   training: {{optimizer: adam, learning_rate: 0.01, schedule: constant, batch_size: 64, epochs: 2, patience: 2}}}}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A grid as it was imported, checked, trained on and evaluated."""
    folder = tmp_path_factory.mktemp("published")
    fresh_store(folder)
    made = Workplace(folder)
    foreign.ferre(folder / "grid.dat")
    (folder / "swift.yaml").write_text(PRESET.format(family="learned"))
    for words in (
        ["import", "grid.dat", "--output", "mine"],
        ["validate", *given(), "--output", "check"],
        ["train", *given(), "--preset", "swift.yaml", "--output", "trained"],
        ["evaluate", *given(), "--output", "evaluated"],
    ):
        ended = made.run(*words)
        assert ended.code == 0, ended.err
    return made


def given() -> list[str]:
    return ["--contract", "mine/contract.yaml", "--grid", "mine"]


def promote(place: Workplace, *words: str) -> Ended:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stellar_emulator.cli.promote.serving_criteria", lambda models, pair: [SERVED])
        return place.run("promote", *given(), "--output", "promoted", *words)


def test_a_drafted_contract_is_promoted_by_what_its_grid_allows(place: Workplace) -> None:
    ended = promote(place)
    assert ended.code == 0, ended.err
    assert "PROMOTED in attempt 1 without a gate, by 5-fold cross-validation over 12 runs" in ended.out
    assert "is champion now, promoted without a gate; before it: none" in ended.out
    record = json.loads((place.folder / "promoted" / "decision.json").read_text())
    assert record["outcome"] == "promoted (no gate)"
    assert "gate" not in record
    assert record["grid"]["spectra_in_set"] == 12
    assert "promoted without a gate" in (place.folder / "promoted" / "decision.html").read_text()
    (name,) = [name for name in place.versions() if name.endswith("-emulator")]
    version = place.client.get_model_version(name, "1")
    run = place.client.get_run(record["run_id"])
    assert version.tags["judged_by"] == run.data.tags["judged_by"]
    assert version.tags["judged_by"] == "5-fold cross-validation over 12 runs; no gate"
    assert run.data.metrics["held_out.emulator.inner_runs.mae"] < run.data.metrics["held_out.cubic_RBF.inner_runs.mae"]
    told = place.run("history", *given()[:2], "--verify", "yes")
    assert told.code == 0, told.err
    assert "promoted (no gate)" in told.out


def test_the_same_training_is_no_worse_than_the_champion(place: Workplace) -> None:
    ended = promote(place, "--dry_run", "yes")
    assert ended.code == 0, ended.err
    (row,) = [
        row
        for row in json.loads((place.folder / "promoted" / "decision.json").read_text())["criteria"]
        if row["section"] == "champion"
    ]
    assert (row["figure"], row["verdict"]) == (1.0, "passed")


def test_without_a_grid_nothing_can_be_judged(place: Workplace) -> None:
    ended = place.run("promote", *given()[:2])
    assert ended.code == 2
    assert "has no section gate, and so no gate set: name the grid that the pair was trained on" in ended.err
    ended = promote(place, "--fresh_runs", "3")
    assert ended.code == 2
    assert "--fresh_runs adds runs to a gate set" in ended.err


def test_another_grid_is_not_what_the_pair_was_trained_on(place: Workplace) -> None:
    foreign.ferre(place.folder / "other.dat", comment="SYNSPEC v49, again")
    text = (place.folder / "other.dat").read_text().splitlines()
    text[-1] = " ".join("0.999" for _ in text[-1].split())
    (place.folder / "other.dat").write_text("\n".join(text))
    assert place.run("import", "other.dat", "--output", "other").code == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stellar_emulator.cli.promote.serving_criteria", lambda models, pair: [SERVED])
        ended = place.run("promote", *given()[:2], "--grid", "other", "--output", "promoted")
    assert ended.code == 1
    assert "spectra are the grid that the pair was trained on" in ended.err
