"""Messages on progress, written to standard error: standard output is reserved for results."""

import sys


def say(message: str) -> None:
    """Write a message on progress."""
    print(f"stellar-emulator: {message}", file=sys.stderr, flush=True)
