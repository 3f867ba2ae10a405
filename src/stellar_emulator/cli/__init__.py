"""The command ``stellar-emulator``: one module per verb, which reads parameters and calls the other rooms."""

import os

from stellar_emulator.cli.command import main

__all__ = ["main"]

# TensorFlow reads this variable when a verb's module imports it; a user's own choice is kept.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
