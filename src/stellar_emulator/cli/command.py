"""The command ``stellar-emulator``: one verb for each entry point of MLproject, one option for each parameter.

Nothing heavy is imported before a verb runs, so that ``--help`` answers at once.
"""

import argparse
import difflib
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import TypeVar

from stellar_emulator.errors import SetupError, StellarEmulatorError
from stellar_emulator.shipped.resources import DEFAULT
from stellar_emulator.system.extras import missing
from stellar_emulator.version import VERSION

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

UNREAD = 141
"""Exit code when whoever reads the output has closed it, as shells have it."""

LABELS = "Any other option is a label of the model: --NAME NUMBER, in the label's unit."

MAXIMUM_SEED = 2**32 - 1
MAXIMUM_PORT = 2**16 - 1
MAXIMUM_DEGREE = 10
SPEED_LIMIT = 30000.0
"""km/s."""

MAXIMUM_SNR = 1e9

T = TypeVar("T")


@dataclass(frozen=True)
class Option:
    """One option of a verb; the default is written as a user would write it."""

    name: str
    default: str
    kind: Callable[[str], object]
    help: str
    positional: bool = False
    many: bool = False


@dataclass(frozen=True)
class Verb:
    """One verb, carried out by the function ``run`` of the module of its name in `stellar_emulator.cli`.

    labels: whether it takes any other option as a label of its model, such as ``--teff 5777``; only the model knows
    their names. extra: the extra of the package without which it can do nothing.
    """

    name: str
    help: str
    options: tuple[Option, ...]
    labels: bool = False
    extra: str | None = None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code: 0 done, 1 refused by a check, 2 bad input, 3 environment."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = build_parser()
    words, labels = take_labels(given, parser)
    options = parser.parse_args(words)
    options.given, options.command = labels, shlex.join(["stellar-emulator", *given])
    try:
        _open_closed_streams()
        with _quiet():
            verb = import_module(f"stellar_emulator.cli.{options.verb}")
        verb.run(options)
        sys.stdout.flush()
    except StellarEmulatorError as error:
        return _failure(error)
    except BrokenPipeError:
        _give_up_output()
        return UNREAD
    except OSError as error:
        _give_up_output()
        where = f"{error.filename}: " if error.filename else ""
        return _failure(SetupError(f"{where}{error.strerror or error}: mend that, or choose another place"))
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("stellar_emulator"):
            raise
        return _failure(missing(error.name, next(verb.extra for verb in VERBS if verb.name == options.verb)))
    except Exception as error:
        if not _of_a_store(error):
            raise
        return _failure(SetupError(f"the tracking store stopped working: {_reason(error)}: the same command goes on"))
    except KeyboardInterrupt:
        _say("interrupted: the same command goes on where it stopped")
        return INTERRUPTED
    return 0


def _of_a_store(error: BaseException) -> bool:
    """Whether MLflow or its database raised an error, whose packages may not be there to be imported."""
    return type(error).__module__.partition(".")[0] in {"mlflow", "sqlalchemy", "alembic", "sqlite3", "psycopg2"}


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split("\n[SQL")[0].split())[:200] or type(error).__name__


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
        options = verbs.add_parser(
            verb.name,
            help=verb.help,
            description=verb.help,
            epilog=LABELS if verb.labels else None,
            allow_abbrev=False,
        )
        for option in verb.options:
            options.add_argument(
                option.name if option.positional else f"--{option.name}",
                nargs=("*" if option.many else "?") if option.positional else None,
                default=[option.kind(option.default)] if option.many else option.default,
                type=option.kind,
                metavar=option.name.upper(),
                help=f"{option.help} (default: {option.default})",
            )
    return parser


def take_labels(words: Sequence[str], parser: argparse.ArgumentParser) -> tuple[list[str], dict[str, str]]:
    """Part the words of a verb that takes labels into those for the parser and labels by name, as text.

    Ends the process through ``parser`` where a label has no value, is given twice, or is a misspelt option.
    """
    verb = next((verb for verb in VERBS if words and verb.name == words[0]), None)
    if verb is None or not verb.labels:
        return list(words), {}
    options = [f"--{option.name}" for option in verb.options if not option.positional]
    rest, labels, coming = [], {}, iter(words)
    for word in coming:
        name, equals, value = word.partition("=")
        if name in options and not equals:
            rest += [word, *islice(coming, 1)]
        elif name in (*options, "--help") or not name.startswith("--"):
            rest.append(word)
        else:
            if close := difflib.get_close_matches(name, options, n=1, cutoff=0.8):
                parser.error(f"option {name} is unknown: did you mean {close[0]}?")
            value = value if equals else next(coming, "")
            if not value or name[2:] in labels:
                parser.error(f"option {name} wants one number: {'it is given twice' if value else 'none follows'}")
            labels[name[2:]] = value
    return rest, labels


