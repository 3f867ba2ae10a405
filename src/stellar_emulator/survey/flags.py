"""The flags of a survey's rows: one bit each, with its meaning; a good fit of a good star has none."""

from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.fitting.warn import UNLIKELY

LOW_SNR, FEW = 10.0, 0.5
"""Signal-to-noise ratio of a pixel, and share of the model's axis, below which a row has a flag."""

SURE = 1e-3
"""Probability that a star of one velocity has such velocities, below which a row has a flag."""

FILLED, CERTAIN = 0.03, 5.0
"""Mean excess of the Ca II cores over the continuum, and over its error, beyond which they count as filled."""


class Flag(IntFlag):
    """What is to be known of one row."""

    NOT_FITTED = 1 << 0
    POOR_FIT = 1 << 1
    FEW_PIXELS = 1 << 2
    LOW_SNR = 1 << 3
    CA_II_FILLED = 1 << 4
    BEYOND_HULL = 1 << 5
    VELOCITY_VARIES = 1 << 12
    DOUBLE_LINED = 1 << 13


MEANING = {
    Flag.NOT_FITTED: "the spectrum can't be used; the column warning says why",
    Flag.POOR_FIT: f"reduced chi-square above {UNLIKELY:g}: errors too small, or no single normal star of the model's "
    "box",
    Flag.FEW_PIXELS: f"less than {FEW:.0%} of the model's axis was seen",
    Flag.LOW_SNR: f"signal-to-noise ratio by pixel below {LOW_SNR:g}",
    Flag.CA_II_FILLED: f"the Ca II cores are shallower than the model's, by more than {CERTAIN:g} errors and "
    f"{FILLED:.0%} of the continuum",
    Flag.BEYOND_HULL: "the labels lie beyond the hull of the grid's nodes: atmospheres are extrapolated there",
    Flag.VELOCITY_VARIES: f"a star of one velocity has such velocities of its epochs by a chance below {SURE:g}",
    Flag.DOUBLE_LINED: "epochs show lines of a second star that move against the first's",
}

FIRST_EDGE = 16
"""Bit of the first label's edge; those of the contract's other labels follow in order."""


def edge_of(label: int) -> int:
    """Bit of a label, by its number in the contract, that lies at an edge of the model's box."""
    return 1 << (FIRST_EDGE + label)


def meanings(contract: Contract) -> dict[int, str]:
    """Each bit's value, name and meaning in one line, for a contract's rows."""
    told = {int(flag): f"{flag.name}: {text}" for flag, text in MEANING.items()}
    edges = {
        edge_of(number): f"EDGE_{label.name.upper()}: at an edge of {label.lower:g} to {label.upper:g}"
        for number, label in enumerate(contract.labels)
    }
    return {**told, **edges}


def counts(flags: NDArray[np.int64], contract: Contract) -> dict[str, int]:
    """How many of the rows, (n,), have each flag."""
    return {text.partition(":")[0]: int(((flags & bit) != 0).sum()) for bit, text in meanings(contract).items()}
