"""A search's course: given trials, budgets, failures, rounds of Hyperband, and every moment at which it may be killed.

Trials train nothing here: what a preset gives is a number made of its hyperparameters.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from keras_tuner.engine.trial import TrialStatus

from stellar_emulator.networks.preset import Preset, read_preset
from stellar_emulator.training.fit_network import Fit
from stellar_emulator.training.train_emulator import Fitting, StageReport
from stellar_emulator.tuning import tuner as tuner_module
from stellar_emulator.tuning.hypermodel import SearchSpace, Value, last_fit
from stellar_emulator.tuning.oracles import make_oracle
from stellar_emulator.tuning.outcome import read_trials
from stellar_emulator.tuning.plan import Algorithm, Plan
from stellar_emulator.tuning.targets import Workshop
from stellar_emulator.tuning.trial import Figures, TrialResult
from stellar_emulator.tuning.tuner import STARTS, PresetTuner


class Killed(BaseException):
    """Stands for SIGKILL: nothing of the search may catch it."""


class Bench:
    """In place of the workshop: trains nothing, and remembers what it was asked for."""

    materials = None

    def __init__(self) -> None:
        self.asked: list[tuple[Preset, float | None, Path | None]] = []
        self.failing: BaseException | None = None

    def train(self, preset: Preset, fitting: Fitting, start: Path | None) -> Preset:
        self.asked.append((preset, fitting.seconds, start))
        if self.failing is not None:
            raise self.failing
        run = last_fit(preset, "chain").epochs
        last = "chain" if preset.fine_tuning else "label_network"
        fitting.fits[last] = Fit({"loss": [1.0] * run, "val_loss": [1.0] * run}, run - 1, 2.0)
        return preset


class Notes:
    """A diary that remembers."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: dict[str, TrialResult] = {}

    def begin(self, trial: str, preset: Preset, values: Mapping[str, Value]) -> StageReport:
        self.begun.append(trial)
        return lambda name: lambda epoch, metrics: None

    def end(self, result: TrialResult) -> None:
        self.ended[result.trial] = result


def figures(materials: object, preset: Preset) -> Figures:
    tuned = last_fit(preset, "chain")
    return Figures(tuned.learning_rate * tuned.batch_size, 1.0, 1.0, 1.0, 1, 1, 1.0)


@pytest.fixture(autouse=True)
def _measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuner_module, "measure", figures)


def plan(algorithm: Algorithm = "random", **changed: Any) -> Plan:
    given = {"trials": 4, "epochs": 9, "minutes": 10.0, "trial_minutes": 1.0, "seed": 1}
    return Plan(target="chain", algorithm=algorithm, **{**given, **changed})


def searched(folder: Path, wanted: Plan, bench: Bench, notes: Notes) -> Any:
    """Search in a folder, or go on there, and return the oracle."""
    oracle = make_oracle(wanted)
    oracle.verbose = 0
    base = read_preset("default")
    given = {"paper": read_preset("paper"), "default": base}
    space, workshop = SearchSpace("chain", base, ("exact", "learned"), wanted.epochs), cast(Workshop, bench)
    PresetTuner(wanted, space, given, oracle, workshop, notes, folder).search()
    return oracle


@pytest.mark.parametrize("algorithm", ["random", "bayesian", "hyperband"])
def test_the_paper_is_first_and_the_default_second_whatever_the_algorithm(tmp_path: Path, algorithm: Algorithm) -> None:
    bench, notes = Bench(), Notes()
    oracle = searched(tmp_path / "search", plan(algorithm), bench, notes)
    assert oracle.start_order == ["0", "1", "2", "3"]
    assert [result.origin for result in notes.ended.values()] == ["paper", "default", "searched", "searched"]
    first, second = bench.asked[0], bench.asked[1]
    assert first[0].label_network.hidden == read_preset("paper").label_network.hidden
    assert first[0].fine_tuning is None
    assert second[0].fine_tuning is not None
    assert second[0].fine_tuning.epochs == 9
    assert first[1] == second[1] == 60.0


def test_one_seed_draws_the_same_trials_and_another_does_not(tmp_path: Path) -> None:
    values = []
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        notes = Notes()
        searched(tmp_path / name, plan(seed=seed), Bench(), notes)
        values.append([dict(result.values) for result in notes.ended.values()])
    assert values[0] == values[1]
    assert values[0][:2] == values[2][:2]
    assert values[0] != values[2]


def test_hyperband_goes_on_from_the_best_of_a_round_with_its_share_of_the_time(tmp_path: Path) -> None:
    bench, notes = Bench(), Notes()
    searched(tmp_path / "search", plan("hyperband", trials=16), bench, notes)
    results = read_trials(tmp_path / "search", notes.ended)
    promoted = [result for result in results if result.verdict == "promoted"]
    assert promoted
    for result in results:
        if result.earlier is None:
            continue
        earlier = notes.ended[result.earlier]
        preset, seconds, start = bench.asked[int(result.trial)]
        assert start == tmp_path / "search" / f"trial_{result.earlier}" / "networks"
        run = last_fit(preset, "chain").epochs
        assert seconds == pytest.approx(60.0 * run / 9)
        assert last_fit(result.preset, "chain").epochs == last_fit(earlier.preset, "chain").epochs + run
        assert result.preset.autoencoder == earlier.preset.autoencoder
    # The best of the first bracket's first round is among those that went on.
    round_0 = [result for result in results if result.origin == "searched" and result.values["tuner/round"] == 0]
    first = promoted[0].values["tuner/bracket"]
    bracket = [result for result in round_0 if result.values["tuner/bracket"] == first]
    assert min(bracket, key=lambda result: result.figures.mae if result.figures else 1e9) in promoted
    assert {result.verdict for result in bracket} == {"promoted", "pruned"}
    assert all(result.verdict == "completed" for result in results if result.values["tuner/epochs"] == 9)


