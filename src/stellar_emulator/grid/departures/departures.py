"""Departures of the Ca II triplet's flux from LTE, between nodes of labels; ``pipelines.departures`` computes them."""

import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline, RBFInterpolator
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import Delaunay

from stellar_emulator.contract.axis import SPEED_OF_LIGHT, IntrinsicAxis
from stellar_emulator.contract.contract import OF_DEPARTURES, Contract
from stellar_emulator.contract.medium import converted
from stellar_emulator.errors import InputError
from stellar_emulator.grid.engines.intrinsic import require_intrinsic_axis
from stellar_emulator.system.files import new_file

Array = NDArray[np.float64]

CA_II = Path(__file__).with_name("ca_ii.npz")
"""The table that comes with the package."""

LINES = (8498.023, 8542.091, 8662.141)
"""Of the triplet, in Angstrom, air."""

FARTHEST, SETTLES_FROM = 200.0, 120.0
"""Distance from a line's centre in km/s where departures end, and from where they are led to that end."""

VELOCITIES: Array = FARTHEST * np.sinh(np.linspace(-4.0, 4.0, 81)) / np.sinh(4.0)
"""Distances from a line's centre in km/s, (velocities,): 0.7 km/s apart in the core, 20 km/s at the ends."""

SHARPEST = 30000.0
"""Resolution at which the flux of the line is looked at: the compact form of a grid keeps no finer detail."""

COMPONENTS = 16
"""Principal components of departures."""

LEAST = -0.98
"""Smallest departure: a core keeps some light."""

BESIDE = 50.0
"""Distance from a line's centre in km/s within which the flux reaches the level that no line rises above."""

RUNS_AT_ONCE = 512

ROUNDING = 1e-5
"""Relative, of the table's bounds in single precision."""

LIMIT = "Local thermodynamic equilibrium throughout; the cores of the Ca II triplet are not."
INSTEAD = (
    "Local thermodynamic equilibrium but for the Ca II triplet, whose departures were computed without a chromosphere: "
    "the innermost cores of dwarfs are filled, and active stars' more."
)
"""A known limit of runs in LTE, and what it becomes where departures are applied."""


@dataclass(frozen=True)
class Departures:
    """Nodes and departures there, as principal components.

    A departure is the flux less that in LTE, over the latter as `SHARPEST` sees it.

    labels: of the nodes, in the order of `OF_DEPARTURES`, (nodes, 5); lower, upper: bounds within which they were
    drawn, (5,); corners: of the polygon of Teff and log g within which they were, (corners, 2); coefficients: (nodes,
    components); components: (components, lines x velocities); mean: (lines x velocities,).
    """

    labels: Array
    lower: Array
    upper: Array
    corners: Array
    coefficients: Array
    components: Array
    mean: Array

    @cached_property
    def _between(self) -> RBFInterpolator:
        """Cubic radial functions with a quadratic trend (Powell 1992, Advances in Numerical Analysis II, p. 105)."""
        return RBFInterpolator(self._scaled(self.labels), self.coefficients, kernel="cubic", degree=2)

    def _scaled(self, labels: Array) -> Array:
        """Coordinates along which departures change evenly, scaled to their range, (n, 5)."""
        lower, upper = (_coordinates(each[np.newaxis]) for each in (self.lower, self.upper))
        return (_coordinates(labels) - lower) / (upper - lower)

    def at(self, labels: Array) -> Array:
        """Departures at the table's own velocities, (n, lines, velocities), of labels (n, 5)."""
        return self._shaped(self._between(self._scaled(labels)) @ self.components + self.mean)

    def at_nodes(self) -> Array:
        """The same at the nodes, (nodes, lines, velocities), which nothing is interpolated between."""
        return self._shaped(self.coefficients @ self.components + self.mean)

    def holds(self, places: Array) -> NDArray[np.bool_]:
        """Whether Teff and log g, (n, 2), lie within the nodes' corners, (n,)."""
        middle = self.corners.mean(axis=0)
        wider = middle + (1.0 + ROUNDING) * (self.corners - middle)
        return np.asarray(Delaunay(wider / middle).find_simplex(places / middle) >= 0)

    @staticmethod
    def _shaped(values: Array) -> Array:
        return np.asarray(values).reshape(len(values), len(LINES), len(VELOCITIES))

    def apply(self, labels: Array, axis: IntrinsicAxis, flux: NDArray[np.floating]) -> None:
        """Change flux in LTE on an intrinsic axis, (n, bins), in place to what it is without, of labels (n, 5)."""
        coefficients = self._between(self._scaled(labels))
        for number, line in enumerate(converted(np.array(LINES), "air", axis.medium)):
            away = (axis.wavelength / line - 1.0) * SPEED_OF_LIGHT
            reached = np.flatnonzero(np.abs(away) < FARTHEST)
            if not reached.size:
                continue
            own = slice(number * len(VELOCITIES), (number + 1) * len(VELOCITIES))
            onto = CubicSpline(VELOCITIES, np.eye(len(VELOCITIES)))(away[reached]).T
            departure = coefficients @ (self.components[:, own] @ onto) + self.mean[own] @ onto
            first, last = reached[0], reached[-1] + 1
            seen = gaussian_filter1d(flux[:, first:last], WIDTH / axis.velocity_step, axis=1, mode="nearest")
            # Without a chromosphere no line rises above what is beside it, though it may all but vanish.
            beside = np.abs(away[reached]) < BESIDE
            level = seen[:, beside if beside.any() else slice(None)].max(axis=1, keepdims=True)
            share = np.divide(level, seen, out=np.ones_like(seen), where=seen > 0)
            most = np.maximum(share, 1.0) - 1.0
            flux[:, first:last] += np.clip(departure, LEAST, most).astype(np.float32) * seen

    def write(self, path: Path, **made_with: str | int) -> None:
        """Write the table, complete or not at all."""
        arrays = {name: getattr(self, name).astype(np.float32) for name in _ARRAYS}
        with new_file(path) as partial, partial.open("wb") as stream:
            np.savez_compressed(stream, **arrays, made_with=json.dumps(made_with))


