"""Values on an axis of pixels, at any wavelengths between: local polynomials through the nearest pixels.

A polynomial of degree 5 through six pixels is exact to 1e-4 for the sharpest line of Gaia's RVS, seven pixels wide, one
through eight to 1e-5; unlike a spline it needs no equations over the whole axis.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from stellar_emulator.contract.axis import WavelengthAxis

POINTS = 8
"""Pixels through which each polynomial goes."""

FINE, FINE_POINTS = 7.2, 6
"""Pixels on the full width of the sharpest line from which so many points leave errors below 1e-4 of its depth."""

GAP = 3.0
"""A step so many times wider than the median one is a gap in the axis; no polynomial reaches across it."""


SAME = 1e-6
"""Difference in steps below which steps are the same."""


@dataclass(frozen=True)
class Interpolation:
    """Interpolates between ascending ``nodes`` (pixels,), by polynomials through ``most_points`` or as many as there
    are."""

    nodes: NDArray[np.float64]
    most_points: int = POINTS

    @property
    def points(self) -> int:
        return min(self.most_points, len(self.nodes))

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """First pixel of the polynomial of each interval between neighbouring pixels, (pixels - 1,)."""
        steps = np.diff(self.nodes)
        breaks = np.flatnonzero(steps > GAP * np.median(steps))
        lower, upper = np.zeros(len(steps), np.int64), np.full(len(steps), len(self.nodes), np.int64)
        for border in breaks:
            lower[border + 1 :], upper[np.arange(len(steps)) < border] = (
                border + 1,
                np.minimum(upper[np.arange(len(steps)) < border], border + 1),
            )
        wanted = np.arange(len(steps)) - self.points // 2 + 1
        room = np.maximum(upper - self.points, 0)
        return np.clip(wanted, np.minimum(lower, room), room)

    @cached_property
    def _step(self) -> float:
        return float(np.median(np.diff(self.nodes)))

    @cached_property
    def _apart(self) -> NDArray[np.float64]:
        """Distances of a polynomial's nodes from its first one in steps, (first pixels, points); one row if all are the
        same."""
        windows = np.lib.stride_tricks.sliding_window_view(self.nodes, self.points)
        found = (windows - windows[:, :1]) / self._step
        return found[:1] if np.abs(found - found[0]).max() < SAME else found

    @cached_property
    def _inverse(self) -> NDArray[np.float64]:
        """One over the product of a node's distances from the others of its polynomial, shape as ``_apart``."""
        distances = self._apart[:, :, None] - self._apart[:, None, :]
        distances[:, np.arange(self.points), np.arange(self.points)] = 1.0
        return np.asarray(1.0 / distances.prod(axis=2))

    @cached_property
    def slopes(self) -> csr_array:
        """Matrix (pixels, pixels) from values at the pixels to their derivatives there."""
        count = len(self.nodes)
        first = self.starts[np.minimum(np.arange(count), count - 2)]
        own = np.arange(count) - first
        places = first[:, None] + np.arange(self.points)
        inverse = self._inverse[first if len(self._inverse) > 1 else np.zeros_like(first)]
        apart = self.nodes[:, None] - self.nodes[places]
        apart[np.arange(count), own] = np.inf
        # The derivative of each polynomial of the basis at one of its nodes (barycentric form).
        weights = inverse / inverse[np.arange(count), own][:, None] / apart
        weights[np.arange(count), own] = (1.0 / apart).sum(axis=1)
        return csr_array(
            (weights.ravel(), places.ravel(), np.arange(0, places.size + 1, self.points)), shape=(count, count)
        )

    def matrix(self, wanted: NDArray[np.float64], by_pixel: bool = False) -> csr_array:
        """Matrix from values of n spectra at the pixels to values at ``wanted`` (n, places).

        The spectra are one below the other, or interleaved if ``by_pixel``: all first pixels, all second ones and so
        on. Wavelengths beyond the ends count as the end's. Shape (n places, n pixels), single precision.
        """
        count, points = len(self.nodes), self.points
        inside = np.clip(wanted, self.nodes[0], self.nodes[-1])
        first = self.starts[self._interval(inside)]
        own: NDArray[np.int64] | int = first if len(self._apart) > 1 else 0
        place = ((inside - self.nodes[first]) / self._step).astype(np.float32)
        distances, inverse = self._apart.astype(np.float32), self._inverse.astype(np.float32)
        apart = [place - distances[own, point] for point in range(points)]
        weights = np.empty((*wanted.shape, points), dtype=np.float32)
        before = [np.ones_like(place)]
        for one in apart[:-1]:
            before.append(before[-1] * one)
        after = np.ones_like(place)
        for point in reversed(range(points)):
            weights[..., point] = before[point] * after * inverse[own, point]
            after *= apart[point]
        step, apart_rows = (len(wanted), 1) if by_pixel else (1, count)
        rows = step * first + apart_rows * np.arange(len(wanted))[:, None]
        places = rows.astype(np.int32)[..., None] + step * np.arange(points, dtype=np.int32)
        pointers = np.arange(0, places.size + 1, points, dtype=np.int32)
        return csr_array((weights.ravel(), places.ravel(), pointers), shape=(wanted.size, count * len(wanted)))

    def _interval(self, inside: NDArray[np.float64]) -> NDArray[np.int64]:
        """Number of the interval between pixels that wavelengths lie in."""
        last = len(self.nodes) - 2
        if len(self._apart) > 1:
            return np.asarray(np.clip(np.searchsorted(self.nodes, inside, side="right") - 1, 0, last))
        return np.asarray(np.clip(((inside - self.nodes[0]) / self._step).astype(np.int64), 0, last))


@lru_cache(maxsize=4)
def _of(nodes: bytes, points: int) -> Interpolation:
    return Interpolation(np.frombuffer(nodes), points)


def interpolation_on(axis: WavelengthAxis, sharpest: float | None = None) -> Interpolation:
    """The interpolation between the pixels of an axis of spectra whose largest resolution is ``sharpest``, None if
    unknown; it is kept, as every batch needs the same one."""
    width = (axis.start + axis.stop) / 2.0 / sharpest / axis.width if sharpest else 0.0
    return _of(axis.pixels.tobytes(), FINE_POINTS if width >= FINE else POINTS)
