"""Where two data contracts overlap, so that an emulator of one can be held against spectra of the other."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.label import Label
from stellar_emulator.contract.medium import converted
from stellar_emulator.contract.roles import RESOLUTION
from stellar_emulator.errors import InputError

LEAST_PIXELS = 100
"""Fewer in common tell too little."""

_NODES = 8
"""Pixels of the reference that a flux between them is interpolated from: at 2.5 pixels a standard deviation of the
sharpest profile, polynomials of seventh order err by less than emulators do."""


@dataclass(frozen=True)
class Overlap:
    """What two contracts have in common.

    columns: of each label of the reference, the grid's column, or -1 where ``constants`` has its one value; pixels: of
    the grid, ascending, those that the reference covers; sources, shares: of each of them the reference's pixels that
    its flux is a sum of, and their factors, both (pixels, nodes).
    """

    reference: Contract
    columns: tuple[int, ...]
    constants: tuple[float, ...]
    pixels: NDArray[np.int64]
    sources: NDArray[np.int64]
    shares: NDArray[np.float64]

    @property
    def same_axis(self) -> bool:
        """Whether the reference's flux needs no interpolation."""
        return bool(self.sources.shape[1] == 1)

    def labels(self, labels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Labels (n, labels) of the grid as the reference takes them, (n, labels of the reference)."""
        found = [
            labels[:, column] if column >= 0 else np.full(len(labels), constant)
            for column, constant in zip(self.columns, self.constants, strict=True)
        ]
        return np.stack(found, axis=1)

    def inside(self, labels: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which rows of ``labels``, (n, labels of the reference), lie in the reference's label box, (n,)."""
        return np.asarray(((labels >= self.reference.lower) & (labels <= self.reference.upper)).all(axis=1))

    def on_grid(self, flux: NDArray[np.float32]) -> NDArray[np.float32]:
        """The reference's flux (..., its pixels) on the grid's common pixels, (..., pixels)."""
        if self.same_axis:
            return flux[..., self.sources[:, 0]]
        found = np.zeros((*flux.shape[:-1], len(self.pixels)), dtype=np.float32)
        for node in range(self.sources.shape[1]):
            found += flux[..., self.sources[:, node]] * self.shares[:, node].astype(np.float32)
        return found


def overlap(contract: Contract, reference: Contract) -> Overlap:
    """Find what a grid's contract and an emulator's have in common.

    Raises
    ------
    InputError
        If one has a label that the other lacks, other than a resolution that the grid's instrument fixes, or they share
        less than `LEAST_PIXELS` pixels.
    """
    columns, constants = [], []
    for label in reference.labels:
        column, constant = _column(contract, reference, label)
        columns.append(column)
        constants.append(constant)
    further = [name for place, name in enumerate(contract.label_names) if place not in columns]
    if further:
        raise InputError(
            f"contract {contract.name} has labels that contract {reference.name} of the reference knows nothing of "
            f"({', '.join(further)}): give an emulator of these labels with --against"
        )
    return Overlap(reference, tuple(columns), tuple(constants), *_pixels(contract, reference))


def _column(contract: Contract, reference: Contract, label: Label) -> tuple[int, float]:
    """The grid's column of a label of the reference, or -1 and the value that the grid's instrument fixes."""
    for place, ours in enumerate(contract.labels):
        same = ours.name == label.name or (ours.role == label.role and ours.role in _ALONE)
        if same and ours.unit == label.unit:
            return place, 0.0
    if label.role == RESOLUTION and contract.instrument is not None:
        return -1, contract.instrument.resolution
    raise InputError(
        f"contract {reference.name} of the reference has a label {label.name} ({label.unit or 'no unit'}) that "
        f"contract {contract.name} lacks: give an emulator of the grid's labels with --against"
    )


_ALONE = ("vsini", RESOLUTION, "macroturbulence")
"""Roles that one label has at most, whatever it is called."""


def _pixels(
    contract: Contract, reference: Contract
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Common pixels, with the reference's nodes and their factors, as `Overlap` has them."""
    ours, theirs = contract.wavelength, reference.wavelength
    wanted = converted(ours.pixels, ours.medium, theirs.medium)
    known = theirs.pixels
    pixels = np.flatnonzero((wanted >= known[0]) & (wanted <= known[-1]))
    if len(pixels) < LEAST_PIXELS:
        raise InputError(
            f"contracts {contract.name} and {reference.name} have {len(pixels)} pixels in common: give an emulator of "
            f"{ours.start:g} to {ours.stop:.10g} {ours.unit} with --against"
        )
    wanted = wanted[pixels]
    nearest = np.clip(np.searchsorted(theirs.edges, wanted, side="right") - 1, 0, theirs.count - 1)
    if (np.abs(known[nearest] - wanted) <= _SAME * theirs.widths[nearest]).all():
        return pixels, nearest[:, np.newaxis], np.ones((len(pixels), 1))
    nodes = min(_NODES, theirs.count)
    first = np.clip(np.searchsorted(known, wanted) - nodes // 2, 0, theirs.count - nodes)
    sources = first[:, np.newaxis] + np.arange(nodes)
    return pixels, sources, _lagrange(known[sources], wanted)


_SAME = 1e-2
"""Of a pixel's width, as `axis.matches` has it."""


def _lagrange(nodes: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Factors of the values at ``nodes`` (n, k) of the polynomial through them, at ``wanted`` (n,)."""
    scale = nodes[:, [-1]] - nodes[:, [0]]
    places, targets = (nodes - nodes[:, [0]]) / scale, (wanted - nodes[:, 0]) / scale[:, 0]
    factors = np.ones(nodes.shape)
    for one in range(nodes.shape[1]):
        for other in range(nodes.shape[1]):
            if one != other:
                factors[:, one] *= (targets - places[:, other]) / (places[:, one] - places[:, other])
    return factors
