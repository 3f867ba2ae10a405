"""The contract's section ``expectations``: what it may say, and what a mistake in it is answered with."""

import hashlib

import pytest
from synthetic import GAIA, TINY

from stellar_emulator.contract.contract import parse_contract, read_contract
from stellar_emulator.contract.expectation_limits import Expectations
from stellar_emulator.errors import InputError
from stellar_emulator.shipped.resources import contract_names
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


def beside(tmp_path, further, own=""):
    """The tiny contract, with further expectations in the file beside it."""
    (tmp_path / "mine.yaml").write_text(f"{TINY.source}\n{own}")
    (tmp_path / "mine.expectations.yaml").write_text(further)
    return read_contract(tmp_path / "mine.yaml")


def test_expectations_of_the_file_beside_a_contract_are_added(tmp_path):
    correlation = "{measure: mean flux, label: teff, lower: 0, values: 10}"
    own = f"expectations: {{spike: {{upper: 0.1}}, rank_correlation: [{correlation}]}}"
    further = (
        "lines: {further line: 5020.0}\n"
        "contrast: {lower: 0.01}\n"
        "rank_correlation: [{measure: depth further line, label: m_h, lower: 0.5, values: 20, curved: true}]\n"
    )
    found = beside(tmp_path, further, own)
    assert (found.expectations.spike.upper, found.expectations.contrast.lower) == (0.1, 0.01)
    assert [one.label for one in found.expectations.rank_correlation] == ["teff", "m_h"]
    assert "ExpectSpectrumToHaveContrast" in {rule.expectation for rule in rules(found, [])}


def test_they_change_the_check_and_not_the_contract_that_models_name(tmp_path):
    plain, found = parse_contract(f"{TINY.source}\n"), beside(tmp_path, "contrast: {lower: 0.01}")
    assert (found.digest, found.source) == (plain.digest, plain.source)
    assert plain.expectations_digest == ""
    assert found.expectations_digest == hashlib.sha256(b"contrast: {lower: 0.01}").hexdigest()
    assert plain.model_dump(mode="json") != found.model_dump(mode="json")
    assert "expectations_digest" not in plain.model_dump()


@pytest.mark.parametrize(
    ("further", "message"),
    [
        ("spike: {upper: 0.2}", "spike stands in the contract already: leave one of them out"),
        ("spikes: {upper: 0.2}", "no expectation is called spikes"),
        ("contrast: {lower: low}", "field contrast.lower: Input should be a valid number"),
        ("line_depth: [{line: Fe I, lower: 0.1}]", "Fe I is no line of this contract (line 5050)"),
        ("line_depth: [{line: line 5050, lower: 0.1, where: {logg: [4, 5]}}]", "logg is no label of this contract"),
        ("against: {shift: {logg: 0.1}}", "logg is no label of this contract"),
        ("lines: {line 5050: 5051.0}", "line line 5050 stands in regions.line_cores already"),
        ("- 1", "Input should be"),
        ("{", "is no valid YAML"),
    ],
)
def test_a_mistake_in_them_gets_one_line(tmp_path, further, message):
    with pytest.raises(InputError) as caught:
        beside(tmp_path, further, "expectations: {spike: {upper: 0.1}}")
    assert message in str(caught.value)
    assert "mine.expectations.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_they_are_no_contract_of_their_own():
    assert contract_names() == ["gaia_dr3_rvs", "gaia_dr3_rvs_stars", "gaia_dr4_rvs", "gaia_rvs", "rvs_stars"]
    assert GAIA.expectations.twins is not None
