"""Front, choice, verdicts and tables of a search."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stellar_emulator.errors import RefusedError
from stellar_emulator.networks.preset import read_preset
from stellar_emulator.tuning.outcome import find_outcome, outcome_table, pareto_front, read_trials, summary, table_rows
from stellar_emulator.tuning.trial import Figures, TrialResult, figures_of, read_result, write_result


def trial(name: str, mae: float | None, milliseconds: float = 1.0, **changed: Any) -> TrialResult:
    figures = None
    if mae is not None:
        figures = Figures(mae, 2 * mae, 3 * mae, float("nan"), 10, 20, milliseconds)
    made = TrialResult(
        trial=name,
        origin="searched",
        earlier=None,
        values={"activation": "gelu", "tuner/epochs": 3},
        preset=read_preset("smoke"),
        verdict="failed" if mae is None else "completed",
        reason="its loss is nan" if mae is None else "",
        seconds=60.0,
        fit_seconds=50.0,
        figures=figures,
    )
    return replace(made, **changed)


def test_the_front_holds_what_nothing_beats_in_both() -> None:
    trials = [trial("a", 5e-3, 1.0), trial("b", 4e-3, 2.0), trial("c", 4.5e-3, 3.0), trial("d", 1e-3, 9.0)]
    assert [t.trial for t in pareto_front([*trials, trial("e", 6e-3, 1.0)])] == ["a", "b", "d"]


def test_the_smallest_error_is_chosen_and_a_tie_goes_to_the_cheaper() -> None:
    dear, even, worse = trial("dear", 1.000e-3, 9.0), trial("even", 1.019e-3, 3.0), trial("worse", 1.021e-3, 1.0)
    assert find_outcome([dear, even, worse]).chosen.trial == "even"
    assert find_outcome([dear, worse]).chosen.trial == "dear"


def test_failed_trials_stay_in_the_table_and_off_the_front() -> None:
    outcome = find_outcome([trial("a", None), trial("b", 2e-3)])
    assert [t.trial for t in outcome.front] == ["b"]
    failed, chosen = table_rows(outcome)
    assert (failed["verdict"], failed["reason"], failed["on_front"]) == ("failed", "its loss is nan", False)
    assert "mae" not in failed
    assert (chosen["chosen"], chosen["mae"], chosen["activation"]) == (True, 2e-3, "gelu")


@pytest.mark.parametrize("trials", [[], [trial("a", None)]])
def test_a_search_without_a_trained_trial_is_refused(trials: list[TrialResult]) -> None:
    with pytest.raises(RefusedError, match=r"none of . trials could be trained; the last one: (none|its loss is nan)"):
        find_outcome(trials)


def test_the_tables_say_what_was_gained() -> None:
    outcome = find_outcome([trial("0", 4e-3, 2.0, origin="paper"), trial("1", 1e-3, 1.0)])
    assert "flux MAE is 0.25 times that of preset paper" in summary(outcome)
    assert "2 completed" in summary(outcome)
    lines = outcome_table(outcome).splitlines()
    assert [line.split()[0] for line in lines] == ["trial", "0", "1"]
    assert lines[2].endswith("<- chosen")


def test_results_survive_their_files_and_earlier_trials_are_promoted(tmp_path: Path) -> None:
    written = [
        trial("0", 3e-3, verdict="pruned"),
        trial("1", 2e-3, verdict="pruned"),
        trial("2", 1e-3, earlier="1"),
    ]
    for result in written:
        folder = tmp_path / f"trial_{result.trial}"
        folder.mkdir()
        write_result(folder, result)
    (tmp_path / "trial_3").mkdir()
    found = read_trials(tmp_path, ["2", "1", "0", "3"])
    assert [(t.trial, t.verdict) for t in found] == [("2", "completed"), ("1", "promoted"), ("0", "pruned")]
    again = read_result(tmp_path / "trial_0")
    assert again is not None
    assert again.preset == written[0].preset
    assert figures_of(again) == figures_of(written[0])
    assert "hard_core_mae" not in figures_of(again)  # no spectra there: not a number
