"""Noise that neighbouring pixels share, since the flux was interpolated from wider pixels of a detector.

Flux that is interpolated linearly between pixels of a width, whatever their phases, has noise whose correlation is the
cubic B-spline of the distance in such widths: the self-convolution of linear interpolation's triangle. For Gaia DR3's
pixels of 0.0245 nm on an axis of 0.01 nm that makes 0.80, 0.41 and 0.12; measured are 0.78, 0.41 and 0.15.
"""

import numpy as np
from numpy.typing import NDArray

REACH = 2.0
"""Distance, in widths of a detector's pixel, from which pixels share no noise."""

WIDTHS = np.arange(0.5, 4.01, 0.1)
"""Widths that are tried, in pixels of the spectrum; at the first one its pixels are independent."""

FAR = 1e6
"""Distance between pixels, in units of wavelength, at which nothing is shared."""

ROUNDS, CLIPPED = 3, 4.0
"""Rounds in which differences beyond some standard deviations are left out, as those of spikes."""

FEWEST = 50
"""Differences of pixels from which a width can be told."""


def correlation(apart: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlation of the noise of two pixels, of any shape, at distances in widths of the detector's pixel."""
    near = np.abs(apart)
    inner = 1.0 - 1.5 * near**2 + 0.75 * near**3
    outer = 0.25 * np.maximum(REACH - near, 0.0) ** 3
    return np.where(near < 1.0, inner, outer)


def width_of(residual: NDArray[np.float64]) -> float:
    """Width of the detector's pixels, in pixels of the spectrum, told from its residuals; `WIDTHS` [0] for white noise.

    residual: observed minus fitted flux over its error, (pixels,), NaN where there is none. Second differences of every
    other pixel are compared with those of neighbours; what the model lacks is smooth and cancels in them.
    """
    one, two = (_spread(residual, lag) for lag in (1, 2))
    if not np.isfinite([one, two]).all() or one <= 0.0:
        return float(WIDTHS[0])
    expected = _of_differences(2.0 / WIDTHS) / _of_differences(1.0 / WIDTHS)
    return float(np.interp((two / one) ** 2, expected, WIDTHS))


def hidden_by(width: float) -> float:
    """Standard deviation of noise over the one that second differences of neighbours show, for a width in pixels."""
    return float(np.sqrt(6.0 / _of_differences(np.array(1.0 / width))))


def shared(
    pulls: NDArray[np.floating], wavelength: NDArray[np.float64], width: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What correlated noise adds to the gradients' covariance, (n, parameters, parameters).

    pulls: effect of one standard deviation of each pixel's noise, (n, pixels, parameters); wavelength: ascending, (n,
    pixels); width: of the detector's pixels in its unit, (n,), 0 for independent ones. The part that each pixel has
    alone is left out.
    """
    spread = np.zeros_like(pulls)
    # Shorter spectra are filled up with pixels of one wavelength, which count for nothing: they are moved far away.
    filling = np.cumsum(wavelength == wavelength[:, -1:], axis=1) > 1
    places = np.where(filling, wavelength + FAR * (1.0 + np.arange(wavelength.shape[1])), wavelength)
    for lag in range(1, wavelength.shape[1]):
        apart = places[:, lag:] - places[:, :-lag]
        within = (apart > 0) & (apart < REACH * width[:, None])
        if not within.any():
            break
        own = correlation(apart / np.where(width > 0, width, 1.0)[:, None]) * within
        spread[:, :-lag] += own.astype(pulls.dtype)[..., None] * pulls[:, lag:]
    found = (pulls.transpose(0, 2, 1) @ spread).astype(np.float64)
    return np.asarray(found + found.transpose(0, 2, 1))


def _of_differences(lag: NDArray[np.float64]) -> NDArray[np.float64]:
    """Variance of second differences of pixels that lie a lag apart, in widths, for noise of unit variance."""
    return np.asarray(6.0 - 8.0 * correlation(lag) + 2.0 * correlation(2.0 * lag))


def _spread(residual: NDArray[np.float64], lag: int) -> float:
    differences = residual[: -2 * lag] - 2.0 * residual[lag:-lag] + residual[2 * lag :]
    known = differences[np.isfinite(differences)]
    # Not the median: where flux was interpolated linearly, most second differences are 0.
    for _ in range(ROUNDS):
        known = known[np.abs(known) <= CLIPPED * np.sqrt(np.mean(known**2))] if len(known) else known
    return float(np.sqrt(np.mean(known**2))) if len(known) >= FEWEST else float("nan")
