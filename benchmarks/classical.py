"""Emulators without networks: a quadratic polynomial by pixel, and interpolation between the nearest spectra.

SciPy's ``LinearNDInterpolator`` triangulates all points, which is out of reach for tens of thousands of them in six
dimensions: radial functions of the nearest points take its place.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator
from scipy.spatial import KDTree

ROWS = 4096
"""Spectra that are summed at once in double precision."""

NEIGHBOURS = 64
"""Spectra between which is interpolated."""


@dataclass(frozen=True)
class Quadratic:
    """Flux of each pixel as a quadratic polynomial of scaled labels: The Cannon (Ness et al. 2015, ApJ 808, 16).

    coefficients: (terms, pixels).
    """

    coefficients: NDArray[np.float32]

    def __call__(self, labels: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(quadratic_terms(labels) @ self.coefficients)


def quadratic_terms(labels: NDArray[np.float32]) -> NDArray[np.float32]:
    """1, labels and products of two labels, (n, labels) to (n, terms)."""
    first, second = np.triu_indices(labels.shape[1])
    return np.concatenate([np.ones_like(labels[:, :1]), labels, labels[:, first] * labels[:, second]], axis=1)


def fit_quadratic(labels: NDArray[np.float32], flux: NDArray[np.float32]) -> Quadratic:
    """Least squares of flux (n, pixels) at scaled labels (n, labels)."""
    terms = quadratic_terms(labels).astype(np.float64)
    starts = range(0, len(flux), ROWS)
    moments = sum(terms[start : start + ROWS].T @ flux[start : start + ROWS] for start in starts)
    return Quadratic(np.linalg.solve(terms.T @ terms, moments).astype(np.float32))


@dataclass(frozen=True)
class Interpolation:
    """Radial functions of the nearest spectra: ``linear`` or ``cubic``, with a polynomial of degree 0 or 1.

    tree: of scaled labels (n, labels), whose flux is (n, pixels).
    """

    tree: KDTree
    flux: NDArray[np.float32]
    kernel: Literal["linear", "cubic"]

    def __call__(self, labels: NDArray[np.float32]) -> NDArray[np.float32]:
        # One by one: SciPy's own choice of neighbours copies all flux to double precision first.
        return np.concatenate([self._one(star) for star in labels[:, np.newaxis]])

    def _one(self, star: NDArray[np.float32]) -> NDArray[np.float32]:
        near = self.tree.query(star[0], min(NEIGHBOURS, len(self.flux)))[1]
        surface = RBFInterpolator(self.tree.data[near], self.flux[near], kernel=self.kernel)
        return np.asarray(surface(star), dtype=np.float32)
