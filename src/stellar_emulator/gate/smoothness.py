"""How smoothly flux follows each label: fourth differences along lines through the box show steps, kinks and edges.

Where flux f is smooth, its fourth difference over steps h is h^4 times its fourth derivative; where a label l jumps by
d it is up to 3 d df/dl, in whichever of four neighbouring stencils the edge lies.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.evaluation.evaluation import Model
from stellar_emulator.gate.fresh_labels import line_labels
from stellar_emulator.system.cores import side_by_side

POINTS = 192
"""Spectra along a fine line."""

THINNED = (8, 4, 2, 1)
"""Every so many points of a fine line make a coarse one; each label takes the coarsest that is smooth enough."""

FAR_BELOW = 0.1
"""Of a limit: some thousand coarse lines show four times as much as the few fine ones that chose them."""

PLACES = 16
"""Parts of a line in which kinks that all lines share are looked for."""

ROUNDING = 5e-6
"""Fourth difference of a pixel that single precision explains, RMS over pixels: 1.6e-6 is seen."""

_STENCIL = 5

_PIECE = 64
"""Spectra of a line generated at a time: a network that is asked for more starts threads of its own."""


@dataclass(frozen=True)
class Along:
    """What lines along one label show; arrays are (lines, stencils).

    column: of the label; points: of each line. labels: at the middle of each stencil, (lines, stencils, labels). jump:
    fourth difference as a shift of the label, in its unit. pixel: the largest fourth difference of any pixel. thinned:
    largest of both where only every so many points are looked at, in the order of `THINNED`; (thinnings, 2).
    """

    column: int
    points: int
    labels: NDArray[np.float64]
    jump: NDArray[np.float64]
    pixel: NDArray[np.float64]
    thinned: NDArray[np.float64]

    def common(self) -> tuple[float, NDArray[np.float64]]:
        """The largest jump that half of all lines have in the same place, and the labels in the middle of it."""
        edges = np.linspace(0, self.jump.shape[1], PLACES + 1).astype(int)
        middles = [
            (float(np.median(self.jump[:, first:last].max(axis=1))), (first + last) // 2)
            for first, last in pairwise(edges)
            if last > first
        ]
        largest, place = max(middles)
        return largest, np.median(self.labels[:, place], axis=0)


def along(contract: Contract, emulator: Model, seed: int, column: int, lines: int, points: int = POINTS) -> Along:
    """Generate ``lines`` lines of ``points`` spectra each along one label and take their fourth differences."""
    thinnings = THINNED if points == POINTS else ()

    def measure(labels: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], list[list[float]]]:
        pieces = [emulator(labels[first : first + _PIECE]) for first in range(0, points, _PIECE)]
        values, flux = labels[:, column], np.concatenate(pieces)
        coarser = [[float(found.max()) for found in breaks(values[::thin], flux[::thin])] for thin in thinnings[:-1]]
        jump, pixel = breaks(values, flux)
        return jump, pixel, [*coarser, [float(jump.max()), float(pixel.max())]]

    drawn = list(line_labels(contract, seed, column, lines, points))
    jumps, pixels, thinned = zip(*side_by_side(measure, iter(drawn)), strict=True)
    middle = slice(_STENCIL // 2, -(_STENCIL // 2))
    labels = np.stack([line[middle] for line in drawn])
    return Along(column, points, labels, np.stack(jumps), np.stack(pixels), np.max(thinned, axis=0))


def coarse_points(fine: Along, jump: float, pixel: float) -> int:
    """Points of the coarsest lines along a label that fine lines show to be smooth, far below both limits."""
    for thin, (largest_jump, largest_pixel) in zip(THINNED, fine.thinned, strict=True):
        if largest_jump <= FAR_BELOW * jump and largest_pixel <= FAR_BELOW * pixel:
            return POINTS // thin
    return POINTS


def breaks(values: NDArray[np.float64], flux: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fourth differences of flux (points, pixels) along label values (points,): as shifts, and of the worst pixel.

    Both have shape (points - 4,). The shift is the root of their summed squares over the flux's mean rate of change.
    """
    first = flux[1:] - flux[:-1]
    rate = _norm(first)
    second = first[1:] - first[:-1]
    third = second[1:] - second[:-1]
    fourth = third[1:] - third[:-1]
    size = np.maximum(_norm(fourth) - ROUNDING * np.sqrt(flux.shape[1]), 0.0)
    window = np.ones(_STENCIL - 1)
    moved = np.convolve(rate, window, "valid") / np.convolve(np.diff(values), window, "valid")
    with np.errstate(invalid="ignore", divide="ignore"):
        jump = np.where(size == 0.0, 0.0, size / moved)
    return jump, np.abs(fourth, out=fourth).max(axis=1).astype(np.float64)


def _norm(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", rows, rows)), dtype=np.float64)
