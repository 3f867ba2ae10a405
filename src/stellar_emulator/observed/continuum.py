"""Low-order continua: Chebyshev polynomials of wavelength by which a normalised spectrum is multiplied."""

from collections.abc import Sequence

import numpy as np
from numpy.polynomial.chebyshev import chebvander
from numpy.typing import NDArray

ENOUGH = 800
"""Pixels from which a first guess at a continuum is as good as from more."""

ROUNDS = 8
"""Rounds in which pixels below the previous continuum are dropped."""

BELOW, ABOVE = 1.5, 4.0
"""Standard deviations beyond which a pixel counts as part of a line, or as a spike."""

LEAST_SPREAD = 1e-9
"""Smallest spread relative to the largest flux; less is rounding."""


def chebyshev_basis(wavelength: NDArray[np.float64], degree: int) -> NDArray[np.float64]:
    """Polynomials of degree 0 to ``degree`` over the range of the wavelengths, shape (pixels, degree + 1)."""
    middle, half = (wavelength[-1] + wavelength[0]) / 2.0, (wavelength[-1] - wavelength[0]) / 2.0
    return np.asarray(chebvander((wavelength - middle) / half, degree))


def basis_of_pieces(wavelength: NDArray[np.float64], pieces: Sequence[slice], degree: int) -> NDArray[np.float64]:
    """Polynomials of each piece over its own range, 0 beyond it, shape (pixels, pieces * (degree + 1))."""
    basis = np.zeros((len(wavelength), len(pieces) * (degree + 1)))
    for number, piece in enumerate(pieces):
        columns = slice(number * (degree + 1), (number + 1) * (degree + 1))
        basis[piece, columns] = chebyshev_basis(wavelength[piece], degree)
    return basis


def flat(pieces: int, degree: int) -> NDArray[np.float64]:
    """Coefficients of the continuum 1 in a basis of so many pieces, (pieces * (degree + 1),)."""
    return np.tile(np.eye(1, degree + 1)[0], pieces)


def continuum_over(
    basis: NDArray[np.float64], model: NDArray[np.float64], flux: NDArray[np.float64], error: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Coefficients (degree + 1,) for which continuum times ``model`` is nearest to ``flux``, all (pixels,)."""
    weight = 1.0 / error
    return _least_squares(basis * (model * weight)[:, None], np.where(weight > 0, flux, 0.0) * weight)


def upper_envelope(
    basis: NDArray[np.float64], flux: NDArray[np.float64], error: NDArray[np.float64]
) -> NDArray[np.float64]:
    """First guess of a continuum's coefficients without any model: a fit from which lines are removed in rounds."""
    usable = np.isfinite(error)
    every = max(1, int(usable.sum()) // ENOUGH)
    if every > 1:
        places = np.flatnonzero(usable)[::every]
        basis, flux, usable = basis[places], flux[places], np.ones(len(places), dtype=bool)
    kept = usable & (flux >= np.quantile(flux[usable], 0.3))
    coefficients: NDArray[np.floating] = np.zeros(basis.shape[1])
    for _ in range(ROUNDS):
        coefficients = _least_squares(basis[kept], flux[kept])
        residual = flux - basis @ coefficients
        spread = max(float(np.std(residual[kept])), LEAST_SPREAD * float(np.abs(flux[kept]).max()))
        before, kept = kept, usable & (residual > -BELOW * spread) & (residual < ABOVE * spread)
        if kept.sum() < 3 * basis.shape[1] or (kept == before).all():
            break
    return np.asarray(coefficients, dtype=np.float64)


def _least_squares(design: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coefficients for which the design (pixels, coefficients) is nearest to values; few columns, so by their products.

    Columns are scaled to unit length; combinations of them that are nearly none stay at 0.
    """
    length = np.sqrt(np.einsum("ij,ij->j", design, design))
    scale = np.divide(1.0, length, out=np.zeros_like(length), where=length > 0)
    scaled = design * scale
    return np.asarray(np.linalg.lstsq(scaled.T @ scaled, scaled.T @ values, rcond=1e-13)[0] * scale)
