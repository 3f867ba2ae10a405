"""Labels as coordinates from 0 to 1 in which a spectrum changes as evenly as possible.

The variances of broadening add, so flux is smooth in v sin i squared (its slope in v sin i itself vanishes at 0) and in
1 / resolution squared; other labels are only scaled to their bounds.
"""

from dataclasses import dataclass

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

    @property
    def span(self) -> NDArray[np.float64]:
        return np.asarray(self._raised(self.upper) - self._raised(self.lower))

    def of(self, labels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Coordinates of labels, (..., labels) each."""
        return np.asarray((self._raised(labels) - self._raised(self.lower)) / self.span)

    def labels(self, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        """Labels at coordinates, never outside their bounds."""
        raised = self._raised(self.lower) + np.clip(coordinates, 0.0, 1.0) * self.span
        linear = self.power == 1.0
        found = np.where(linear, raised, np.abs(raised) ** (1.0 / self.power))
        return np.clip(found, self.lower, self.upper)

    def beyond(self, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        """Labels at coordinates, also outside their bounds: there a power goes on as on the other side of 0."""
        raised = self._raised(self.lower) + coordinates * self.span
        return np.asarray(np.where(self.power == 1.0, raised, np.sign(raised) * np.abs(raised) ** (1.0 / self.power)))

    def slopes(self, labels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivatives of labels by their coordinates, (..., labels)."""
        linear = self.power == 1.0
        base = np.where(linear, 1.0, labels)
        return np.asarray(np.where(linear, self.span, self.span / (self.power * base ** (self.power - 1.0))))

    def part(self, chosen: NDArray[np.bool_]) -> "ScaledLabels":
        """The coordinates of some labels, chosen by (labels,)."""
        return ScaledLabels(self.power[chosen], self.lower[chosen], self.upper[chosen])

    def inside(self, labels: NDArray[np.float64]) -> NDArray[np.float64]:
        """The nearest labels at which `slopes` are finite."""
        return self.labels(np.maximum(self.of(labels), SMALLEST))

    def _raised(self, labels: NDArray[np.float64]) -> NDArray[np.float64]:
        linear = self.power == 1.0
        return np.where(linear, labels, np.where(linear, 1.0, labels) ** self.power)


def label_coordinates(contract: Contract) -> ScaledLabels:
    """Coordinates of a contract's labels."""
    power = np.array([ROLES[label.role].power for label in contract.labels])
    return ScaledLabels(power, contract.lower, contract.upper)
