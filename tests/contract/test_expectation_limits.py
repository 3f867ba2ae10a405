"""The contract's section ``expectations``: what it may say, and what a mistake in it is answered with."""

import pytest
from synthetic import GAIA, TINY

from stellar_emulator.contract.contract import parse_contract
from stellar_emulator.contract.expectation_limits import Expectations
from stellar_emulator.errors import InputError
from stellar_emulator.validation.expectations import own_expectations
from stellar_emulator.validation.rules import rules


def with_expectations(section):
    return parse_contract(f"{TINY.source}\nexpectations: {section}", "mine.yaml")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("{spikes: {upper: 0.1}}", "no expectation is called spikes: known are continuum, contrast, clipped_pixels, "),
        ("{spike: {lower: 0.1}}", "field expectations.spike.upper: Field required"),
        ("{spike: {upper: much}}", "field expectations.spike.upper: Input should be a valid number"),
        ("{contrast: {lower: .nan}}", "field expectations.contrast.lower: Input should be a finite number"),
        ("{continuum: {quantile: 0.99}}", "field expectations.continuum: give lower, upper or both"),
        (
            "{continuum: {quantile: 0.99, lower: 1.1, upper: 0.9}}",
            "field expectations.continuum: lower (1.1) must not exceed upper (0.9)",
        ),
        (
            "{rank_correlation: [{measure: mean flux, label: logg, lower: 0.5, values: 100}]}",
            "expectations: logg is no label of this contract (teff, m_h, vsini)",
        ),
        (
            "{rank_correlation: [{measure: depth Ca II 8542, label: teff, lower: 0.5, values: 100}]}",
            "expectations: depth Ca II 8542 is no measure of this contract (mean flux, line width, depth line 5050)",
        ),
        (
            "{line_position: [{line: Ca II 8542, half_width: 1.0, upper: 0.02}]}",
            "expectations: Ca II 8542 is no line of this contract (line 5050)",
        ),
        (
            "{line_position: [{line: line 5050, half_width: 1.0, upper: 0.02, where: {vsini: [20, 0]}}]}",
            "the first of two bounds must be the lower one, got 20 and 0",
        ),
    ],
)
def test_a_mistake_gets_one_line(section, message):
    with pytest.raises(InputError) as caught:
        with_expectations(section)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("mine.yaml: ")


def test_a_contract_without_the_section_expects_only_what_it_bounds():
    assert TINY.expectations == Expectations()
    assert {rule.expectation for rule in rules(TINY, [])} == {
        "ExpectTableColumnsToMatchOrderedList",
        "ExpectTableRowCountToBeBetween",
        "ExpectColumnValuesToNotBeNull",
        "ExpectColumnValuesToBeBetween",
        "ExpectFluxToBeFinite",
        "ExpectFluxToBeInRange",
        "ExpectSpectraToBeUnique",
    }


def test_one_limit_makes_one_rule():
    before, after = rules(TINY, []), rules(with_expectations("{spike: {upper: 0.1}}"), [])
    (further,) = {rule.sentence for rule in after} - {rule.sentence for rule in before}
    assert further == "No spectrum's flux has a spike: a pixel lies more than 0.1 off its neighbours."


def test_every_expectation_has_a_class_with_a_docstring_and_a_sentence():
    from great_expectations import expectations as theirs

    for rule in rules(GAIA, []):
        kind = own_expectations().get(rule.expectation) or getattr(theirs, rule.expectation)
        assert kind.__doc__
        assert rule.sentence.endswith(".")
