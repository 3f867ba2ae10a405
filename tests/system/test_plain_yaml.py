"""YAML that would crash the process, fill its memory or say two things at once, beside the same without the fault."""

from pathlib import Path

import pytest

from stellar_emulator.errors import InputError
from stellar_emulator.system import plain_yaml
from stellar_emulator.system.plain_yaml import parse_yaml, read_text


def aliases(levels: int, merge: str = "") -> str:
    first = "a0: &a0 {x: 1}\n"
    names = [", ".join([f"*a{level - 1}"] * 9) for level in range(1, levels)]
    given = [
        f"a{level}: &a{level} {{<<: [{name}]}}" if merge else f"a{level}: &a{level} [{name}]"
        for level, name in enumerate(names, start=1)
    ]
    return first + "\n".join(given)


# Each fault beside what differs from it in the fault alone.
PAIRS = {
    "brackets": ("[" * 50_000, "[" * 20 + "]" * 20, "nested deeper than 32 levels in line 1"),
    "braces": ("{" * 50_000, "{a: {a: {a: 1}}}", "nested deeper than 32"),
    "a list in a list": ("- " * 50_000 + "a", "- " * 20 + "a", "nested deeper than 32"),
    "keys": ("? " * 50_000, "? a", "nested deeper than 32"),
    "blocks": ("\n".join(" " * depth + "a:" for depth in range(2000)), "a:\n b:\n  c:", "nested deeper than 32"),
    "aliases": (aliases(12), aliases(3), "holds more than 1,000,000 values"),
    "merges": (aliases(12, "merge"), aliases(3, "merge"), "holds more than 1,000,000 values"),
    "an alias of itself": ("a: &a [*a]", "a: &a [1]\nb: *a", "alias *a stands for nothing before it, or for itself"),
    "a key twice": ("name: a\nname: b", "name: a\nnames: b", "key 'name' is given twice"),
    "a key twice below": ("a: {b: 1, 'b': 2}", "a: {b: 1, 'c': 2}", "key 'b' is given twice"),
    "a number twice": ("1: a\n0x1: b", "1: a\n0x2: b", "key 1 is given twice"),
    "a Python tag": ("a: !!python/object/apply:os.getpid []", "a: !!str 1", "could not determine a constructor"),
    "a date that is none": ("a: 2001-99-99", "a: 2001-09-09", "month must be in 1..12"),
    "a number that is none": ("a: !!int ''", "a: !!int '1'", "no valid YAML"),
    "digits": ("a: " + "9" * 5000, "a: " + "9" * 300, "no valid YAML"),
    "a long value": ("a: " + "x" * 200_000, "a: " + "x" * 2000, "a value of 200000 characters is too long"),
    "a list as a key": ("[a]: 1", "a: 1", "unhashable"),
    "two documents": ("a: 1\n---\na: 2", "---\na: 1", "single document"),
    "control characters": ("a: \x1b[2J", "a: [2J]", "control characters are not allowed"),
}


@pytest.mark.parametrize("fault", PAIRS)
def test_a_fault_is_refused_in_one_line_and_its_absence_is_not(fault: str) -> None:
    bad, good, said = PAIRS[fault]
    parse_yaml(good, "file.yaml")
    with pytest.raises(InputError) as refused:
        parse_yaml(bad, "file.yaml")
    message = str(refused.value)
    assert message.startswith("file.yaml")
    assert said in message
    assert "\n" not in message
    assert len(message) < 400


def test_what_is_merged_can_be_given_anew() -> None:
    assert parse_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}", "")["b"] == {"x": 1, "y": 3}


def test_a_long_file_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_yaml, "MOST_BYTES", 100)
    (tmp_path / "short.yaml").write_text("a" * 100)
    (tmp_path / "long.yaml").write_text("a" * 101)
    (tmp_path / "other.yaml").write_bytes(b"\xff")
    assert read_text(tmp_path / "short.yaml", "it") == "a" * 100
    with pytest.raises(InputError, match="it exceeds"):
        read_text(tmp_path / "long.yaml", "it")
    with pytest.raises(InputError, match="no UTF-8 text"):
        read_text(tmp_path / "other.yaml", "it")
