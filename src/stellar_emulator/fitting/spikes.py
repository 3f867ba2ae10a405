"""Pixels that no star explains: spikes of cosmic rays, bad columns. What is as wide as a line is left to the fit."""

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.observed.spectrum import NORMAL_DEVIATION

HIGHEST, LOWEST = 1.3, -0.1
"""Flux over a rough continuum beyond which a few pixels are no star's, by more than `CERTAIN` errors."""

CERTAIN = 5.0
"""Standard deviations beyond which a pixel is no noise."""

SHARP = 0.35
"""Share of a pixel's deviation by which it differs from a neighbour: the peak of the sharpest line differs by less."""

SHARPEST = 2.7
"""Pixels in the width of the sharpest line, below which lines are as sharp as spikes."""

BLUNT = 0.25
"""Flux over the continuum by which a pixel must then be off: no line that a grid knows is wrong by as much."""

SIDES = (2, 3, 4)
"""Pixels to either side with whose median one is compared: a detector's bad pixel reaches less far."""

NEAR, GROWN = 2, 0.4
"""Neighbours that are rejected too, if they deviate by such a share of what the first one had to."""

WIDEST = 7
"""Pixels; a longer run of impossible flux is emission or a wrong continuum, of which a fit must tell."""


def impossible(flux: NDArray[np.float64], error: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Pixels (pixels,) that are no star's whatever its labels, of flux and error over a rough continuum.

    They are left out before anything is compared, since a single one could outweigh all lines.
    """
    usable = np.isfinite(error)
    room = CERTAIN * np.where(usable, error, 0.0)
    beyond = usable & ((flux > HIGHEST + room) | (flux < LOWEST - room))
    if not beyond.any():
        return beyond
    edges = np.flatnonzero(np.diff(np.concatenate([[False], beyond, [False]])))
    for first, last in edges.reshape(-1, 2):
        if last - first > WIDEST:
            beyond[first:last] = False
        else:
            beyond[max(0, first - NEAR) : last + NEAR] = True
    return beyond & usable


def spikes(residual: NDArray[np.float64], share: NDArray[np.float64], sharpest: float) -> NDArray[np.bool_]:
    """Pixels (pixels,) whose residuals stand out from those to either side, sharper than a line.

    residual: observed minus fitted flux over its standard deviation, NaN where there is none; share: the same over the
    continuum; sharpest: width of the sharpest line in pixels. A mismatch of a line is as wide as the line and stays.
    """
    places = np.flatnonzero(np.isfinite(residual))
    found = np.zeros(len(residual), dtype=bool)
    if len(places) <= 2 * max(SIDES):
        return found
    own = residual[places]
    off = np.abs(own - np.median(own))
    limit = CERTAIN * max(1.0, float(NORMAL_DEVIATION * np.median(off)))
    above = _above_sides(own)
    certain = np.abs(above) > limit
    if sharpest >= SHARPEST:
        jump = np.abs(np.diff(own, prepend=own[0])), np.abs(np.diff(own, append=own[-1]))
        certain &= np.maximum(*jump) > SHARP * np.abs(above)
    else:
        certain &= np.abs(share[places]) > BLUNT
    grown = certain.copy()
    for apart in range(1, NEAR + 1):
        grown[apart:] |= certain[:-apart]
        grown[:-apart] |= certain[apart:]
    found[places[certain | (grown & (off > GROWN * limit))]] = True
    return found


def _above_sides(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """By how much values (pixels,) exceed the nearer of the medians to either side; 0 if they lie between them."""
    reach = max(SIDES)
    padded = np.pad(values, reach, mode="edge")
    count = len(values)
    left, right = (
        _middle(*(padded[reach + sign * side : reach + sign * side + count] for side in SIDES)) for sign in (-1, 1)
    )
    over, under = values - np.maximum(left, right), values - np.minimum(left, right)
    return np.asarray(np.where(over > 0, over, np.where(under < 0, under, 0.0)))


def _middle(one: NDArray[np.float64], two: NDArray[np.float64], three: NDArray[np.float64]) -> NDArray[np.float64]:
    """Medians of three values each."""
    return np.asarray(np.maximum(np.minimum(one, two), np.minimum(np.maximum(one, two), three)))
