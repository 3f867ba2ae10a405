"""Transfer functions of profiles that are integrated over a limb-darkened disc, as series in one label.

With a label v = largest sin(phi), an even and smooth function of v is a sum of a few cosines of phi, which costs only a
small matrix product. Linear limb darkening u weights the disc by 1 - u + u mu, so that every such profile is (disc + u
(limb - disc)) / (1 - u / 3): ``disc`` is its mean over a uniform disc, and ``limb`` its mean with the weight mu instead
of 1.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

Array = NDArray[np.float64]

DiscAndLimb = Callable[[Array, Array], tuple[Array, Array]]
"""Maps a label (n,) and frequencies in cycles per km/s to the transfers of disc and limb, (n, frequencies) each."""

NEGLIGIBLE_TERM = 1e-9
"""Terms of the series that change no transfer, which is at most 1, by more are dropped."""

FEWEST_NODES, MOST_NODES = 64, 4096
"""Fewest and most nodes of a series whose number of terms is not known beforehand."""


@dataclass(frozen=True)
class DiscSeries:
    """(disc + darkening x (limb - disc)) / (1 - darkening / 3), each of them a sum of waves in phi.

    largest: value of the label, in its unit; orders: those of the waves, shape (orders,); disc, difference: amplitudes
    of disc and of limb - disc at each frequency, shape (orders, frequencies).
    """

    largest: float
    orders: Array
    disc: NDArray[np.float32]
    difference: NDArray[np.float32]

    def __call__(self, values: Array, limb_darkening: Array) -> NDArray[np.float32]:
        """The sums of cosines, (n, frequencies), at values between 0 and ``largest`` and limb darkening, (n,) each."""
        waves = np.cos(np.outer(np.arcsin(values / self.largest), self.orders)).astype(np.float32)
        darkening = np.asarray(limb_darkening, dtype=np.float32)[:, np.newaxis]
        norm = 1.0 - darkening / np.float32(3.0)
        made = (waves / norm) @ self.disc
        made += (waves * (darkening / norm)) @ self.difference
        return np.asarray(made)

    def at(self, places: NDArray[np.integer]) -> "DiscSeries":
        """The same at some of the frequencies, given by their indices, (n,), which may repeat."""
        return replace(self, disc=self.disc[:, places], difference=self.difference[:, places])


def profile_of(role: str) -> DiscAndLimb:
    """The transfer function of a role, from the file of its name."""
    found: DiscAndLimb = import_module(f"stellar_emulator.broadening.{role}").disc_and_limb
    return found


def disc_transfer(profile: DiscAndLimb, frequencies: Array, values: Array, limb_darkening: Array) -> Array:
    """The transfer function itself, shape (n, frequencies); values and limb darkening of shape (n,)."""
    disc, limb = profile(values, frequencies)
    darkening = np.asarray(limb_darkening)[:, np.newaxis]
    return np.asarray(((1.0 - darkening) * disc + darkening * limb) / (1.0 - darkening / 3.0))


def disc_series(profile: DiscAndLimb, frequencies: Array, largest: float) -> DiscSeries:
    """A profile at frequencies in cycles per km/s, for its label from 0 to ``largest``: cosines of even orders."""
    return series_of(largest, *_even_amplitudes(profile, frequencies, largest))


def disc_slopes(profile: DiscAndLimb, frequencies: Array, largest: float) -> DiscSeries:
    """Its derivatives by the label: sines of odd orders, exactly 0 where the label is 0.

    cos(2 k phi) is the Chebyshev polynomial (-1)^k T_2k of sin(phi), whose derivative is a sum of those of odd order.
    """
    _, disc, limb = _even_amplitudes(profile, frequencies, largest)
    slopes = [_derived(amplitudes) / largest for amplitudes in (disc, limb)]
    return series_of(largest, np.arange(1.0, 2.0 * len(slopes[0]), 2.0), *slopes)


def series_of(largest: float, orders: Array, disc: Array, limb: Array) -> DiscSeries:
    """A series of amplitudes (orders, frequencies), without the negligible terms at its end."""
    matter = np.maximum(np.abs(disc), np.abs(limb)).max(axis=1, initial=0.0) > NEGLIGIBLE_TERM
    kept = int(np.nonzero(matter)[0].max(initial=0)) + 1
    return DiscSeries(largest, orders[:kept], disc[:kept].astype(np.float32), (limb - disc)[:kept].astype(np.float32))


def _even_amplitudes(profile: DiscAndLimb, frequencies: Array, largest: float) -> tuple[Array, Array, Array]:
    """Orders, and amplitudes of disc and limb, from as many nodes as are needed for the last terms to be negligible."""
    count = FEWEST_NODES
    while True:
        phi = 0.5 * np.pi / count * np.arange(0.5, count)
        orders = np.arange(0.0, 2.0 * count, 2.0)
        waves = np.where(orders > 0, 2.0, 1.0) / count * np.cos(np.outer(phi, orders))
        disc, limb = (waves.T @ part for part in profile(largest * np.sin(phi), frequencies))
        tail = max(np.abs(part[3 * count // 4 :]).max() for part in (disc, limb))
        if tail <= NEGLIGIBLE_TERM or count >= MOST_NODES:
            return orders, disc, limb
        count *= 2


def _derived(amplitudes: Array) -> Array:
    """Amplitudes of sin((2 m + 1) phi) in the derivative by sin(phi) of the sum of those of cos(2 k phi)."""
    polynomial = np.zeros((2 * len(amplitudes) - 1, amplitudes.shape[1]))
    polynomial[::2] = amplitudes * _alternating(len(amplitudes))
    odd = chebyshev.chebder(polynomial)[1::2]
    return np.asarray(odd * _alternating(len(odd)))


def _alternating(count: int) -> Array:
    return np.where(np.arange(count) % 2 == 0, 1.0, -1.0)[:, np.newaxis]
