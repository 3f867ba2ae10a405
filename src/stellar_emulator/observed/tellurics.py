"""Lines of the Earth's atmosphere in the range of the Ca II triplet, where ground-based spectra show them."""

import numpy as np

from stellar_emulator.contract.medium import Medium, converted

WATER = (8460.2, 8463.0, 8477.8, 8480.0, 8487.0, 8491.8, 8505.8, 8512.1, 8519.6, 8523.2)
"""Water lines deeper than 0.02 at resolution 11,500, in Angstrom in air: where the solar atlas, observed from the
ground, lies below the emulator's fit and Gaia's spectrum of the like star Kepler-93, observed from space, does not."""

HALF_WIDTH = 0.6
"""Angstrom to either side: the lines are as wide as the spectrograph makes them."""


def telluric_ranges(medium: Medium) -> tuple[tuple[float, float], ...]:
    """Ranges of wavelength in Angstrom, in the observer's frame and in a medium."""
    edges = converted(np.array([[line - HALF_WIDTH, line + HALF_WIDTH] for line in WATER]), "air", medium)
    return tuple((float(lower), float(upper)) for lower, upper in edges)
