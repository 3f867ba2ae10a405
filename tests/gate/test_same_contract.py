import pytest
from world import CONTRACT, LIMITS, decided, refused_sections

from stellar_emulator.contract.contract import Contract, parse_contract, read_contract
from stellar_emulator.contract.gate_limits import ObservedLimits
from stellar_emulator.gate.same_contract import departures


def limits(**changes: object) -> Contract:
    return CONTRACT.model_copy(update={"gate": LIMITS.model_copy(update=changes)})


def test_the_same_contract_and_what_is_only_told_depart_in_nothing() -> None:
    assert departures(CONTRACT, CONTRACT) == []
    symbols = tuple(label.model_copy(update={"symbol": "x"}) for label in CONTRACT.labels)
    told = CONTRACT.model_copy(update={"labels": symbols, "description": "another", "digest": "d", "source": "s"})
    assert departures(told, CONTRACT) == []
    assert departures(limits(bias=0.1, runs=500), CONTRACT) == []


@pytest.mark.parametrize("name", ["gaia_rvs", "gaia_dr3_rvs"])
def test_the_contract_that_a_champion_keeps_is_that_of_the_next_challenger(name: str) -> None:
    # Models keep the contract's own text, without the file of further expectations beside it.
    ours = read_contract(name)
    kept = parse_contract(ours.source)
    assert ours.expectations_digest != kept.expectations_digest
    assert departures(ours, kept) == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"bias": 0.5}, "gate.bias (0.5, the champion's contract has 0.25)"),
        ({"runs": 100}, "gate.runs (100, the champion's contract has 400)"),
        ({"ratio": {**LIMITS.ratio, "teff": 3.0}}, "gate.ratio.teff (3, the champion's contract has 1.1)"),
        ({"skill": {**LIMITS.skill, "teff": 0.1}}, "gate.skill.teff (0.1, the champion's contract has 0.98)"),
        ({"fresh": LIMITS.fresh.model_copy(update={"spectra": 64})}, "gate.fresh.spectra"),
        ({"grid": "0" * 12}, "gate.grid"),
        ({"pixels": LIMITS.pixels.model_copy(update={"box": 1e9})}, "gate.pixels.box"),
    ],
)
def test_looser_limits_are_another_contract(changes: dict[str, object], named: str) -> None:
    (found,) = departures(limits(**changes), CONTRACT)
    assert found.startswith(named)


def test_limits_on_observed_spectra_may_be_added_and_neither_loosened_nor_left_out() -> None:
    strict, loose = (limits(observed=ObservedLimits(shift={"teff": bound})) for bound in (0.5, 0.6))
    assert departures(strict, CONTRACT) == []
    assert departures(strict, loose) == []
    assert departures(loose, strict) == ["gate.observed.shift.teff (0.6, the champion's contract has 0.5)"]
    left_out = ["gate.observed.shift.teff (left out)", "gate.observed.spectra (left out)"]
    assert departures(CONTRACT, strict) == left_out


def test_other_regions_and_bounds_are_another_contract() -> None:
    regions = CONTRACT.regions.model_copy(update={"line_core_half_width": 50.0})
    assert departures(CONTRACT.model_copy(update={"regions": regions}), CONTRACT) == ["regions"]
    wider = tuple(label.model_copy(update={"upper": label.upper + 1.0}) for label in CONTRACT.labels)
    assert departures(CONTRACT.model_copy(update={"labels": wider}), CONTRACT) == ["labels"]


def test_a_contract_that_departs_is_refused_by_that_alone() -> None:
    decision = decided(departures=("regions",))
    assert refused_sections(decision) == {"evidence"}
    (row,) = decision.refusals
    assert row.note == "regions: another contract wants names of its own for its models"
