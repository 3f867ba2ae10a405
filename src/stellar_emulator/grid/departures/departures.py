"""The flux of the Ca II triplet over that in LTE, between nodes of labels; ``pipelines.departures`` computes them."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline, RBFInterpolator

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

COMPONENTS = 16
"""Principal components of the ratio's logarithm."""

RUNS_AT_ONCE = 512

LIMIT = "Local thermodynamic equilibrium throughout; the cores of the Ca II triplet are not."
INSTEAD = (
    "Local thermodynamic equilibrium but for the Ca II triplet, whose departures were computed without a chromosphere: "
    "the innermost cores of dwarfs are filled, and active stars' more."
)
"""A known limit of runs in LTE, and what it becomes where departures are applied."""


@dataclass(frozen=True)
class Departures:
    """Nodes and the logarithm of the ratio there, as principal components.

    labels: of the nodes, in the order of `OF_DEPARTURES`, (nodes, 5); coefficients: (nodes, components); components:
    (components, lines x velocities); mean: (lines x velocities,).
    """

    labels: Array
    coefficients: Array
    components: Array
    mean: Array

    @cached_property
    def _between(self) -> RBFInterpolator:
        """Cubic radial functions with a quadratic trend (Powell 1992, Advances in Numerical Analysis II, p. 105)."""
        return RBFInterpolator(self._scaled(self.labels), self.coefficients, kernel="cubic", degree=2)

    def _scaled(self, labels: Array) -> Array:
        """Coordinates along which departures change evenly, scaled to the nodes' range, (n, 5)."""
        nodes, own = (_coordinates(each) for each in (self.labels, labels))
        lower, upper = nodes.min(axis=0), nodes.max(axis=0)
        return (own - lower) / (upper - lower)

    def at_nodes(self, labels: Array) -> Array:
        """Flux over that in LTE at the table's own velocities, (n, lines, velocities), of labels (n, 5)."""
        logarithm = self._between(self._scaled(labels)) @ self.components + self.mean
        return np.asarray(np.exp(logarithm)).reshape(len(labels), len(LINES), len(VELOCITIES))

    def on_axis(self, labels: Array, axis: IntrinsicAxis) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Bins of an axis that departures reach, (bins,), and the ratio there, (n, bins), at labels (n, 5)."""
        places, spread = [], []
        for number, line in enumerate(converted(np.array(LINES), "air", axis.medium)):
            away = (axis.wavelength / line - 1.0) * SPEED_OF_LIGHT
            reached = np.flatnonzero(np.abs(away) < FARTHEST)
            weights = np.zeros((len(reached), len(LINES), len(VELOCITIES)))
            weights[:, number] = CubicSpline(VELOCITIES, np.eye(len(VELOCITIES)))(away[reached])
            places.append(reached)
            spread.append(weights.reshape(len(reached), -1))
        onto = np.concatenate(spread).T
        logarithm = self._between(self._scaled(labels)) @ (self.components @ onto) + self.mean @ onto
        return np.concatenate(places), np.exp(logarithm).astype(np.float32)

    def write(self, path: Path) -> None:
        """Write the table, complete or not at all."""
        arrays = {name: getattr(self, name).astype(np.float32) for name in ("labels", "coefficients", "components")}
        with new_file(path) as partial, partial.open("wb") as stream:
            np.savez_compressed(stream, **arrays, mean=self.mean.astype(np.float32), names=json.dumps(OF_DEPARTURES))


def _coordinates(labels: Array) -> Array:
    """Of labels (n, 5): what populations, pressure, opacity of the lines and of the continuum, and widths follow."""
    teff, logg, m_h, alpha_m, vmicro = labels.T
    return np.column_stack([5040.0 / teff, logg, m_h + alpha_m, m_h, np.log(vmicro)])


def departures_of(labels: Array, ratios: Array) -> Departures:
    """A table of nodes (n, 5) and the flux over that in LTE there, (n, lines, velocities)."""
    away = np.clip((np.abs(VELOCITIES) - SETTLES_FROM) / (FARTHEST - SETTLES_FROM), 0.0, 1.0)
    logarithm = (np.log(ratios) * np.cos(0.5 * np.pi * away) ** 2).reshape(len(labels), -1)
    mean = logarithm.mean(axis=0)
    _, _, components = np.linalg.svd(logarithm - mean, full_matrices=False)
    kept = components[:COMPONENTS]
    return Departures(labels, (logarithm - mean) @ kept.T, kept, mean)


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
            return Departures(*(found[name].astype(float) for name in ("labels", "coefficients", "components", "mean")))
    except (OSError, KeyError, ValueError, BadZipFile) as error:
        raise InputError(f"{path} is no table of departures: install the package again") from error


def depart(contract: Contract, labels: NDArray[np.float64], flux: NDArray[np.floating]) -> None:
    """Change flux computed in LTE in place to what it is without, where the contract says so.

    labels: the contract's run labels, (runs, run labels); flux: on its intrinsic axis, (runs, bins).
    """
    if contract.departures is None:
        return
    names, axis = [label.name for label in contract.run_labels], require_intrinsic_axis(contract)
    own = labels[:, [names.index(name) for name in OF_DEPARTURES]]
    table = read_departures()
    for first in range(0, len(flux), RUNS_AT_ONCE):
        part = slice(first, first + RUNS_AT_ONCE)
        bins, ratio = table.on_axis(own[part], axis)
        in_lte = flux[part, bins]
        # Without a chromosphere no line emits: where overionisation leaves hardly any line, the ratio may say so.
        flux[part, bins] = np.minimum(in_lte * ratio, np.maximum(in_lte, 1.0))


def stated(contract: Contract) -> dict[str, object]:
    """What provenance says of the table, if the contract uses it: lines and SHA-256 of the file."""
    if contract.departures is None:
        return {}
    return {"departures": {"lines": contract.departures, "sha256": hashlib.sha256(CA_II.read_bytes()).hexdigest()}}


def known_limits(contract: Contract, limits: Sequence[str]) -> list[str]:
    """Those of runs, as they are where departures are applied."""
    return [INSTEAD if contract.departures and limit == LIMIT else limit for limit in limits]
