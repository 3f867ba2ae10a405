"""Principal components of the flux: the validator's input, and the space in which emulators may work."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from stellar_emulator.grid.store import FLUX_ERROR, Grid

ROWS_FITTED = 8192
"""Number of training rows to which a basis is fitted; more rows change it by less than its own truncation."""


@dataclass(frozen=True)
class Basis:
    """mean (pixels,), components (k, pixels) with orthonormal rows, variance (k,) of the coefficients."""

    mean: NDArray[np.float32]
    components: NDArray[np.float32]
    variance: NDArray[np.float32]

    def project(self, flux: NDArray[np.float32]) -> NDArray[np.float32]:
        """Coefficients of flux, (n, pixels) to (n, k)."""
        return np.asarray((flux - self.mean) @ self.components.T)

    def project_noisy(self, flux: NDArray[np.float32], error: NDArray[np.float32]) -> NDArray[np.float32]:
        """Most likely coefficients of flux with errors, (n, pixels) each, to (n, k).

        Least squares by inverse variance, with the coefficients' own variances as prior: a coefficient that a spectrum
        does not constrain stays at the mean (Rasmussen & Williams 2006, Gaussian Processes for Machine Learning, eq.
        2.8).
        """
        weight = np.square(1.0 / error.astype(np.float64))
        components, prior = self.components.astype(np.float64), np.diag(1.0 / np.maximum(self.variance, _LEAST))
        found = np.empty((len(flux), len(components)), dtype=np.float32)
        for row, (one, weights) in enumerate(zip(flux.astype(np.float64) - self.mean, weight, strict=True)):
            weighted = components * weights
            found[row] = np.linalg.solve(weighted @ components.T + prior, weighted @ one)
        return found

    def restore(self, coefficients: NDArray[np.float32]) -> NDArray[np.float32]:
        """Flux of coefficients, (n, k) to (n, pixels)."""
        return np.asarray(coefficients @ self.components + self.mean)


_LEAST = 1e-12
"""Smallest variance of a component that is used in divisions, so that a component that never varies stays at 0."""


def fit_basis(flux: NDArray[np.float32], components: int, seed: int) -> Basis:
    """Centred principal components (scikit-learn) of training spectra, (n, pixels)."""
    fitted = PCA(n_components=min(components, *flux.shape), svd_solver="randomized", random_state=seed).fit(flux)
    return Basis(
        fitted.mean_.astype(np.float32),
        fitted.components_.astype(np.float32),
        fitted.explained_variance_.astype(np.float32),
    )


def fit_grid_basis(grid: Grid, rows: NDArray[np.int64], components: int, seed: int) -> Basis:
    """Principal components of some rows of a grid, of which at most `ROWS_FITTED` are drawn at random.

    Pixels without data are replaced by the mean of the others.
    """
    random = np.random.default_rng(seed)
    chosen = np.sort(random.choice(rows, min(len(rows), ROWS_FITTED), replace=False))
    flux = grid.take(chosen)
    if grid.has_errors:
        known = np.isfinite(grid.take(chosen, FLUX_ERROR))
        flux = filled(flux, known, np.where(known, flux, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1))
    return fit_basis(flux, components, seed)


def project_grid(grid: Grid, basis: Basis, noisy: bool = False) -> NDArray[np.float32]:
    """Coefficients of every row of a grid, streamed, shape (rows, k).

    noisy: use the errors of the flux, if the grid has any. Without it, spectra are projected as observed ones are,
    except that pixels without data are replaced by the mean.
    """
    coefficients = np.empty((grid.rows, len(basis.components)), dtype=np.float32)
    for group, (rows, flux) in enumerate(grid.batches()):
        if grid.has_errors:
            error = grid.group_flux(group, FLUX_ERROR)
            flux = filled(flux, np.isfinite(error), basis.mean)
            coefficients[rows] = basis.project_noisy(flux, error) if noisy else basis.project(flux)
        else:
            coefficients[rows] = basis.project(flux)
    return coefficients


def filled(flux: NDArray[np.float32], known: NDArray[np.bool_], mean: NDArray[np.floating]) -> NDArray[np.float32]:
    """Flux in which pixels without data are replaced by the mean (pixels,) of others."""
    return flux if known.all() else np.where(known, flux, mean).astype(np.float32)
