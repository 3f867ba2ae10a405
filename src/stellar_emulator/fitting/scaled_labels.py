"""Labels as coordinates from 0 to 1 in which a spectrum changes as evenly as possible.

The variances of broadening add, so flux is smooth in v sin i squared (its slope in v sin i itself vanishes at 0) and in
1 / resolution squared; other labels are only scaled to their bounds.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.roles import ROLES

SMALLEST = 1e-5
"""Smallest coordinate at which a slope is evaluated: at 0 it may be 0 / 0."""


@dataclass(frozen=True)
class ScaledLabels:
    """Coordinate of a label: (label^power - lower^power) / (upper^power - lower^power). Arrays have shape (labels,)."""

    power: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]

    @cached_property
    def span(self) -> NDArray[np.float64]:
        return np.asarray(self._raised(self.upper) - self._lowest)

    @cached_property
    def _lowest(self) -> NDArray[np.float64]:
        return self._raised(self.lower)

    @cached_property
    def _curved(self) -> list[int]:
        """Columns whose power is not 1."""
        return [int(column) for column in np.flatnonzero(self.power != 1.0)]

    def of(self, labels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Coordinates of labels, (..., labels) each."""
        return np.asarray((self._raised(labels) - self._lowest) / self.span)

    def labels(self, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        """Labels at coordinates, never outside their bounds."""
        found = self._lowest + np.clip(coordinates, 0.0, 1.0) * self.span
        for column in self._curved:
            found[..., column] = np.abs(found[..., column]) ** (1.0 / self.power[column])
        return np.clip(found, self.lower, self.upper)

    def beyond(self, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        """Labels at coordinates, also outside their bounds: there a power goes on as on the other side of 0."""
        found = self._lowest + coordinates * self.span
        for column in self._curved:
            own = found[..., column]
            found[..., column] = np.sign(own) * np.abs(own) ** (1.0 / self.power[column])
        return np.asarray(found)

    def slopes(self, labels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivatives of labels by their coordinates, (..., labels)."""
        found = np.empty(np.shape(labels))
        found[...] = self.span
        for column in self._curved:
            power = self.power[column]
            found[..., column] = self.span[column] / (power * labels[..., column] ** (power - 1.0))
        return found

    def part(self, chosen: NDArray[np.bool_]) -> "ScaledLabels":
        """The coordinates of some labels, chosen by (labels,)."""
        return ScaledLabels(self.power[chosen], self.lower[chosen], self.upper[chosen])

    def inside(self, labels: NDArray[np.float64]) -> NDArray[np.float64]:
        """The nearest labels at which `slopes` are finite."""
        return self.labels(np.maximum(self.of(labels), SMALLEST))

    def _raised(self, labels: NDArray[np.float64]) -> NDArray[np.float64]:
        found = np.array(labels, dtype=np.float64)
        for column in self._curved:
            found[..., column] = found[..., column] ** self.power[column]
        return found


def label_coordinates(contract: Contract) -> ScaledLabels:
    """Coordinates of a contract's labels."""
    power = np.array([ROLES[label.role].power for label in contract.labels])
    return ScaledLabels(power, contract.lower, contract.upper)
