"""The verb ``tune``: trials in MLflow, a preset that trains, kills at random moments, chief and workers."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from mlflow.entities import Run
from synthetic import ROOT
from workplace import CONTRACT, Workplace

from stellar_emulator.networks.preset import Preset, read_preset
from stellar_emulator.registry import tracking
from stellar_emulator.tuning.hypermodel import OPTIMIZERS

BUDGET = {"algorithm": "random", "epochs": "1", "minutes": "30", "trial_minutes": "10"}


def words(output: str, **changed: str) -> list[str]:
    given = {"contract": str(CONTRACT), "grid": "grid.npz", "output": output, **BUDGET, **changed}
    return ["tune", *(word for name, value in given.items() for word in (f"--{name}", value))]


def rows(workplace: Workplace, output: str) -> list[dict[str, str]]:
    with (workplace.folder / output / "trials.csv").open() as stream:
        return list(csv.DictReader(stream))


def parent_and_trials(workplace: Workplace, output: str) -> tuple[str, list[Run]]:
    """Run of the search in a folder, and its children that are trials."""
    run_id = json.loads((workplace.folder / output / "search.json").read_text())["run_id"]
    children = workplace.client.search_runs(["0"], f"tags.`mlflow.parentRunId` = '{run_id}'")
    return run_id, [child for child in children if "trial" in child.data.tags]


def searches(workplace: Workplace, target: str) -> list[Run]:
    return workplace.client.search_runs(["0"], f"attributes.run_name = 'tune {target}'")


@pytest.fixture
def small_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    """The paper's label network, a tenth as wide: each epoch writes a hundred megabytes of the true one's state."""

    def small(name: str) -> Preset:
        stated = read_preset(name)
        network = stated.label_network.model_copy(update={"hidden": (500, 200, 51, 32)})
        return stated.model_copy(update={"label_network": network}) if name == "paper" else stated

    monkeypatch.setattr("stellar_emulator.cli.tune.read_preset", small)


@pytest.mark.usefixtures("small_paper")
def test_a_search_leaves_trials_a_front_and_a_preset_that_can_be_read(workplace: Workplace) -> None:
    ended = workplace.run(*words("searched", target="chain", trials="3"))
    assert ended.code == 0, ended.err
    assert ended.errors == []
    output = workplace.folder / "searched"
    run_id, trials = parent_and_trials(workplace, "searched")
    parent = workplace.client.get_run(run_id)
    assert parent.info.status == "FINISHED"
    found = rows(workplace, "searched")
    assert [row["origin"] for row in found] == ["paper", "learned", "searched"]
    assert {trial.data.tags["trial"] for trial in trials} == {row["trial"] for row in found}
    for trial in trials:
        assert trial.info.status == "FINISHED"
        assert trial.data.tags["verdict"] == "completed"
        assert trial.data.metrics["mae"] > 0.0
        assert 0.0 < trial.data.metrics["fit_seconds"] <= trial.data.metrics["seconds"]
        assert trial.data.metrics["label_network.val_loss"] > 0.0
        assert trial.data.params["cfg.optimizer"] in OPTIMIZERS
    (chosen,) = [row for row in found if row["chosen"] == "True"]
    assert parent.data.tags["chosen"] == chosen["trial"]
    assert parent.data.metrics["chosen.mae"] == pytest.approx(float(chosen["mae"]))
    preset = read_preset(str(output / "preset.yaml"))
    assert (preset.name, preset.search_run) == ("found", run_id)
    assert (output / "figures" / "pareto.png").read_bytes().startswith(b"\x89PNG")
    artifacts = {item.path for item in workplace.client.list_artifacts(run_id)}
    assert {"trials.csv", "preset.yaml", "figures"} <= artifacts
    assert "times that of preset paper" in ended.out
    assert f"search run {run_id} in {workplace.store}" in ended.out


@pytest.mark.usefixtures("small_paper")
def test_the_same_command_again_changes_nothing_and_more_trials_go_on(workplace: Workplace) -> None:
    options = {"target": "label_network"}
    first = workplace.run(*words("again", trials="2", **options))
    assert first.code == 0, first.err
    before = rows(workplace, "again")
    run_id, _ = parent_and_trials(workplace, "again")
    assert workplace.run(*words("again", trials="2", **options)).code == 0
    assert rows(workplace, "again") == before
    more = workplace.run(*words("again", trials="3", **options))
    assert more.code == 0, more.err
    assert [row["trial"] for row in rows(workplace, "again")] == ["0", "1", "2"]
    assert rows(workplace, "again")[0]["mae"] == before[0]["mae"]
    again, trials = parent_and_trials(workplace, "again")
    assert again == run_id
    assert sorted(trial.data.tags["trial"] for trial in trials) == ["0", "1", "2"]
    assert len(searches(workplace, "label_network")) == 1


def process(workplace: Workplace, *arguments: str) -> "subprocess.Popen[bytes]":
    code = "import sys; from stellar_emulator.cli import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=workplace.folder,
        env={**os.environ, "MLFLOW_TRACKING_URI": workplace.store, "PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_killed_at_random_moments_no_trial_is_lost_repeated_or_doubled(workplace: Workplace) -> None:
    command = words("killed", target="autoencoder", trials="4", epochs="4")
    moments = random.Random(5)
    kills = 0
    for number in range(2):
        running = process(workplace, *command)
        state = workplace.folder / "killed" / "searches"
        while running.poll() is None and len(list(state.glob("*/trial_*/starts"))) <= number:
            time.sleep(0.02)
        time.sleep(moments.uniform(0.0, 2.0))
        if running.poll() is None:
            running.send_signal(signal.SIGKILL)
            kills += 1
        running.wait()
    assert kills > 0
    ended = {path.parent.name: path.read_bytes() for path in state.glob("*/trial_*/result.json")}
    last = workplace.run(*command)
    assert last.code == 0, last.err
    after = {path.parent.name: path.read_bytes() for path in state.glob("*/trial_*/result.json")}
    assert ended.items() <= after.items()  # those that had ended were not repeated
    expected = [str(number) for number in range(4)]
    assert [row["trial"] for row in rows(workplace, "killed")] == expected
    (oracle,) = (json.loads(path.read_text()) for path in state.glob("*/oracle.json"))
    assert sorted(oracle["start_order"]) == sorted(oracle["end_order"]) == expected
    run_id, trials = parent_and_trials(workplace, "killed")
    assert sorted(trial.data.tags["trial"] for trial in trials) == expected
    assert {trial.info.status for trial in trials} == {"FINISHED"}
    (parent,) = searches(workplace, "autoencoder")
    assert (parent.info.run_id, parent.info.status) == (run_id, "FINISHED")
    for trial in trials:
        history = workplace.client.get_metric_history(trial.info.run_id, "autoencoder.val_loss")
        steps = [metric.step for metric in history]
        assert sorted(steps) == list(range(len(steps)))  # each epoch once, those before a kill too


def test_a_chief_and_two_workers_share_one_search(workplace: Workplace) -> None:
    ended = workplace.run(*words("team", target="autoencoder", trials="4", workers="2", seed="2"))
    logs = "".join(path.read_text() for path in (workplace.folder / "team").glob("searches/*/worker*.log"))
    assert ended.code == 0, ended.err + logs
    _, trials = parent_and_trials(workplace, "team")
    assert sorted(trial.data.tags["trial"] for trial in trials) == ["0", "1", "2", "3"]
    assert {trial.info.status for trial in trials} == {"FINISHED"}
    assert [row["verdict"] for row in rows(workplace, "team")] == ["completed"] * 4
    assert "Traceback" not in logs
    assert not [name for name in os.environ if name.startswith("KERASTUNER_")]


def test_under_mlflow_run_a_search_that_goes_on_keeps_its_run(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`mlflow run` opens a run and names it in the environment: the first is the search's, later ones point to it."""
    output = workplace.folder / "project"
    client = workplace.client
    with workplace.entered():
        opened = [client.create_run("0", run_name=name).info.run_id for name in ("first", "second")]
        monkeypatch.setenv("MLFLOW_RUN_ID", opened[0])
        with tracking.start_job("tune chain", output) as search:
            child = tracking.take_up_child(search.run_id, "trial 0", {"trial": "0"})
        monkeypatch.setenv("MLFLOW_RUN_ID", opened[1])
        with tracking.start_job("tune chain", output, search.run_id) as again:
            assert client.get_run(child.run_id).info.status == "KILLED"  # by nobody but this folder's next job
            assert tracking.take_up_child(again.run_id, "trial 0", {"trial": "0"}) == child
            with tracking.start_run("grid validation") as own:
                assert own.run_id not in opened
            child.end("FINISHED")
        with tracking.start_job("tune chain", output, "0" * 32) as fresh:
            assert fresh.run_id != search.run_id  # a run that this store doesn't know
    assert search.run_id == again.run_id == opened[0]
    assert client.get_run(opened[0]).info.status == "FINISHED"
    assert client.get_run(opened[1]).data.tags["goes_on"] == opened[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"minutes": "2", "trial_minutes": "3"}, "trial_minutes = 3 is more than minutes = 2.*give the search more"),
        ({"grid": "nowhere.npz"}, r"nowhere\.npz does not exist"),
        ({"grid": "embedded"}, "contract tiny has no embedded grid"),
    ],
)
def test_bad_options_are_refused_in_one_line(workplace: Workplace, options: dict[str, str], message: str) -> None:
    ended = workplace.run(*words("wrong", **options))
    assert ended.code == 2, ended.err
    (line,) = ended.errors
    assert pd.Series([line]).str.contains(f"^stellar-emulator: error: .*{message}", regex=True).all(), line


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("target", "validator", "'validator' is neither chain nor autoencoder nor label_network"),
        ("algorithm", "grid", "'grid' is neither hyperband nor bayesian nor random"),
        ("trials", "0", "'0' is no whole number from 1 up"),
        ("minutes", "nan", "'nan' is no number of minutes above 0"),
        ("workers", "many", "'many' is no whole number from 1 up"),
    ],
)
def test_bad_values_are_named(
    workplace: Workplace, capsys: pytest.CaptureFixture[str], option: str, value: str, message: str
) -> None:
    from stellar_emulator.cli import main

    with pytest.raises(SystemExit, match="2"):
        main(["tune", f"--{option}", value])
    assert f"argument --{option}: {message}" in capsys.readouterr().err
