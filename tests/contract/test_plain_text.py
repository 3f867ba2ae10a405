"""Texts of a contract are what they look like, wherever they are shown."""

from pathlib import Path

import pytest

from stellar_emulator.contract.contract import parse_contract
from stellar_emulator.errors import InputError
from stellar_emulator.evaluation.model_card import plain_markdown
from stellar_emulator.figures.style import formula, plain, title_of

TEXT = (Path(__file__).parents[1] / "data" / "tiny_contract.yaml").read_text()


def changed(**texts: str) -> str:
    """The tiny contract with other texts, in double quotes."""
    places = {
        "unit": "unit: K",
        "symbol": TEXT[TEXT.index("symbol: ") :].split(",")[0],
        "description": next(line for line in TEXT.splitlines() if line.startswith("description: ")),
        "emulator": "emulator: tiny-emulator",
    }
    found = TEXT
    for field, text in texts.items():
        assert places[field] in found
        found = found.replace(places[field], f'{field}: "{text}"', 1)
    return found


@pytest.mark.parametrize(
    ("field", "good", "bad", "said"),
    [
        ("unit", "km/s", "<script>", "a unit has letters"),
        ("unit", "10^-2 dex(cm / s2)", r"$\\frac{1}{0}$", "a unit has letters"),
        ("unit", "µm", "K\\u202e", "unit"),
        ("unit", "K", "K\\e[2J", "unit"),
        ("unit", "K", "K" * 61, "at most 60"),
        ("symbol", "T_{\\\\rm eff}", "T$ evil $", "without the dollar signs"),
        ("symbol", "T", "T\\e[2J", "unseen character U\\+001B"),
        ("description", "Spectra,\\n of stars", "Spectra\\a", "unseen character U\\+0007"),
        ("emulator", "a-b.c d", "../b", "field models.emulator"),
        ("emulator", "a", "a/b", "field models.emulator"),
    ],
)
def test_texts_that_are_obeyed_or_not_seen_are_refused(field: str, good: str, bad: str, said: str) -> None:
    parse_contract(changed(**{field: good}))
    with pytest.raises(InputError, match=said):
        parse_contract(changed(**{field: bad}))


@pytest.mark.parametrize("name", ["<b>", "a|b", "`a`", "$a$", "a\\\\b", "", "a\\e[0m", "a" * 61])
def test_names_of_lines_are_names(name: str) -> None:
    start = TEXT.index("line_cores: {") + len("line_cores: {")
    parse_contract(f'{TEXT[:start]}"H\u03b1 [2-1], air": 5010.0, {TEXT[start:]}')
    with pytest.raises(InputError, match=r"regions\.line_cores"):
        parse_contract(f'{TEXT[:start]}"{name}": 5010.0, {TEXT[start:]}')


def test_a_symbol_that_is_no_formula_is_shown_as_it_stands() -> None:
    good, bad = (parse_contract(changed(symbol=text)).labels[0] for text in ("T_{\\\\rm eff}", "\\\\frac{"))
    assert formula(good.symbol) == f"${good.symbol}$"
    assert formula(bad.symbol) == bad.symbol
    assert title_of(good) == good.title
    assert title_of(bad) == rf"\frac{{ ({bad.unit})"
    assert plain("a$b$.fits") == r"a\$b\$.fits"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[alpha/M] = 0, 10 km/s", "[alpha/M] = 0, 10 km/s"),
        ("a\n\n# b", "a # b"),
        ("<img src=x>", r"\<img src=x\>"),
        ("[a](http://b)", r"[a]\(http://b)"),
        ("a | `b` *c*", r"a \| \`b\` \*c\*"),
    ],
)
def test_markdown_shows_a_text_as_it_stands(text: str, shown: str) -> None:
    assert plain_markdown(text) == shown