@pytest.mark.parametrize("error", [MemoryError("no room"), RuntimeError("XLA: RESOURCE_EXHAUSTED"), ValueError("nan")])
def test_failures_are_kept_with_their_reason_and_the_search_goes_on(tmp_path: Path, error: Exception) -> None:
    bench, notes = Bench(), Notes()
    bench.failing = error
    oracle = searched(tmp_path / "search", plan(trials=6), bench, notes)
    assert len(notes.ended) == 6
    assert {trial.status for trial in oracle.trials.values()} == {TrialStatus.FAILED}
    for result in notes.ended.values():
        assert result.verdict == "failed"
        assert result.figures is None
        assert str(error) in result.reason


def test_a_search_ends_when_no_trial_has_time_and_more_time_takes_it_up(tmp_path: Path) -> None:
    bench, notes = Bench(), Notes()
    searched(tmp_path / "search", plan(minutes=1.0), bench, notes)
    assert list(notes.ended) == ["0"]  # the first always runs; after it less than trial_minutes are left
    oracle = searched(tmp_path / "search", plan(minutes=100.0), bench, notes)
    assert oracle.start_order == ["0", "1", "2", "3"]
    assert notes.begun == ["0", "1", "2", "3"]
    oracle = searched(tmp_path / "search", plan(minutes=100.0, trials=6), bench, notes)
    assert notes.begun == ["0", "1", "2", "3", "4", "5"]
    assert oracle.seconds > 0.0


def test_a_trial_that_ends_its_process_each_time_fails_at_last(tmp_path: Path) -> None:
    bench, notes = Bench(), Notes()
    bench.failing = Killed()
    for _ in range(STARTS):
        with pytest.raises(Killed):
            searched(tmp_path / "search", plan(trials=2), bench, notes)
    assert notes.begun == ["0"] * STARTS
    bench.failing = None
    searched(tmp_path / "search", plan(trials=2), bench, notes)
    assert notes.ended["0"].verdict == "failed"
    assert "ended 5 times" in notes.ended["0"].reason
    assert notes.ended["1"].verdict == "completed"


@pytest.mark.parametrize("algorithm", ["random", "hyperband"])
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_killed_at_any_write_it_goes_on_to_the_same_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: Algorithm, before: bool
) -> None:
    """Every file that a search keeps is renamed into place: it is killed just before or after each, then resumed."""
    wanted, reference = plan(algorithm), Notes()
    searched(tmp_path / "whole", wanted, Bench(), reference)
    killed = 0
    for moment in range(1, 1000):
        folder, bench, notes = tmp_path / f"killed{moment}", Bench(), Notes()
        with monkeypatch.context() as patched:
            patched.setattr(Path, "rename", _killing(moment, before))
            try:
                searched(folder, wanted, bench, notes)
            except Killed:
                killed += 1
            else:
                break
        known = {result.trial for result in read_trials(folder, [str(number) for number in range(4)])}
        first = len(bench.asked)
        oracle = searched(folder, wanted, bench, notes)
        assert oracle.start_order == ["0", "1", "2", "3"]
        assert sorted(oracle.end_order) == ["0", "1", "2", "3"]
        assert {trial.status for trial in oracle.trials.values()} == {TrialStatus.COMPLETED}
        assert len(bench.asked) - first == 4 - len(known)  # those that had ended are not trained again
        results = read_trials(folder, oracle.start_order)
        assert [dict(result.values) for result in results] == [dict(r.values) for r in reference.ended.values()]
    assert killed > 20


def _killing(moment: int, before: bool) -> Any:
    """`Path.rename` that kills at its n-th call, before or after it has renamed."""
    real, count = Path.rename, 0

    def rename(self: Path, target: Path) -> Path:
        nonlocal count
        count += 1
        if count == moment and before:
            raise Killed
        renamed = real(self, target)
        if count == moment:
            raise Killed
        return renamed

    return rename


@pytest.mark.parametrize("algorithm", ["random", "bayesian", "hyperband"])
@pytest.mark.parametrize("name", ["trial_1/trial.json", "trial_1/result.json", "oracle.json", "search.json"])
def test_a_search_goes_on_where_a_power_cut_emptied_one_of_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], algorithm: Algorithm, name: str
) -> None:
    folder, first = tmp_path / "search", Notes()
    searched(folder, plan(algorithm, trials=3), Bench(), first)
    before = {trial: first.ended[trial].values for trial in first.ended}
    (folder / name).write_bytes(b"")
    capsys.readouterr()
    notes = Notes()
    oracle = searched(folder, plan(algorithm, trials=4), Bench(), notes)
    assert oracle.start_order == ["0", "1", "2", "3"]
    assert [result.trial for result in read_trials(folder, oracle.start_order)] == ["0", "1", "2", "3"]
    begun_again = set(notes.begun) & set(before)
    if name == "search.json":
        assert not begun_again
    else:
        assert f"{folder / name} is damaged: trials are drawn anew" in capsys.readouterr().err
        assert begun_again <= {"1"} or algorithm == "hyperband"
        kept = sum(result.seconds for trial, result in first.ended.items() if trial not in begun_again)
        assert oracle.seconds >= kept
    for trial in set(before) - begun_again:
        assert read_trials(folder, [trial])[0].values == before[trial]
