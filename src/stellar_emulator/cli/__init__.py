"""The command ``stellar-emulator``: one module a verb, which reads parameters and calls the rooms. No science here."""

import os

from stellar_emulator.cli.command import main

__all__ = ["main"]

# TensorFlow reads it when it is imported, which a verb's module does; a user's own choice stands.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
