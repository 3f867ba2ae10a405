"""The command: its options, MLproject's entry points, help, exit codes."""

import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from synthetic import ROOT

from stellar_emulator.cli import main
from stellar_emulator.cli.command import VERBS, build_parser
from stellar_emulator.errors import InputError, RefusedError, SetupError


def text_of(name: str) -> str:
    return (ROOT / name).read_text()


def test_mlproject_and_command_have_the_same_parameters_and_defaults() -> None:
    project = yaml.safe_load(text_of("MLproject"))
    assert project["name"] == "stellar-emulator"
    assert project["conda_env"] == "conda.yaml"
    assert list(project["entry_points"]) == [verb.name for verb in VERBS]
    for verb in VERBS:
        entry = project["entry_points"][verb.name]
        defaults = {name: parameter["default"] for name, parameter in entry["parameters"].items()}
        assert defaults == {option.name: option.default for option in verb.options}
        words = entry["command"].format(**defaults).split()
        assert words[:4] == ["python", "-m", "pipelines", verb.name]
        assert build_parser().parse_args([verb.name, *words[4:]]) == build_parser().parse_args([verb.name])


def test_every_verb_has_an_entry_point_that_runs_this_checkout() -> None:
    for verb in VERBS:
        done = subprocess.run(
            [sys.executable, "-S", "-m", "pipelines", verb.name, "--help"],  # -S: no installed copy can be found
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert verb.help.split(".")[0].split()[0] in done.stdout
        assert f"stellar-emulator {verb.name}" in done.stdout


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from stellar_emulator.cli import main\n"
        "try:\n    main(['train', '--help'])\n"
        "except SystemExit:\n    print(' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert "stellar_emulator" in loaded
    assert not loaded & {
        "tensorflow",
        "keras",
        "mlflow",
        "numpy",
        "pandas",
        "scipy",
        "great_expectations",
        "distributed",
    }


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["generate-everything"],
        ["train", "--presets", "smoke"],
        ["train", "--pre", "smoke"],
        ["train", "--seed", "-1"],
        ["train", "--seed", "contract"],
        ["train", "--contract", ""],
        ["synthesize", "--runs", "0"],
        ["synthesize", "--workers", "1.5"],
    ],
)
def test_bad_options_end_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("error", "exit_code", "said"),
    [
        (RefusedError("the grid\nis empty"), 1, "error: the grid is empty"),
        (InputError("grid x.npz is missing"), 2, "error: grid x.npz is missing"),
        (SetupError("no gfortran"), 3, "error: no gfortran"),
        (ModuleNotFoundError("No module named 'numpy'", name="numpy"), 3, "error: the Python package numpy is missing"),
        (KeyboardInterrupt(), 130, "interrupted: the same command goes on"),
    ],
)
def test_a_job_that_fails_ends_with_one_line_and_its_exit_code(
    error: BaseException,
    exit_code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    job = ModuleType("stellar_emulator.cli.train")

    def run(options: Namespace) -> None:
        assert options.preset == "smoke"
        raise error

    monkeypatch.setattr(job, "run", run, raising=False)
    monkeypatch.setitem(sys.modules, job.__name__, job)
    assert main(["train", "--preset", "smoke"]) == exit_code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"stellar-emulator: {said}")


def test_options_are_read_into_types() -> None:
    parse = build_parser().parse_args
    assert parse(["synthesize"]).seed is parse(["synthesize"]).realisations is parse(["synthesize"]).workers is None
    assert parse(["synthesize", "--seed", "7", "--workers", "3"]) == Namespace(
        **{**vars(parse(["synthesize"])), "seed": 7, "workers": 3}
    )
    assert parse(["train"]).seed == 1
    assert parse(["train", "--output", "a b"]).output == Path("a b")
