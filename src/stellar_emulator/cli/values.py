"""Readers of a command line's words: each returns a value, or states what it accepts if a word is no such value."""

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

MAXIMUM_SEED = 2**32 - 1
MAXIMUM_PORT = 2**16 - 1
MAXIMUM_DEGREE = 10

T = TypeVar("T")


def seed(text: str) -> int:
    """A whole number from 0 to `MAXIMUM_SEED`."""
    value = int(text) if text.isdecimal() else -1
    if not 0 <= value <= MAXIMUM_SEED:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from 0 to {MAXIMUM_SEED}")
    return value


def count(text: str) -> int:
    """A whole number from 1 up."""
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from 1 up")
    return value


def minutes(text: str) -> float:
    """A number of minutes above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is no number of minutes above 0")
    return value


def port(text: str) -> int:
    """A port; 0 for any free one."""
    value = int(text) if text.isdecimal() else -1
    if not 0 <= value <= MAXIMUM_PORT:
        raise argparse.ArgumentTypeError(f"'{text}' is no port: give 0 (any free one) to {MAXIMUM_PORT}")
    return value


def host_names(text: str) -> tuple[str, ...]:
    """Names of hosts, by commas; the word none for no name."""
    names = () if text == "none" else tuple(name.strip().lower() for name in text.split(","))
    for name in names:
        if not re.fullmatch(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?", name):
            raise argparse.ArgumentTypeError(f"'{name}' is no host's name, such as spectra.example.org, nor none")
    return names


def degree(text: str) -> int:
    """Degree of a polynomial."""
    if not text.isdecimal() or int(text) > MAXIMUM_DEGREE:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from 0 to {MAXIMUM_DEGREE}")
    return int(text)


def words(text: str) -> str:
    """A text that isn't empty."""
    if not text.strip():
        raise argparse.ArgumentTypeError("it must not be empty")
    return text


def path(text: str) -> Path:
    """The path of a file or folder."""
    return Path(words(text))


def yes_or_no(text: str) -> bool:
    """True for yes."""
    if text not in ("yes", "no"):
        raise argparse.ArgumentTypeError(f"'{text}' is neither yes nor no")
    return text == "yes"


def or_none(word: str, kind: Callable[[str], T]) -> Callable[[str], T | None]:
    """Wrap a reader so that one word stands for None, which leaves the choice to the job."""

    def read(text: str) -> T | None:
        try:
            return None if text == word else kind(text)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(f"{error}; or give the word {word}") from error

    return read


def either(*words: str) -> Callable[[str], str]:
    """Make a reader of one of some words."""

    def read(text: str) -> str:
        if text not in words:
            raise argparse.ArgumentTypeError(f"'{text}' is neither {' nor '.join(words)}")
        return text

    return read


def number(above: float, below: float) -> Callable[[str], float]:
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


def interval(text: str) -> tuple[float, float]:
    """Two numbers above 0 with a hyphen between, the smaller one first."""
    first, _, last = text.partition("-")
    try:
        lower, upper = float(first), float(last)
    except ValueError:
        lower, upper = 0.0, 0.0
    if not 0.0 < lower < upper < float("inf"):
        raise argparse.ArgumentTypeError(
            f"'{text}' is no interval: give the smaller and the larger number, as 8400-8800"
        )
    return lower, upper
