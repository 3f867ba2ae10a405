"""Interpolates between few runs by cubic radial functions whose distances weigh each coordinate as the spectra ask.

Functions |x - node|^3 and a linear trend pass through all nodes with the least curvature (Duchon 1977). How far apart
two nodes are depends on the units of labels: here each coordinate has a weight, and the weights are those with the
least error at nodes that are left out, which follows from one solution for all nodes (Rippa 1999, Adv. Comput. Math.
11, 193). The same error tells whether the coordinates are the labels alone, or also the forms of them along which
populations and opacities change. Equal weights of the labels alone, from which the search begins, are what
``RBFInterpolator`` of SciPy makes of scaled labels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.label import Label
from stellar_emulator.errors import InputError
from stellar_emulator.grid.nodes import hull_corners
from stellar_emulator.networks.coordinates import Coordinates, bounds, own_coordinates, physical_coordinates, scaled
from stellar_emulator.networks.dense import DenseChain, linear_map
from stellar_emulator.networks.radial import RadialFunctions

Array = NDArray[np.float64]

MOST_SPECTRA = 4096
"""Spectra between which is interpolated at most: every prediction needs all of them."""

SPECTRA_WEIGHED = 256
"""Spectra by which coordinates are weighted, drawn by seed."""

LEAST_INNER = 8
"""Nodes inside of the hull from which on those at its corners, which nothing surrounds, don't count."""

LEAST_NOISE = 1e-12
"""Smallest variance of noise, in units of the largest function: two nodes at one place are then no trouble."""

ROUNDING = 2.0**-20
"""Sixteen times that of a coefficient in single precision, in which it is kept, relative to it."""

TRIALS_PER_WEIGHT = 120

_FIRST_NOISE, _PRIOR = 1e-7, 1e-3


@dataclass(frozen=True)
class Interpolated:
    """chain: physical labels, (n, labels), to targets (n, components); error: square of the mean one at nodes left
    out, for each component."""

    chain: DenseChain
    error: float


def interpolate(
    labels: NDArray[np.float32], inputs: tuple[Label, ...], targets: NDArray[np.float32], seed: int
) -> Interpolated:
    """Fit the functions. labels: scaled to [-1, 1], (nodes, labels), what they are in ``inputs``; targets: (nodes,
    components).

    Raises
    ------
    InputError
        If there are too many nodes.
    """
    if len(labels) > MOST_SPECTRA:
        raise InputError(
            f"{len(labels):,} spectra are too many to interpolate between, {MOST_SPECTRA:,} at most: choose --preset "
            "learned, or default for intrinsic spectra"
        )
    physical, wanted = _physical(inputs, labels), targets.astype(np.float64)
    drawn = np.random.default_rng(seed).permutation(len(labels))[:SPECTRA_WEIGHED]
    parts = _parts(labels[drawn].astype(np.float64))
    found = []
    for coordinates in (own_coordinates(inputs), physical_coordinates(inputs)):
        places = scaled(coordinates, inputs, physical)
        found.append(_weighted(coordinates, places, _left_out(places[drawn], wanted[drawn], parts)))
    best = min(found, key=lambda one: one.error)
    coefficients = _System(best.places * best.weights).solved(wanted, best.noise)
    lower, upper = bounds(best.coordinates, inputs)
    scale, shift = 2.0 * best.weights / (upper - lower), -(upper + lower) / (upper - lower) * best.weights
    radial = RadialFunctions(*(np.asarray(one, np.float32) for one in (scale, shift, best.places * best.weights)))
    layers = linear_map(coefficients[:-1], coefficients[-1]).layers
    return Interpolated(DenseChain(layers, best.coordinates, radial), best.error**2 / wanted.shape[1])


@dataclass(frozen=True)
class _Weighted:
    """Coordinates of nodes, scaled to [-1, 1], with those weights and that noise which leave the least error."""

    coordinates: Coordinates
    places: Array
    weights: Array
    noise: float
    error: float


def _physical(inputs: tuple[Label, ...], unit: NDArray[np.float32]) -> Array:
    """Labels in their units, of labels scaled to [-1, 1], (n, labels)."""
    lower, upper = bounds(own_coordinates(inputs), inputs)
    return np.asarray(0.5 * (upper + lower) + 0.5 * (upper - lower) * unit.astype(np.float64))


def _weighted(coordinates: Coordinates, places: Array, error: Callable[[Array], float]) -> _Weighted:
    """Search for the weights, from equal ones; error: see `_left_out`."""
    from scipy.optimize import minimize

    start = np.append(np.zeros(places.shape[1]), np.log(_FIRST_NOISE))
    best = minimize(
        error,
        start,
        method="Nelder-Mead",
        options={
            "initial_simplex": np.concatenate([start[np.newaxis], start + np.eye(len(start))]),
            "maxfev": TRIALS_PER_WEIGHT * len(start),
            "xatol": 0.02,
            "fatol": 1e-3,
            "adaptive": True,
        },
    ).x
    left = float(np.exp(error(best) - _prior(best)))
    return _Weighted(coordinates, places, *_unpacked(best), left)


