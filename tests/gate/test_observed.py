"""Shifts on observed spectra: figures that can be counted by hand, and limits that pass and refuse."""

import json
from dataclasses import replace

import numpy as np
import pytest
from arena import ARENA
from world import CONTRACT, LIMITS, decided

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.gate_limits import ObservedLimits
from stellar_emulator.gate.decision import Criterion
from stellar_emulator.gate.observed import (
    FittedTwice,
    Observed,
    figures,
    observed_criteria,
    observed_table,
    observed_totals,
    told,
    with_observed,
)
from stellar_emulator.gate.page import page_without_gate

SETTINGS = {"place": "mine", "taken": "5 spectra", "fitted": 4, "unusable": 1, "first_reason": "3 shows no lines"}
SHIFTS = np.array([-10.0, 20.0, 30.0, 40.0])
QUANTITIES = len(CONTRACT.labels) + 1


def observed(contract: Contract = CONTRACT, alone: bool = False) -> Observed:
    """Four spectra whose first label moves by so many units of ten, and nothing else; the last is fitted worse."""
    fits = []
    for number, shift in enumerate(SHIFTS):
        moved, error = np.zeros(len(contract.labels) + 1), np.ones(len(contract.labels) + 1)
        moved[0], error[0] = shift, 10.0
        one = FittedTwice(moved, error, 100.0 + 6.0 * (number == 3), 100.0, 50)
        fits.append(replace(one, shift=moved * np.nan, champions=float("nan")) if alone else one)
    return Observed(tuple(fits), SETTINGS, alone)


def limited(spectra: int = 4, **shift: float) -> Contract:
    limits = LIMITS.model_copy(update={"observed": ObservedLimits(shift=shift, spectra=spectra)})
    return CONTRACT.model_copy(update={"gate": limits})


def refused(contract: Contract, found: Observed | None = None) -> list[str]:
    criteria = observed_criteria(contract, found or observed())
    return [row.name for row in criteria if row.verdict == "refused"]


def test_the_table_has_median_and_rms_in_units_and_in_errors() -> None:
    first, *others = observed_table(CONTRACT, observed())
    assert (first["label"], first["unit"]) == ("teff", "K")
    assert (first["shift"], first["shift_in_errors"]) == (25.0, 2.5)
    assert first["rms"] == pytest.approx(np.sqrt(750.0))
    assert first["rms_in_errors"] == pytest.approx(np.sqrt(7.5))
    assert [row["shift"] for row in others] == [0.0] * len(others)
    assert (others[-1]["label"], others[-1]["unit"]) == ("radial_velocity", "km/s")
    assert observed_totals(observed()) == {
        "spectra": 4,
        "chi_square": 2.0,
        "champion": 2.0,
        "change": 0.0,
        "worse": 0.25,
    }


def test_without_limits_nothing_counts() -> None:
    rows = observed_criteria(CONTRACT, observed())
    assert {row.verdict for row in rows} == {"not counted"}
    assert rows[0].name == "shift of teff on 4 observed spectra, in errors"
    assert rows[0].figure == 2.5
    assert rows[-1].name == "share of 4 observed spectra fitted worse"


def test_a_limit_refuses_a_shift_up_or_down_that_is_as_large_and_passes_a_smaller_one() -> None:
    assert refused(limited(teff=2.6)) == []
    assert refused(limited(teff=2.5)) == ["shift of teff on 4 observed spectra, in errors"]
    down = observed()
    turned = replace(down, fits=tuple(replace(one, shift=-one.shift) for one in down.fits))
    assert refused(limited(teff=2.5), turned) == ["shift of teff on 4 observed spectra, in errors"]
    assert refused(limited(radial_velocity=0.1)) == []


def test_limits_want_enough_spectra_and_errors_to_measure_by() -> None:
    assert refused(limited(5, teff=3.0)) == ["observed spectra"]
    found = observed()
    errorless = replace(found, fits=tuple(replace(one, error=0.0 * one.error) for one in found.fits))
    assert refused(limited(teff=1e9), errorless) == ["shift of teff on 4 observed spectra, in errors"]


def test_without_a_champion_the_challenger_is_told_and_nothing_counts() -> None:
    alone = observed(alone=True)
    assert observed_table(limited(teff=1e-9), alone) == []
    (row,) = observed_criteria(limited(teff=1e-9), alone)
    assert (row.figure, row.verdict) == (2.0, "not counted")
    assert observed_totals(alone) == {"spectra": 4, "chi_square": 2.0}


def test_criteria_stand_with_those_of_their_section() -> None:
    sections = [row.section for row in with_observed(CONTRACT, decided(), observed()).criteria]
    first, last = sections.index("champion"), len(sections) - sections[::-1].index("champion")
    assert set(sections[first:last]) == {"champion"}
    assert len(sections) == len(decided().criteria) + QUANTITIES + 1


def test_record_metrics_and_page_tell_it() -> None:
    serves = Criterion("serves", "answered", None, None, True)
    whole = with_observed(ARENA, replace(decided(), criteria=(serves,), basis="trial"), observed(ARENA))
    record = json.loads(json.dumps(whole.to_dict(), allow_nan=False))
    assert record["settings"]["observed"] == SETTINGS
    assert record["tables"]["observed"][0]["shift"] == 25.0
    assert figures(whole)["observed.teff.shift_in_errors"] == 2.5
    assert figures(whole)["observed.worse"] == 0.25
    assert told(SETTINGS) == "4 of 5 spectra of mine were fitted; 1 can't be used, the first: 3 shows no lines"
    text = page_without_gate(ARENA, whole, record)
    assert "4 of 5 spectra of mine were fitted" in text.replace("&#x27;", "'")
    assert "<td>teff (K)</td><td>+25</td><td>27.4</td><td>+2.5</td><td>2.74</td>" in text
    assert text.count('src="data:image/png;base64,') == 1
    alone = with_observed(ARENA, replace(decided(), basis="trial"), observed(ARENA, alone=True))
    text = page_without_gate(ARENA, alone, alone.to_dict())
    assert "Observed spectra" in text
    assert "image/png" not in text
    assert "Observed spectra" not in page_without_gate(ARENA, replace(decided(), basis="trial"), record)
