"""Transfer function of Gray's rotation profile, with linear limb darkening, and its series in vsini.

(The Observation and Analysis of Stellar Photospheres, eq. 18.14.) Both terms of the profile depend on one angle, 2 pi
vsini frequency. With vsini = fastest sin(phi) they are even and periodic in phi, so a few cosines give them to single
precision at every vsini, at the cost of a small matrix product. ONNX has no Bessel function, and NumPy's is slow.
"""

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.broadening.disc_series import DiscSeries, series_of

Array = NDArray[np.float64]

SMALL = 1e-2
"""Angle in radians below which the functions are replaced by their first terms."""


def rotation_transfer(frequencies: Array, vsini: Array, limb_darkening: Array) -> Array:
    """The transfer function, shape (n, frequencies): 1 without rotation.

    frequencies in cycles per km/s; vsini in km/s and limb darkening of shape (n,).
    """
    angle = 2.0 * np.pi * np.outer(vsini, frequencies)
    darkening = np.asarray(limb_darkening)[:, np.newaxis]
    return np.asarray(((1.0 - darkening) * _disc(angle) + darkening * _limb(angle)) / (1.0 - darkening / 3.0))


def rotation_series(frequencies: Array, fastest: float) -> DiscSeries:
    """The transfer at frequencies in cycles per km/s, up to ``fastest`` km/s: cosines of even orders."""
    phi, angle = _nodes(frequencies, fastest)
    orders = np.arange(0.0, 2.0 * len(phi), 2.0)
    waves = np.where(orders > 0, 2.0, 1.0) / len(phi) * np.cos(np.outer(phi, orders))
    return series_of(fastest, orders, waves.T @ _disc(angle), waves.T @ _limb(angle))


def rotation_slopes(frequencies: Array, fastest: float) -> DiscSeries:
    """Derivatives by vsini, per km/s: sines of odd orders, exactly 0 where vsini is 0."""
    phi, angle = _nodes(frequencies, fastest)
    orders = np.arange(1.0, 2.0 * len(phi), 2.0)
    waves = 2.0 / len(phi) * np.sin(np.outer(phi, orders))
    inner = 2.0 * np.pi * frequencies
    return series_of(fastest, orders, waves.T @ (inner * _disc_slope(angle)), waves.T @ (inner * _limb_slope(angle)))


def _nodes(frequencies: Array, fastest: float) -> tuple[Array, Array]:
    """Values of phi at which waves of either kind are orthogonal, and the angles there, (nodes, frequencies)."""
    # A wave in sin(phi) has no more orders than radians, except for a tail.
    count = int(np.pi * fastest * frequencies.max()) + 64
    phi = 0.5 * np.pi / count * np.arange(0.5, count)
    return phi, 2.0 * np.pi * fastest * np.outer(np.sin(phi), frequencies)


def _disc(angle: Array) -> Array:
    """2 J1(x) / x: the transfer without limb darkening."""
    from scipy.special import j1

    safe = np.where(angle < SMALL, 1.0, angle)
    return np.where(angle < SMALL, 1.0 - angle**2 / 8.0, 2.0 * j1(safe) / safe)


def _limb(angle: Array) -> Array:
    """2 (sin x - x cos x) / x^3: the transfer with a darkening of 1, times 1 - 1 / 3."""
    safe = np.where(angle < SMALL, 1.0, angle)
    series = 2.0 / 3.0 - angle**2 / 15.0
    return np.where(angle < SMALL, series, 2.0 * (np.sin(safe) - safe * np.cos(safe)) / safe**3)


def _disc_slope(angle: Array) -> Array:
    """Derivative of 2 J1(x) / x, that is -2 J2(x) / x."""
    from scipy.special import j0, j1

    safe = np.where(angle < SMALL, 1.0, angle)
    return np.where(angle < SMALL, -angle / 4.0, 2.0 * (safe * j0(safe) - 2.0 * j1(safe)) / safe**2)


def _limb_slope(angle: Array) -> Array:
    """Derivative of 2 (sin x - x cos x) / x^3."""
    safe = np.where(angle < SMALL, 1.0, angle)
    slope = 2.0 * np.sin(safe) / safe**2 - 6.0 * (np.sin(safe) - safe * np.cos(safe)) / safe**4
    return np.where(angle < SMALL, -2.0 * angle / 15.0, slope)
