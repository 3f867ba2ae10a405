"""Radial functions of labels: what an interpolating emulator's first dense layer takes, in place of coordinates."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True)
class RadialFunctions:
    """Cubes of the distances from some centres, then the scaled coordinates themselves, for a linear trend.

    scale, shift: of coordinates x, (coordinates,): distances are those of ``x * scale + shift``; centres: in these
    units, (centres, coordinates).
    """

    scale: Array
    shift: Array
    centres: Array

    def __call__(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """Coordinates, (n, coordinates), to functions (n, centres + coordinates): large multiples of them cancel."""
        place = x.astype(np.float64) * self.scale + self.shift
        squared = np.square(place[:, np.newaxis] - self.centres).sum(axis=2)
        return np.concatenate([squared * np.sqrt(squared), place], axis=1)

    @property
    def weights(self) -> int:
        """Multiply-adds for one row."""
        return int(self.centres.size)
