"""Wavelengths in air and in vacuum, by the dispersion formula that SYNSPEC uses (Edlen 1953)."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Medium = Literal["air", "vacuum"]

_ROUNDS = 3
"""Rounds of the inverse, each of which leaves less than a millionth of the error before it."""


def to_vacuum(air: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Vacuum wavelengths of air wavelengths, both in Angstrom, from 2000 A up."""
    squared = 1.0e8 / np.square(air)
    refractivity = 1.0e-6 * (64.328 + 29498.1 / (146.0 - squared) + 255.4 / (41.0 - squared))
    return np.asarray(air * (1.0 + refractivity))


def to_air(vacuum: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Air wavelengths of vacuum wavelengths, both in Angstrom: the inverse of `to_vacuum`."""
    air = np.asarray(vacuum, dtype=np.float64)
    for _ in range(_ROUNDS):
        air = np.asarray(vacuum * air / to_vacuum(air))
    return air


def converted(wavelength: NDArray[np.float64], medium: Medium, wanted: Medium) -> NDArray[np.float64]:
    """Convert wavelengths of one medium, in Angstrom, to another."""
    if medium == wanted:
        return wavelength
    return to_air(wavelength) if wanted == "air" else to_vacuum(wavelength)
