"""An emulator and a validator that belong together, loaded."""

from pathlib import Path

from stellar_emulator.errors import InputError
from stellar_emulator.models.emulator import Emulator
from stellar_emulator.models.pair import SAME, find_pair
from stellar_emulator.models.validator import Validator
from stellar_emulator.shipped.resources import DEFAULT


def load_pair(
    emulator: str | Path | None, validator: str | Path = SAME[0], contract: str | Path = DEFAULT
) -> tuple[Emulator, Validator]:
    """Load an emulator and a validator, by default its own. Parameters are those of `find_pair`.

    Raises
    ------
    InputError
        As `find_model` and `Emulator.load`, or if both are not for the same labels and wavelengths.
    """
    folders = find_pair(emulator, validator, contract)
    pair = Emulator.load(folders[0]), Validator.load(folders[1])
    ours, theirs = (model.contract for model in pair)
    if (ours.labels, ours.wavelength) != (theirs.labels, theirs.wavelength):
        raise InputError(
            f"the validator of contract {theirs.name} has other labels or wavelengths than the emulator of "
            f"{ours.name}: name a pair's folder, or its own --validator"
        )
    return pair
