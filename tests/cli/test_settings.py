"""Settings of the verbs: typed, frozen, and the one source of parser, job and page."""

import ast
import subprocess
import sys
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from synthetic import ROOT

from stellar_emulator.cli import main
from stellar_emulator.cli.parser import build_parser
from stellar_emulator.cli.settings import VERBS, Fit, Settings, Train, Verb

each_verb = pytest.mark.parametrize("verb", VERBS, ids=[verb.name for verb in VERBS])


def fits(value: object, kind: Any) -> bool:
    """Whether a value is of an annotated type, as far as settings have such."""
    if get_origin(kind) in (Union, UnionType):
        return any(fits(value, one) for one in get_args(kind))
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(fits(one, get_args(kind)[0]) for one in value)
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    plain = get_origin(kind) or kind
    return isinstance(value, (plain, int) if plain is float else plain)


@each_verb
def test_words_are_read_into_the_types_that_are_stated(verb: Verb) -> None:
    settings = verb.read(vars(build_parser().parse_args([verb.name])), "the command", {})
    assert type(settings) is verb.settings
    assert settings.command == "the command"
    types = get_type_hints(verb.settings)
    for one in fields(verb.settings):
        assert fits(getattr(settings, one.name), types[one.name]), one.name
    with pytest.raises(FrozenInstanceError):
        settings.command = "another"  # type: ignore[misc]


@each_verb
def test_settings_made_in_python_have_the_command_s_defaults(verb: Verb) -> None:
    parsed = verb.read(vars(build_parser().parse_args([verb.name])), Settings().command, {})
    assert verb.settings() == parsed


@each_verb
def test_each_job_takes_its_own_settings(verb: Verb) -> None:
    """Read from the source, since most jobs take seconds to import."""
    tree = ast.parse((ROOT / "src" / "stellar_emulator" / "cli" / f"{verb.module}.py").read_text())
    (run,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "run")
    (argument,) = run.args.args
    assert argument.annotation
    assert ast.unparse(argument.annotation).removeprefix("settings.") == verb.settings.__name__
    assert "Namespace" not in ast.unparse(tree)


def test_settings_are_plain_values() -> None:
    assert Train(preset="smoke").output == Path("output/train")
    assert Fit(given={"teff": "5777"}).continuum == 3
    assert Fit().files == (Path("spectrum.fits"),)


FAULTS = {
    "--verison": "option --verison is unknown: did you mean --version? stellar-emulator --help lists what there is",
    "": "no verb is given: give synthesize, import, validate, train",
    "trian": "verb trian is unknown: did you mean train? there are synthesize",
    "train --presets smoke": "option --presets is unknown: did you mean --preset? stellar-emulator train --help",
    "train --preset=": "argument --preset: it must not be empty",
    "train --seed": "argument --seed: expected one argument",
    "train --seed x": "argument --seed: 'x' is no whole number from 0 to",
    "train smoke": "smoke is one word too many: stellar-emulator train --help lists what it takes",
    "history --verify maybe": "argument --verify: 'maybe' is neither yes nor no",
    "fit --ouput a.csv": "option --ouput is unknown: did you mean --output?",
    "generate --teff": "option --teff wants one number: none follows",
}


@pytest.mark.parametrize("words", FAULTS)
def test_a_fault_of_the_words_is_one_line(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code == 2
    told = capsys.readouterr()
    (line,) = told.err.splitlines()
    assert line.startswith(f"stellar-emulator: error: {FAULTS[words]}")
    assert told.out == ""


def test_the_package_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stellar_emulator", "--version"],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("stellar-emulator ")


def test_the_page_on_the_command_tells_of_every_option(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    from command_reference import reference

    page = reference()
    for verb in VERBS:
        section = page.split(f"## {verb.name}\n")[1].split("\n## ")[0]
        for option in verb.options:
            assert f"| `{option.default}` | {option.help} |" in section
