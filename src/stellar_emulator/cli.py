"""The command ``stellar-emulator``: one verb for each entry point of MLproject, one option for each parameter.

Nothing heavy is imported before a verb runs, so that ``--help`` answers at once.
"""

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from stellar_emulator.errors import SetupError, StellarEmulatorError
from stellar_emulator.version import VERSION

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

MAXIMUM_SEED = 2**32 - 1
MAXIMUM_PORT = 2**16 - 1


@dataclass(frozen=True)
class Option:
    """One option of a verb; the default is written as a user would write it."""

    name: str
    default: str
    kind: Callable[[str], object]
    help: str
    positional: bool = False


@dataclass(frozen=True)
class Verb:
    """One verb, carried out by the function ``run`` of the module of its name in `stellar_emulator.jobs`."""

    name: str
    help: str
    options: tuple[Option, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code: 0 done, 1 refused by a check, 2 bad input, 3 environment."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    options = build_parser().parse_args(words)
    options.command = shlex.join(["stellar-emulator", *words])
    try:
        import_module(f"stellar_emulator.jobs.{options.verb}").run(options)
    except StellarEmulatorError as error:
        return _failure(error)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("stellar_emulator"):
            raise
        remedy = "run `python3 start.py setup` in the checkout and use the Python in its folder .venv"
        return _failure(SetupError(f"the Python package {error.name} is missing in {sys.executable}: {remedy}"))
    except KeyboardInterrupt:
        _say("interrupted: the same command goes on where it stopped")
        return INTERRUPTED
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Parser of the whole command; a parsed namespace holds ``verb`` and one attribute for each option."""
    parser = argparse.ArgumentParser(
        prog="stellar-emulator",
        description="Emulators of stellar spectra: computed grids, trained networks, accuracies.",
        epilog="Exit codes: 0 done, 1 refused by a check, 2 bad input, 3 the machine lacks something.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"stellar-emulator {VERSION}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in VERBS:
        options = verbs.add_parser(verb.name, help=verb.help, description=verb.help, allow_abbrev=False)
        for option in verb.options:
            options.add_argument(
                option.name if option.positional else f"--{option.name}",
                nargs="?" if option.positional else None,
                default=option.default,
                type=option.kind,
                metavar=option.name.upper(),
                help=f"{option.help} (default: {option.default})",
            )
    return parser


def _failure(error: StellarEmulatorError) -> int:
    _say(f"error: {' '.join(str(error).split())}")
    return error.exit_code


def _say(message: str) -> None:
    print(f"stellar-emulator: {message}", file=sys.stderr)


def _seed(text: str) -> int:
    value = int(text) if text.isdecimal() else -1
    if not 0 <= value <= MAXIMUM_SEED:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from 0 to {MAXIMUM_SEED}")
    return value


def _count(text: str) -> int:
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from 1 up")
    return value


def _port(text: str) -> int:
    value = int(text) if text.isdecimal() else -1
    if not 0 <= value <= MAXIMUM_PORT:
        raise argparse.ArgumentTypeError(f"'{text}' is no port: give 0 (any free one) to {MAXIMUM_PORT}")
    return value


def _or_none(word: str, kind: Callable[[str], int]) -> Callable[[str], int | None]:
    """Wrap a reader of numbers so that one word stands for None: the choice is left to the job."""

    def read(text: str) -> int | None:
        try:
            return None if text == word else kind(text)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(f"{error}, nor the word {word}") from error

    return read


def _text(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("it must not be empty")
    return text


def _yes_or_no(text: str) -> bool:
    if text not in ("yes", "no"):
        raise argparse.ArgumentTypeError(f"'{text}' is neither yes nor no")
    return text == "yes"


def _either(*words: str) -> Callable[[str], str]:
    """Make a reader of one of some words."""

    def read(text: str) -> str:
        if text not in words:
            raise argparse.ArgumentTypeError(f"'{text}' is neither {' nor '.join(words)}")
        return text

    return read


def _path(text: str) -> Path:
    return Path(_text(text))


def _shared(output: str) -> tuple[Option, Option]:
    return (
        Option("contract", "data_contracts/gaia_rvs.yaml", _path, "data contract, a YAML file"),
        Option("output", output, _path, "folder for the files written"),
    )


_GRID = Option("grid", "embedded", _text, "'embedded', a folder that synthesize wrote, or a Parquet or NPZ file")
_MODEL = Option(
    "model",
    "champion",
    _text,
    "alias or version of the registered emulator, 'latest', an address such as models:/NAME/3, or a model's folder",
    positional=True,
)

VERBS = (
    Verb(
        "synthesize",
        "Compute a grid of spectra with SYNSPEC.",
        (
            *_shared("output/synthesize"),
            Option("seed", "contract", _or_none("contract", _seed), "seed of the label sequence"),
            Option("runs", "1024", _count, "radiative-transfer computations; a longer grid extends a shorter one"),
            Option("realisations", "contract", _or_none("contract", _count), "broadened spectra of each run"),
            Option("workers", "cores", _or_none("cores", _count), "worker processes of a local cluster"),
            Option("scheduler", "local", _text, "'local', or the address of a running Dask scheduler"),
        ),
    ),
    Verb(
        "validate",
        "Check a grid against its data contract, and set bad spectra aside if asked to.",
        (
            *_shared("output/validate"),
            Option("seed", "1", _seed, "kept with the run; the check itself draws nothing"),
            _GRID,
            Option(
                "on_violation",
                "fail",
                _either("fail", "quarantine"),
                "'fail', or 'quarantine': write good.parquet and quarantined.parquet, which together are the grid",
            ),
        ),
    ),
    Verb(
        "train",
        "Check a grid, train emulator and validator, measure their accuracies and register both.",
        (
            *_shared("output/train"),
            Option("seed", "1", _seed, "seed of initial weights and of the order of batches"),
            _GRID,
            Option("preset", "default", _text, "networks and training: 'default', 'paper' or 'smoke'"),
        ),
    ),
    Verb(
        "evaluate",
        "Measure a registered emulator and validator on a grid.",
        (
            *_shared("output/evaluate"),
            Option("seed", "1", _seed, "seed of the noise added to spectra"),
            Option("emulator", "latest", _text, "version or alias of the registered emulator, or 'latest'"),
            Option("validator", "latest", _text, "version or alias of the registered validator, or 'latest'"),
            _GRID,
        ),
    ),
    Verb(
        "promote",
        "Judge a registered pair on the gate set and make it champion if it passes.",
        (
            *_shared("output/promote"),
            Option("emulator", "latest", _text, "version or alias of the registered emulator, or 'latest'"),
            Option("validator", "paired", _text, "likewise, or 'paired': the one that the emulator names"),
            Option("grid", "gate", _text, "spectra to judge on: 'gate', the contract's own, or as for train"),
            Option("dry_run", "no", _yes_or_no, "'yes': decide and keep the decision, but change nothing"),
        ),
    ),
    Verb(
        "rollback",
        "Make the pair champion that was it before.",
        (
            *_shared("output/rollback"),
            Option("reason", "unstated", _text, "why, for those who read the history"),
        ),
    ),
    Verb(
        "history",
        "Print all decisions on a registered emulator and what serves now.",
        (
            _shared("")[0],
            Option("verify", "no", _yes_or_no, "'yes': check that every decision is as it was written"),
        ),
    ),
    Verb(
        "serve",
        "Answer requests for spectra over HTTP.",
        (
            _MODEL,
            _shared("")[0],
            Option("host", "127.0.0.1", _text, "address to listen on; 0.0.0.0 lets other machines in"),
            Option("port", "8000", _port, "port to listen on; 0 takes any free one"),
        ),
    ),
    Verb(
        "generate",
        "Generate the spectra of a whole table of labels.",
        (
            _MODEL,
            *_shared("output/generate"),
            Option("labels", "labels.parquet", _path, "Parquet or CSV file, one row a spectrum, one column a label"),
        ),
    ),
)
