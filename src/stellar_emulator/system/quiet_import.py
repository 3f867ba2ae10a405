"""Imports of packages that write to the terminal while they are imported."""

import os
from importlib import import_module
from types import ModuleType


def quietly_imported(module: str) -> ModuleType:
    """Import a module without the output of compiled libraries: TensorFlow has no setting for it."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        return import_module(module)
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
