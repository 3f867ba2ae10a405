"""Regions of the label box and of the wavelength axis, by which every figure of merit is broken down."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract

BOX = "box"
"""All rows, weighted to the uniform label box."""

ALL = "all"
"""All rows as they were sampled, unweighted."""

HARD = "hard region"


def region_rows(contract: Contract, labels: NDArray[np.float64]) -> dict[str, NDArray[np.bool_]]:
    """Rows of each region by its name, for labels (rows, labels): the box, all, each bin, and the hard region."""
    everything = np.ones(len(labels), dtype=bool)
    found = {BOX: everything, ALL: everything}
    for name, edges in contract.regions.bins.items():
        values = labels[:, contract.label_names.index(name)]
        for lower, upper in pairwise(edges):
            inside = (values >= lower) & ((values < upper) | (upper == edges[-1]) & (values <= upper))
            found[bin_name(name, lower, upper)] = inside
    found[HARD] = hard_region(contract, labels)
    return found


def bin_name(label: str, lower: float, upper: float) -> str:
    """Name of one bin, such as ``teff 3600-4800``."""
    return f"{label} {lower:g}-{upper:g}"


def hard_region(contract: Contract, labels: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Rows inside the contract's hard region, shape (rows,)."""
    inside = np.ones(len(labels), dtype=bool)
    for name, (lower, upper) in contract.regions.hard.items():
        values = labels[:, contract.label_names.index(name)]
        inside &= (values >= lower) & (values < upper)
    return inside


def line_core_pixels(contract: Contract) -> NDArray[np.bool_]:
    """Pixels inside any of the contract's line cores, shape (pixels,)."""
    pixels = contract.wavelength.pixels
    near = [
        np.abs(pixels - centre) <= contract.regions.line_core_half_width
        for centre in contract.regions.line_cores.values()
    ]
    return np.any(near, axis=0) if near else np.zeros(len(pixels), dtype=bool)


def line_windows(contract: Contract) -> dict[str, NDArray[np.bool_]]:
    """Pixels over which each line's equivalent width is taken, by line name."""
    pixels = contract.wavelength.pixels
    half = contract.regions.equivalent_width_half_width
    return {line: np.abs(pixels - centre) <= half for line, centre in contract.regions.line_cores.items()}