_ARRAYS = ("labels", "lower", "upper", "corners", "coefficients", "components", "mean")

WIDTH = SPEED_OF_LIGHT / SHARPEST / (2.0 * np.sqrt(2.0 * np.log(2.0)))
"""Standard deviation in km/s of the profile of `SHARPEST`."""

STEP = 0.5
"""In km/s, of the velocities on which nodes are smoothed."""


def _coordinates(labels: Array) -> Array:
    """Of labels (n, 5): what populations, pressure, opacity of the lines and of the continuum, and widths follow."""
    teff, logg, m_h, alpha_m, vmicro = labels.T
    return np.column_stack([5040.0 / teff, logg, m_h + alpha_m, m_h, np.log(vmicro)])


def departures_of(labels: Array, drawn: tuple[Array, Array, Array], in_lte: Array, flux: Array) -> Departures:
    """A table of nodes (n, 5) and flux there in LTE and without, (n, lines, velocities) each.

    drawn: bounds within which nodes were drawn, (5,) each, and corners of their Teff and log g, (corners, 2).
    """
    away = np.clip((np.abs(VELOCITIES) - SETTLES_FROM) / (FARTHEST - SETTLES_FROM), 0.0, 1.0)
    departure = (flux - in_lte) / _seen(in_lte) * np.cos(0.5 * np.pi * away) ** 2
    values = departure.reshape(len(labels), -1)
    mean = values.mean(axis=0)
    _, _, components = np.linalg.svd(values - mean, full_matrices=False)
    kept = components[:COMPONENTS]
    return Departures(labels, *drawn, (values - mean) @ kept.T, kept, mean)


def _seen(flux: Array) -> Array:
    """Flux at the table's velocities, (n, lines, velocities), as `SHARPEST` sees it."""
    even = np.arange(-FARTHEST, FARTHEST + STEP / 2.0, STEP)
    smooth = gaussian_filter1d(CubicSpline(VELOCITIES, flux, axis=2)(even), WIDTH / STEP, axis=2, mode="nearest")
    return np.asarray(CubicSpline(even, smooth, axis=2)(VELOCITIES))


@lru_cache(maxsize=1)
def read_departures(path: Path = CA_II) -> Departures:
    """The table that comes with the package.

    Raises
    ------
    InputError
        If it is missing or damaged.
    """
    try:
        with path.open("rb") as stream, np.load(stream) as found:
            return Departures(*(found[name].astype(float) for name in _ARRAYS))
    except (OSError, EOFError, KeyError, ValueError, BadZipFile, zlib.error) as error:
        raise InputError(f"{path} is no table of departures: install the package again") from error


def depart(contract: Contract, labels: NDArray[np.float64], flux: NDArray[np.floating]) -> None:
    """Change flux computed in LTE in place to what it is without, where the contract says so.

    labels: the contract's run labels, (runs, run labels); flux: on its intrinsic axis, (runs, bins).

    Raises
    ------
    InputError
        If the contract's label box is wider than the table, or a run's Teff and log g lie where it has no nodes.
    """
    if contract.departures is None:
        return
    axis, columns, table = require_intrinsic_axis(contract), columns_of(contract), read_departures()
    for place, column in enumerate(columns):
        label, (lower, upper) = contract.run_labels[column], (table.lower[place], table.upper[place])
        if label.lower < lower - ROUNDING * abs(lower) or label.upper > upper + ROUNDING * abs(upper):
            raise InputError(
                f"contract {contract.name}: departures of {contract.departures} are known for {label.name} from "
                f"{lower:g} to {upper:g}, not from {label.lower:g} to {label.upper:g}: narrow the label or leave "
                "departures out"
            )
    if (beyond := ~table.holds(labels[:, columns[:2]])).any():
        teff, logg = labels[int(beyond.argmax()), columns[:2]]
        raise InputError(
            f"contract {contract.name}: departures of {contract.departures} are not known at Teff = {teff:g} K and "
            f"log g = {logg:g}: draw runs within the hull of rvs_stars, or leave departures out"
        )
    for first in range(0, len(flux), RUNS_AT_ONCE):
        part = slice(first, first + RUNS_AT_ONCE)
        table.apply(labels[part][:, columns], axis, flux[part])


def columns_of(contract: Contract) -> list[int]:
    """Where a contract's run labels have those on which departures depend."""
    names = [label.name for label in contract.run_labels]
    return [names.index(name) for name in OF_DEPARTURES]


def stated(contract: Contract) -> dict[str, object]:
    """What provenance says of the table, if the contract uses it: lines and SHA-256 of the file."""
    if contract.departures is None:
        return {}
    return {"departures": {"lines": contract.departures, "sha256": _digest()}}


@cache
def _digest() -> str:
    try:
        return hashlib.sha256(CA_II.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{CA_II} can't be read: install the package again") from error


def known_limits(contract: Contract, limits: Sequence[str]) -> list[str]:
    """Those of runs, as they are where departures are applied."""
    return [INSTEAD if contract.departures and limit == LIMIT else limit for limit in limits]
