"""Principal components of the flux: the validator's input, and the space in which emulators may work."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from stellar_emulator.grid.store import Grid

ROWS_FITTED = 8192
"""Training rows of a grid that a basis is fitted to; more change it by less than its own truncation."""


@dataclass(frozen=True)
class Basis:
    """mean (pixels,), components (k, pixels) with orthonormal rows, variance (k,) of the coefficients."""

    mean: NDArray[np.float32]
    components: NDArray[np.float32]
    variance: NDArray[np.float32]

    def project(self, flux: NDArray[np.float32]) -> NDArray[np.float32]:
        """Coefficients of flux, (n, pixels) to (n, k)."""
        return np.asarray((flux - self.mean) @ self.components.T)

    def restore(self, coefficients: NDArray[np.float32]) -> NDArray[np.float32]:
        """Flux of coefficients, (n, k) to (n, pixels)."""
        return np.asarray(coefficients @ self.components + self.mean)


def fit_basis(flux: NDArray[np.float32], components: int, seed: int) -> Basis:
    """Centred principal components (scikit-learn) of training spectra, (n, pixels)."""
    fitted = PCA(n_components=min(components, *flux.shape), svd_solver="randomized", random_state=seed).fit(flux)
    return Basis(
        fitted.mean_.astype(np.float32),
        fitted.components_.astype(np.float32),
        fitted.explained_variance_.astype(np.float32),
    )


def fit_grid_basis(grid: Grid, rows: NDArray[np.int64], components: int, seed: int) -> Basis:
    """Principal components of some rows of a grid, at most `ROWS_FITTED` of them drawn at random."""
    random = np.random.default_rng(seed)
    chosen = np.sort(random.choice(rows, min(len(rows), ROWS_FITTED), replace=False))
    return fit_basis(grid.take(chosen), components, seed)


def project_grid(grid: Grid, basis: Basis) -> NDArray[np.float32]:
    """Coefficients of every row of a grid, streamed, shape (rows, k)."""
    coefficients = np.empty((grid.rows, len(basis.components)), dtype=np.float32)
    for rows, flux in grid.batches():
        coefficients[rows] = basis.project(flux)
    return coefficients