def _open_closed_streams() -> None:
    """Let what a caller has closed of streams 0 to 2 lead nowhere, lest the next file opened be printed into."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(descriptor, "w", closefd=False))


def _give_up_output() -> None:
    """Turn an output that takes no more to nowhere: Python, which flushes it at its end, would fail once more."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep off the screen what compiled libraries print while they are imported: TensorFlow has no setting for it."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


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


def _minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is no number of minutes above 0")
    return value


def _port(text: str) -> int:
    value = int(text) if text.isdecimal() else -1
    if not 0 <= value <= MAXIMUM_PORT:
        raise argparse.ArgumentTypeError(f"'{text}' is no port: give 0 (any free one) to {MAXIMUM_PORT}")
    return value


def _or_none(word: str, kind: Callable[[str], T]) -> Callable[[str], T | None]:
    """Wrap a reader so that one word stands for None: the choice is left to the job."""

    def read(text: str) -> T | None:
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


def _number(above: float, below: float) -> Callable[[str], float]:
    """Make a reader of numbers between two bounds."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not above < value < below:
            raise argparse.ArgumentTypeError(f"'{text}' is no number above {above:g} and below {below:g}")
        return value

    return read


def _degree(text: str) -> int:
    if not text.isdecimal() or int(text) > MAXIMUM_DEGREE:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from 0 to {MAXIMUM_DEGREE}")
    return int(text)


def _shared(output: str) -> tuple[Option, Option]:
    return (
        Option("contract", DEFAULT, _path, "data contract, a YAML file or the name of one that comes with the package"),
        Option("output", output, _path, "folder for the files written"),
    )


_GRID = Option("grid", "embedded", _text, "'embedded', a folder that synthesize wrote, or a Parquet or NPZ file")
_WAYS = (
    "one that comes with the package, a folder, a registered name, its alias, version or 'latest', or an address such "
    "as models:/NAME/3"
)
_PAIR = Option("model", DEFAULT, _text, f"pair of models: {_WAYS}")
_MODEL = Option("model", "champion", _text, f"model: {_WAYS}", positional=True)
_SHIPPED = replace(_MODEL, default=DEFAULT)
_WHOSE = Option(
    "contract", DEFAULT, _path, "data contract whose registered models an alias or version means: a YAML file or a name"
)
_HOST = Option("host", "127.0.0.1", _text, "address to listen on; 0.0.0.0 lets other machines in")
_PORT = Option("port", "8000", _port, "port to listen on; 0 takes any free one")
_MASK = Option(
    "mask", "none", _text, "left out, by commas: lines of the contract such as 'Ca II', ranges such as 8615-8627"
)


def _observed(output: str, continuum: str) -> tuple[Option, ...]:
    """Options of the verbs that read observed spectra."""
    return (
        Option("files", "spectrum.fits", _path, "FITS, VOTable, CSV, ECSV, Parquet or NPZ files", True, many=True),
        _PAIR,
        Option("validator", "same", _text, "'same': of the pair; or a validator of its own, as for --model"),
        _WHOSE,
        Option("output", output, _path, "table to write: .csv, .ecsv, .fits or .parquet"),
        Option("unit", "file", _or_none("file", _text), "of wavelengths: 'file' says, or Angstrom, nm or um"),
        Option("medium", "file", _or_none("file", _either("air", "vacuum")), "'file' says, or 'air' or 'vacuum'"),
        Option(
            "snr",
            "file",
            _or_none("file", _number(0.0, MAXIMUM_SNR)),
            "by pixel, for files without errors; else their scatter",
        ),
        Option(
            "radial_velocity",
            "measure",
            _or_none("measure", _number(-SPEED_LIMIT, SPEED_LIMIT)),
            "'measure', or km/s; 0 for spectra at rest",
        ),
        Option("continuum", continuum, _or_none("none", _degree), "degree of a polynomial to fit, or 'none'"),
        _MASK,
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
        extra="synthesis",
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
        extra="validation",
    ),
    Verb(
        "train",
        "Check a grid, train emulator and validator, measure their accuracies and register both.",
        (
            *_shared("output/train"),
            Option("seed", "1", _seed, "seed of initial weights and of the order of batches"),
            _GRID,
            Option("preset", "default", _text, "networks and training: 'default', 'paper' or 'smoke'"),
            Option(
                "networks",
                "new",
                _text,
                "'new', or an emulator (address or folder) whose networks serve this contract too, on its own axis",
            ),
        ),
        extra="train",
    ),
    Verb(
        "tune",
        "Search networks with Keras Tuner and write the best preset; stopped, the same command goes on.",
        (
            *_shared("output/tune"),
            Option("seed", "1", _seed, "seed of the search, of initial weights and of the order of batches"),
            _GRID,
            Option(
                "target",
                "chain",
                _either("chain", "autoencoder", "label_network"),
                "what is searched: 'chain' (both networks, fine-tuned), 'autoencoder' or 'label_network'",
            ),
            Option(
                "algorithm",
                "hyperband",
                _either("hyperband", "bayesian", "random"),
                "Keras Tuner's oracle: 'hyperband', 'bayesian' or 'random'",
            ),
            Option("trials", "60", _count, "trials at most; the first two are presets paper and default"),
            Option("epochs", "400", _count, "epochs of a trial's last fit at most"),
            Option("minutes", "300", _minutes, "time of the whole search"),
            Option("trial_minutes", "5", _minutes, "time of one trial's training; learning rates fall with it"),
            Option("workers", "1", _count, "worker processes on this machine, from 2 up led by a chief"),
        ),
        extra="train",
    ),
    Verb(
        "evaluate",
        "Measure a registered emulator and validator on a grid.",
        (
            *_shared("output/evaluate"),
            Option("seed", "1", _seed, "seed of the noise added to spectra"),
            Option("emulator", "latest", _text, _WAYS),
            Option("validator", "paired", _text, "likewise, or 'paired': the emulator's own"),
            _GRID,
        ),
        extra="train",
    ),
    Verb(
        "promote",
        "Judge a registered pair on the gate set and make it champion if it passes.",
        (
            *_shared("output/promote"),
            Option("emulator", "latest", _text, "registered version: its number, alias, 'latest' or address"),
            Option("validator", "paired", _text, "likewise, or 'paired': the one that the emulator names"),
            Option("grid", "gate", _text, "spectra to judge on: 'gate', the contract's own, or as for train"),
            Option("dry_run", "no", _yes_or_no, "'yes': decide and keep the decision, but change nothing"),
        ),
        extra="validation",
    ),
    Verb(
        "rollback",
        "Make the pair champion that was it before.",
        (
            *_shared("output/rollback"),
            Option("reason", "unstated", _text, "why, for those who read the history"),
        ),
        extra="registry",
    ),
    Verb(
        "history",
        "Print all decisions on a registered emulator and what serves now.",
        (
            _shared("")[0],
            Option("verify", "no", _yes_or_no, "'yes': check that every decision is as it was written"),
        ),
        extra="registry",
    ),
    Verb(
        "serve",
        "Answer requests for spectra over HTTP.",
        (
            _MODEL,
            _WHOSE,
            _HOST,
            _PORT,
        ),
        extra="registry",
    ),
    Verb(
        "explore",
        "Show spectra in the browser, drawn live while labels are moved.",
        (
            replace(_PAIR, positional=True),
            _WHOSE,
            _HOST,
            replace(_PORT, default="8001"),
        ),
    ),
    Verb(
        "generate",
        "Generate one spectrum, or the spectra of a whole table of labels.",
        (
            _SHIPPED,
            _WHOSE,
            Option("output", "output/generate/spectra.fits", _path, "file to write: .fits, .parquet, .csv or .png"),
            Option(
                "labels", "none", _or_none("none", _path), "table, one row a spectrum: .csv, .parquet, .fits or .ecsv"
            ),
        ),
        labels=True,
    ),
    Verb(
        "infer",
        "Infer labels of observed spectra with the validator.",
        _observed("output/infer/labels.csv", "none"),
    ),
    Verb(
        "fit",
        "Fit labels of observed spectra by least squares through the emulator; labels given are kept.",
        (
            *_observed("output/fit/labels.csv", "3"),
            Option("figures", "none", _or_none("none", _path), "folder for a PNG of each spectrum and its fit"),
        ),
        labels=True,
    ),
    Verb(
        "precision",
        "Print how precisely labels can be measured at one point of the label box (Cramer-Rao limits).",
        (
            _PAIR,
            _WHOSE,
            Option("snr", "100", _number(0.0, MAXIMUM_SNR), "signal-to-noise ratio by pixel"),
            Option("continuum", "3", _degree, "degree of the continuum in the last column"),
            _MASK,
        ),
        labels=True,
    ),
)
