"""Tells the user what goes on, on standard error: standard output is for answers."""

import sys


def say(message: str) -> None:
    """Tell the user what goes on."""
    print(f"stellar-emulator: {message}", file=sys.stderr, flush=True)
