"""The parser of the command, made from the verbs' settings; a refusal is one line, with a hint if a name is similar."""

import argparse
import difflib
import sys
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, NoReturn

from stellar_emulator.cli.completion import SHELLS, completion
from stellar_emulator.cli.settings import VERBS, Verb
from stellar_emulator.version import VERSION

PROGRAM = "stellar-emulator"

LABELS = "Any other option is a label of the model: --NAME NUMBER, in the label's unit."

BAD_INPUT = 2
"""Exit code for bad input."""

HELP = ("-h", "--help")


class OneLineParser(argparse.ArgumentParser):
    """Ends the process with one line if words can't be read, without printing the usage first."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{PROGRAM}: error: {' '.join(message.split())}\n")


class _Completion(argparse.Action):
    """Prints a shell's script and ends, as ``--version`` does."""

    def __call__(self, parser: argparse.ArgumentParser, *found: Any) -> NoReturn:
        sys.stdout.write(completion(str(found[1]), PROGRAM))
        parser.exit()


class CommandParser(OneLineParser):
    """Parser of the whole command; its result has ``verb`` and one attribute for each option."""

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Parse words; unknown ones are named, with a suggestion."""
        words = list(sys.argv[1:] if args is None else args)
        verbs = {verb.name: verb for verb in VERBS}
        first = next((word for word in words if not word.startswith("-")), None)
        if first is not None and first not in verbs and words.index(first) == 0:
            self.error(f"verb {first} is unknown: {hint(first, verbs)}there are {', '.join(verbs)}")
        found, unknown = self.parse_known_args(words, namespace)
        if unknown:
            self.error(self._unknown(unknown[0], verbs.get(found.verb or "")))
        if found.verb is None:
            self.error(f"no verb is given: give {', '.join(verbs)}, or --help")
        return found

    def _unknown(self, word: str, verb: Verb | None) -> str:
        name = word.partition("=")[0]
        if not name.startswith("-"):
            return f"{word} is one word too many: {PROGRAM} {verb.name if verb else ''} --help lists what it takes"
        known = ("--help", "--version", "--completion") if verb is None else ("--help", *option_names(verb))
        where = f"{PROGRAM} {verb.name} --help" if verb else f"{PROGRAM} --help"
        return f"option {name} is unknown: {hint(name, known)}{where} lists what there is"


def hint(word: str, known: Iterable[str]) -> str:
    """The beginning of a remedy: a suggestion, if a name is similar."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {close[0]}? " if close else ""


def option_names(verb: Verb) -> list[str]:
    """The options of a verb, in the form in which users write them."""
    return [f"--{option.name}" for option in verb.options if not option.positional]


def build_parser() -> CommandParser:
    """Parser of the whole command."""
    parser = CommandParser(
        prog=PROGRAM,
        description="Emulators of stellar spectra: computed grids, trained networks, accuracies.",
        epilog="Exit codes: 0 done, 1 refused by a check, 2 bad input, 3 the machine lacks something.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {VERSION}")
    parser.add_argument(
        "--completion",
        action=_Completion,
        choices=SHELLS,
        help=f'print a script that lets this shell complete words, such as: eval "$({PROGRAM} --completion bash)"',
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", parser_class=OneLineParser)
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
    """Separate the words of a verb that takes labels into words for the parser and labels by name, as text.

    Ends the process through ``parser`` if a label has no value, is given twice, or is a misspelt option.
    """
    verb = next((verb for verb in VERBS if words and verb.name == words[0]), None)
    if verb is None or not verb.labels:
        return list(words), {}
    options = option_names(verb)
    rest, labels, coming = [], {}, iter(words)
    for word in coming:
        name, equals, value = word.partition("=")
        if name in options and not equals:
            rest += [word, *islice(coming, 1)]
        elif name in (*options, *HELP) or not name.startswith("--"):
            rest.append(word)
        else:
            if close := difflib.get_close_matches(name, options, n=1, cutoff=0.8):
                parser.error(f"option {name} is unknown: did you mean {close[0]}?")
            value = value if equals else next(coming, "")
            if not value or name[2:] in labels:
                parser.error(f"option {name} wants one number: {'it is given twice' if value else 'none follows'}")
            labels[name[2:]] = value
    return rest, labels
