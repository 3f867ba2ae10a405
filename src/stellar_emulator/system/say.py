"""Messages on progress, written to standard error: standard output is reserved for results."""

import re
import sys
from typing import Any, TextIO

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""All that moves a cursor, colours, renames windows, turns text around or is half a character; not tab and new line."""


def printable(text: str) -> str:
    """A text that a terminal shows and does not obey, whatever files, requests and contracts have put into it."""
    return _UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)


class Printable:
    """A stream of text, such as standard output, that is given printable text alone."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(printable(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def say(message: str) -> None:
    """Write a message on progress."""
    print(printable(f"stellar-emulator: {message}"), file=sys.stderr, flush=True)
