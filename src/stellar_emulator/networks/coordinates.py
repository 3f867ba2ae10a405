"""Coordinates of labels along which spectra change evenly: inputs of teachers and, if the preset says so, of
networks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.label import Label

Shape = Literal["itself", "reciprocal", "power"]

SHAPES: dict[Shape, Callable[[NDArray[np.floating]], NDArray[np.floating]]] = {
    "itself": lambda x: x,
    "reciprocal": lambda x: 1.0 / x,
    "power": lambda x: 10.0**x,
}


@dataclass(frozen=True)
class Coordinate:
    """A label itself, its reciprocal, or ten to its power; column: the label's index among all labels."""

    shape: Shape
    column: int

    def __call__(self, labels: NDArray[np.floating]) -> NDArray[np.floating]:
        """Physical labels, (n, labels), to the coordinate (n,) in their precision."""
        return SHAPES[self.shape](labels[:, self.column])


Coordinates = tuple[Coordinate, ...]


def own_coordinates(labels: Sequence[Label]) -> Coordinates:
    """All labels as they are."""
    return tuple(Coordinate("itself", column) for column in range(len(labels)))


def physical_coordinates(labels: Sequence[Label]) -> Coordinates:
    """Coordinates of all labels, with those of one form side by side.

    Populations depend on exponentials of 1 / T, and opacities on the abundance itself rather than its logarithm.
    Besides itself, a logarithmic label (dex) therefore enters as a power of ten, and any other positive label as its
    reciprocal.
    """
    found: dict[Shape, list[int]] = {"itself": [], "reciprocal": [], "power": []}
    for column, label in enumerate(labels):
        for shape in _shapes(label):
            found[shape].append(column)
    return tuple(Coordinate(shape, column) for shape, columns in found.items() for column in columns)


def along(coordinates: Coordinates, labels: NDArray[np.floating]) -> NDArray[np.floating]:
    """Physical labels, (n, labels), as coordinates (n, coordinates)."""
    return np.stack([coordinate(labels) for coordinate in coordinates], axis=1)


def bounds(coordinates: Coordinates, labels: Sequence[Label]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates of the labels' lower and of their upper bounds, (coordinates,) each."""
    lower, upper = along(coordinates, np.array([[label.lower for label in labels], [label.upper for label in labels]]))
    return lower, upper


def scaled(coordinates: Coordinates, labels: Sequence[Label], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Physical labels, (n, labels), as coordinates scaled from the labels' bounds to [-1, 1], (n, coordinates)."""
    lower, upper = bounds(coordinates, labels)
    return np.asarray(2.0 * (along(coordinates, values) - lower) / (upper - lower) - 1.0)


def scaled_coordinates(labels: Sequence[Label], unit: NDArray[np.floating]) -> NDArray[np.float64]:
    """Physical coordinates scaled to [-1, 1], (n, coordinates), of labels scaled to [-1, 1], (n, labels)."""
    lower, upper = bounds(own_coordinates(labels), labels)
    values = 0.5 * (upper + lower) + 0.5 * (upper - lower) * unit.astype(np.float64)
    return scaled(physical_coordinates(labels), labels, values)


def _shapes(label: Label) -> tuple[Shape, ...]:
    if label.unit == "dex":
        return ("itself", "power")
    return ("itself", "reciprocal") if label.lower > 0 else ("itself",)
