"""Masks: features that a user excludes, named as in the contract or given as ranges of wavelength."""

import re

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.checks import unknown
from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import InputError

RANGE = re.compile(r"(\d+(?:\.\d*)?)\s*-\s*(\d+(?:\.\d*)?)")


def parse_masks(contract: Contract, text: str) -> list[tuple[float, float]]:
    """Ranges at rest (Angstrom, in the contract's medium) of features such as ``Ca II 8542, 8615-8627``.

    A name takes the contract's half width of a line core to either side; a word such as ``Ca II`` takes every line
    whose name begins with it.

    Raises
    ------
    InputError
        If a name is unknown, or a range is empty or lies off the model's axis.
    """
    axis = contract.wavelength
    half, cores = contract.regions.line_core_half_width, contract.regions.line_cores
    found = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        if given := RANGE.fullmatch(part):
            lower, upper = map(float, given.groups())
            if not lower < upper:
                raise InputError(f"mask {part} is empty: give the shorter wavelength first")
            if upper < axis.start or lower > axis.stop:
                raise InputError(
                    f"mask {part} hides nothing of the model's {axis.start:g} to {axis.stop:g} {axis.unit}: give it in "
                    f"{axis.unit}"
                )
            found.append((lower, upper))
            continue
        centres = [centre for name, centre in cores.items() if name.lower().startswith(part.lower())]
        if not centres:
            known = ", ".join(cores)
            raise InputError(f"mask {unknown(part, list(cores))}Known are {known}, and ranges such as 8615-8627")
        found += [(centre - half, centre + half) for centre in centres]
    return found


def masked(rest: NDArray[np.float64], ranges: list[tuple[float, float]]) -> NDArray[np.bool_]:
    """Pixels, given by their wavelengths at rest, that lie in any of the ranges; both of any shape."""
    inside = np.zeros(rest.shape, dtype=bool)
    for lower, upper in ranges:
        inside |= (rest >= lower) & (rest <= upper)
    return inside
