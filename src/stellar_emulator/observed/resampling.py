"""Resampling that conserves flux: the new value of a pixel is the mean of the flux over the pixel."""

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline


def pixel_edges(centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Edges half-way between ascending centres, shape (pixels + 1,)."""
    inner = (centres[1:] + centres[:-1]) / 2.0
    return np.concatenate([[2.0 * centres[0] - inner[0]], inner, [2.0 * centres[-1] - inner[-1]]])


def resampled(
    centres: NDArray[np.float64],
    flux: NDArray[np.float64],
    error: NDArray[np.float64],
    wanted: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Flux and its error, (pixels,) each, on other pixels given by their ``wanted`` centres.

    The integral of the flux up to each edge is interpolated by a cubic spline and differenced, so that the integral
    over whole pixels is conserved and well-sampled lines keep their shape; sharing flux by overlap would smooth by up
    to a pixel. The error is the overlap's root mean square, times the square root of old over new width where pixels
    are merged; where they are not, errors of neighbours are correlated. If a new pixel touches one of infinite error,
    or lies beyond the old ones, its error is infinite and its flux 0.
    """
    edges, borders = pixel_edges(centres), pixel_edges(wanted)
    usable = np.isfinite(error)
    filled = flux if usable.all() else np.where(usable, flux, np.interp(centres, centres[usable], flux[usable]))
    widths = np.diff(edges)
    integral = CubicSpline(edges, np.concatenate([[0.0], np.cumsum(filled * widths)]))
    inside = np.clip(borders, edges[0], edges[-1])
    new_widths = np.diff(borders)
    values = np.diff(integral(inside)) / new_widths
    variance = _mean_over(edges, np.where(usable, error, 0.0) ** 2, borders)
    old_width = _mean_over(edges, widths, borders)
    unusable = _mean_over(edges, (~usable).astype(float), borders)
    covered = (borders[:-1] >= edges[0] - 1e-6) & (borders[1:] <= edges[-1] + 1e-6) & (unusable < 1e-9)
    new_error = np.sqrt(np.maximum(variance, 0.0) * np.minimum(1.0, old_width / new_widths))
    return np.where(covered, values, 0.0), np.where(covered, new_error, np.inf)


def _mean_over(
    edges: NDArray[np.float64], values: NDArray[np.float64], borders: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mean of a step function over other bins."""
    integral = np.concatenate([[0.0], np.cumsum(values * np.diff(edges))])
    return np.asarray(np.diff(np.interp(borders, edges, integral)) / np.diff(borders))
