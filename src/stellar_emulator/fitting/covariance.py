"""Covariances that stay positive definite, however badly a spectrum tells parameters apart."""

import numpy as np
from numpy.typing import NDArray

ROUNDING = 1e-7
"""Smallest eigenvalue of a normal matrix with a unit diagonal: less is rounding of its single-precision products."""

LEAST_SHARE = 1e-3
"""Of the variance by independent errors that errors shared by pixels may leave in any direction."""


def inverse_of(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverses of normal matrices, (n, parameters, parameters), symmetric and positive definite."""
    scale, values, vectors = _parts(matrix)
    turned = vectors * scale[:, :, None]
    return np.asarray(turned / values[:, None, :] @ turned.transpose(0, 2, 1))


def covariance_of(matrix: NDArray[np.float64], added: NDArray[np.float64]) -> NDArray[np.float64]:
    """Covariance of parameters that weigh pixels as if their errors were independent, which add so much to the
    gradients' covariance: (n, parameters, parameters) each.

    It is the inverse of ``matrix``, plus that times ``added`` times that; what rounding makes negative is cut off.
    """
    scale, values, vectors = _parts(matrix)
    root = vectors * scale[:, :, None] / np.sqrt(values)[:, None, :]
    inner = root.transpose(0, 2, 1) @ added @ root
    shares, turns = np.linalg.eigh((inner + inner.transpose(0, 2, 1)) / 2.0)
    turned = root @ turns
    return np.asarray(turned * np.maximum(1.0 + shares, LEAST_SHARE)[:, None, :] @ turned.transpose(0, 2, 1))


def _parts(
    matrix: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Scales to a unit diagonal, (n, parameters), and the scaled matrices' eigenvalues and eigenvectors."""
    diagonal = np.einsum("ijj->ij", matrix)
    # A parameter that no pixel tells of keeps its unit: to scale it up would end beyond all numbers.
    scale = 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    scaled = matrix * scale[:, :, None] * scale[:, None, :]
    values, vectors = np.linalg.eigh((scaled + scaled.transpose(0, 2, 1)) / 2.0)
    return scale, np.maximum(values, ROUNDING), vectors