class _System:
    """The equations of nodes at some places, (nodes, coordinates)."""

    def __init__(self, places: Array) -> None:
        apart = np.sqrt(np.square(places[:, np.newaxis] - places).sum(axis=2))
        self.functions = apart**3
        self.trend = np.concatenate([places, np.ones((len(places), 1))], axis=1)
        # Coefficients are orthogonal to all trends, so that these are fitted by the trend alone.
        left, sizes, _ = np.linalg.svd(self.trend, full_matrices=True)
        self.free = left[:, int((sizes > 1e-10 * sizes[0]).sum()) :]

    def inverse(self, noise: float) -> Array | None:
        """What makes coefficients of targets, (nodes, nodes); None where rounding leaves nothing of it."""
        square = self.functions + noise * self.functions.max(initial=1.0) * np.eye(len(self.functions))
        try:
            solved = np.linalg.solve(self.free.T @ square @ self.free, self.free.T)
        except np.linalg.LinAlgError:
            return None
        return np.asarray(self.free @ solved) if np.isfinite(solved).all() else None

    def solved(self, targets: Array, noise: float) -> Array:
        """Coefficients of functions, trend and, last, its constant: (nodes + coordinates + 1, components)."""
        inverse = self.inverse(noise)
        own = np.zeros_like(targets) if inverse is None else inverse @ targets
        rest = targets - self.functions @ own - noise * self.functions.max(initial=1.0) * own
        return np.concatenate([own, np.linalg.lstsq(self.trend, rest, rcond=1e-10)[0]])


def _left_out(places: Array, targets: Array, parts: Sequence[NDArray[np.int64]]) -> Callable[[Array], float]:
    """Logarithm of the mean error of nodes in parts, each part left out, by the logarithms of weights and of the noise.

    The error of a node is the root of the sum of squares over its components. Of these the mean counts, not the mean
    square, which a few nodes at the grid's edge would decide. What rounding makes of large coefficients that cancel is
    an error too; a slight prior holds weights that make no difference.
    """

    def error(logarithms: Array) -> float:
        weights, noise = _unpacked(logarithms)
        system = _System(places * weights)
        inverse = system.inverse(noise)
        if inverse is None:
            return np.inf
        coefficients = inverse @ targets
        apart = [_without(inverse, coefficients, part) for part in parts]
        rounded = ROUNDING * np.sqrt((np.square(system.functions) @ np.square(coefficients)).sum(axis=1))
        told = np.concatenate([one for one in apart if one is not None] or [np.zeros(1)])
        least = max(float(told.mean() + rounded.mean()), np.finfo(np.float64).tiny)
        return float(np.log(least) + _prior(logarithms))

    return error


def _prior(logarithms: Array) -> float:
    return float(_PRIOR * np.square(logarithms[:-1]).mean())


def _without(inverse: Array, coefficients: Array, part: NDArray[np.int64]) -> Array | None:
    """Errors of some nodes, predicted from all others, (nodes,); None if the others don't determine them."""
    block = inverse[np.ix_(part, part)]
    if (np.diag(block) <= 1e-12 * np.diag(inverse).max()).any():
        return None
    if len(part) == 1:
        return np.asarray(np.linalg.norm(coefficients[part] / block, axis=1))
    try:
        return np.asarray(np.linalg.norm(np.linalg.solve(block, coefficients[part]), axis=1))
    except np.linalg.LinAlgError:
        return None


def _unpacked(logarithms: Array) -> tuple[Array, float]:
    return np.exp(logarithms[:-1]), max(LEAST_NOISE, float(np.exp(logarithms[-1])))


def _parts(labels: Array) -> list[NDArray[np.int64]]:
    """Nodes to leave out together: each alone, and all that have one value of a label; none at the hull's corners.

    On a regular grid a node that is left out alone has others at its own value of each label, and nothing would tell
    how well spectra between two values are made. Corners count if fewer than `LEAST_INNER` nodes are none.
    """
    outer = hull_corners(labels)
    inner = np.setdiff1d(np.arange(len(labels)), outer)
    alone = [np.array([node]) for node in (inner if len(inner) >= LEAST_INNER else np.arange(len(labels)))]
    together = []
    for values in labels.T:
        unique, where = np.unique(values, return_inverse=True)
        together += [np.flatnonzero(where == number) for number in range(1, len(unique) - 1)]
    return alone + [part for part in together if len(part) > 1]
