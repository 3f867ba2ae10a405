"""A label's bounds and median are in order, or named with the label and the values; its title carries its unit."""

import pytest
from synthetic import GAIA, TINY

from stellar_emulator.contract.contract import parse_contract
from stellar_emulator.errors import InputError


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "lower: 4000.0, upper: 8000.0",
            "lower: 8000.0, upper: 4000.0",
            r"labels\.0: label teff: lower \(8000\.0\) must",
        ),
        ("lower: 4000.0, upper: 8000.0", "lower: .nan, upper: 8000.0", r"field labels\.0\.lower: .*finite"),
        ("lower: 4000.0, upper: 8000.0", "lower: cold, upper: 8000.0", r"field labels\.0\.lower: .*\(got 'cold'\)"),
        ("upper: 8000.0,", "upper: 8000.0, median: 9000.0,", r"teff: median \(9000\.0\) must lie between 4000\.0 and"),
        ("upper: 8000.0,", "upper: 8000.0, median: 4000.0,", r"teff: median \(4000\.0\) must lie between"),
    ],
)
def test_bounds_out_of_order_are_refused(old: str, new: str, message: str) -> None:
    parse_contract(TINY.source)
    assert old in TINY.source
    with pytest.raises(InputError, match=message) as refused:
        parse_contract(TINY.source.replace(old, new, 1))
    assert len(str(refused.value).splitlines()) == 1


def test_bounds_are_inclusive_and_stand_in_the_contract_s_order() -> None:
    assert [(label.lower, label.upper) for label in TINY.labels] == [(4000.0, 8000.0), (-1.0, 0.5), (0.0, 100.0)]
    assert TINY.lower.tolist() == [4000.0, -1.0, 0.0]
    assert TINY.upper.tolist() == [8000.0, 0.5, 100.0]


def test_titles_carry_units_where_there_are_any() -> None:
    labels = {label.name: label.title for label in GAIA.labels}
    assert labels["teff"] == r"$T_\mathrm{eff}$ (K)"
    assert labels["resolution"] == "$R$"
