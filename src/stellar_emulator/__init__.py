"""Emulators of stellar spectra: grid, networks, accuracies, registered models."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stellar_emulator.models.emulator import Emulator
    from stellar_emulator.models.validator import Validator

__all__ = ["Emulator", "Validator"]


def __getattr__(name: str) -> Any:
    """Import the two classes when they are first used, so that importing the package takes no time."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"stellar_emulator.models.{name.lower()}"), name)
