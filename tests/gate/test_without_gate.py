"""The decision on a pair whose contract has no gate: each fault beside a good pair that differs in that alone."""

from dataclasses import replace

import numpy as np
import pytest
from arena import SERVED

from stellar_emulator.gate.decision import Decision
from stellar_emulator.gate.page import page_without_gate
from stellar_emulator.gate.without_gate import Errors, Facts, HeldOut, decide_without_gate

RUNS = 20


def errors(scale: float) -> Errors:
    mae = scale * (1.0 + 0.1 * np.random.default_rng(2).random(2 * RUNS))
    return Errors(mae, 4.0 * mae**2)


GOOD = HeldOut(
    basis="5-fold cross-validation over 20 runs",
    run=np.repeat(np.arange(RUNS), 2),
    inner=np.repeat(np.arange(RUNS) > 3, 2),
    emulator=errors(1e-3),
    baseline=errors(2e-3),
    champion=None,
    registered=0.1,
    outside=0.0,
)
FACTS = Facts(
    smoke=False,
    contract_digests={"contract": "a", "emulator": "a", "validator": "a", "training grid": "a"},
    validation_passed=True,
    trained_on=True,
    departures=(),
    attempts_before=2,
)


def of_runs(runs: int) -> HeldOut:
    """The good pair on fewer runs."""
    first = slice(0, 2 * runs)
    ours, theirs = (Errors(one.mae[first], one.square[first]) for one in (errors(1e-3), errors(2e-3)))
    return replace(GOOD, run=GOOD.run[first], inner=GOOD.inner[first], emulator=ours, baseline=theirs)


def decided(found: HeldOut = GOOD, facts: Facts = FACTS) -> Decision:
    return decide_without_gate(found, facts, 7, [SERVED])


def test_a_good_pair_is_promoted_and_nothing_pretends_to_be_the_gate() -> None:
    decision = decided()
    assert decision.promoted, decision.refusals
    text = decision.summary()
    assert "PROMOTED in attempt 3 without a gate, by 5-fold cross-validation over 20 runs" in text
    assert "gate set" not in text
    assert "the validator was not judged" in text
    record = decision.to_dict()
    assert record["basis"] == "5-fold cross-validation over 20 runs"
    assert "limits" not in record["settings"]
    table = {(row["of"], row["where"]): row for row in record["tables"]["held_out"]}
    assert table["emulator", "inner runs"]["spectra"] == 32
    assert table["cubic RBF", "all runs"]["mae"] == pytest.approx(2.0 * table["emulator", "all runs"]["mae"])
    page = page_without_gate("mine", decision, {**record, "who": "<me>"})
    assert "mine: promoted without a gate" in page
    assert "Judged by 5-fold cross-validation over 20 runs." in page
    assert "&lt;me&gt;" in page


@pytest.mark.parametrize(
    ("found", "named"),
    [
        (replace(GOOD, baseline=errors(0.9e-3)), "MAE of flux at inner runs / cubic RBF's"),
        (replace(GOOD, baseline=None), "MAE of flux at inner runs / cubic RBF's"),
        (replace(GOOD, emulator=errors(np.nan)), "MAE of flux at inner runs / cubic RBF's"),
        (replace(GOOD, registered=1.1), "registered emulator, repeated / folds' error"),
        (replace(GOOD, registered=float("nan")), "registered emulator, repeated / folds' error"),
        (replace(GOOD, outside=1 / 4096), "share of spectra out of the flux range"),
        (replace(GOOD, champion=errors(0.9e-3)), "MAE of flux / champion's, 95 % lower bound"),
        (of_runs(9), "runs"),
    ],
)
def test_a_fault_of_the_spectra_refuses_by_itself(found: HeldOut, named: str) -> None:
    decision = decided(found)
    assert [row.name for row in decision.refusals] == [named]
    assert not decision.promoted
    assert "REFUSED in attempt 3 without a gate" in decision.summary()


@pytest.mark.parametrize(
    ("facts", "named"),
    [
        (replace(FACTS, smoke=True), "not smoke-trained"),
        (replace(FACTS, validation_passed=False), "grid validation passed"),
        (replace(FACTS, trained_on=False), "spectra are the grid that the pair was trained on"),
        (replace(FACTS, contract_digests={"contract": "a", "emulator": "b"}), "different contracts"),
        (replace(FACTS, departures=("gate (left out)",)), "fields in which the contract is not the champion's"),
    ],
)
def test_a_fault_of_the_training_refuses_by_itself(facts: Facts, named: str) -> None:
    assert [row.name for row in decided(facts=facts).refusals] == [named]


def test_an_equal_of_the_champion_is_promoted() -> None:
    assert decided(replace(GOOD, champion=GOOD.emulator)).promoted


def test_all_runs_count_where_none_lies_within_the_others() -> None:
    decision = decided(replace(GOOD, inner=np.zeros(2 * RUNS, dtype=bool)))
    assert decision.promoted
    assert "MAE of flux at all runs / cubic RBF's" in [row.name for row in decision.criteria]


def test_what_was_not_served_was_not_examined() -> None:
    decision = decide_without_gate(GOOD, FACTS, 7)
    assert decision.unexamined == ("serves",)
    assert not decision.promoted
