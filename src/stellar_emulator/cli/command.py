"""The command ``stellar-emulator``: one verb for each entry point of MLproject, one option for each parameter.

Nothing heavy is imported before a verb runs, so that ``--help`` answers at once.
"""

import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import TextIO, cast

from stellar_emulator.cli.parser import PROGRAM, build_parser, take_labels
from stellar_emulator.cli.settings import VERBS
from stellar_emulator.errors import SetupError, StellarEmulatorError
from stellar_emulator.system.extras import missing
from stellar_emulator.system.quiet_import import quietly_imported
from stellar_emulator.system.say import Printable, printable

__all__ = ["VERBS", "build_parser", "main", "take_labels"]

INTERRUPTED = 130
"""Exit code after Ctrl-C, as in shells."""

UNREAD = 141
"""Exit code if the reader of the output has closed it, as in shells."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code: 0 done, 1 refused by a check, 2 bad input, 3 environment."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = build_parser()
    words, labels = take_labels(given, parser)
    options = vars(parser.parse_args(words))
    verb = next(verb for verb in VERBS if verb.name == options["verb"])
    settings = verb.read(options, shlex.join([PROGRAM, *given]), labels)
    try:
        _open_closed_streams()
        job = quietly_imported(f"stellar_emulator.cli.{verb.module}")
        with redirect_stdout(cast(TextIO, Printable(sys.stdout))):
            job.run(settings)
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
        return _failure(missing(error.name, verb.extra))
    except Exception as error:
        if not _of_a_store(error):
            raise
        return _failure(SetupError(f"the tracking store stopped working: {_reason(error)}: the same command goes on"))
    except KeyboardInterrupt:
        _say(f"interrupted: {verb.interrupted}")
        return INTERRUPTED
    return 0


def _of_a_store(error: BaseException) -> bool:
    """Whether MLflow or its database raised an error; their packages may not be installed."""
    return type(error).__module__.partition(".")[0] in {"mlflow", "sqlalchemy", "alembic", "sqlite3", "psycopg2"}


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split("\n[SQL")[0].split())[:200] or type(error).__name__


def _open_closed_streams() -> None:
    """Redirect closed ones of streams 0 to 2 to nowhere, or messages would be written to the next opened file."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(descriptor, "w", closefd=False))


def _give_up_output() -> None:
    """Redirect a closed output to nowhere, since Python flushes it at its end and would fail again."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _failure(error: StellarEmulatorError) -> int:
    _say(f"error: {' '.join(str(error).split())}")
    return error.exit_code


def _say(message: str) -> None:
    print(printable(f"{PROGRAM}: {message}"), file=sys.stderr)
