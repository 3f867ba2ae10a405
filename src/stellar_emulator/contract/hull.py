"""Labels against the hull of a grid's runs: beyond it models extrapolate, although the labels are within bounds."""

import warnings
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.label import Label
from stellar_emulator.errors import InputError

_ROUNDING = 1e-9
"""Distance by which a corner may lie outside its own hull, in units of the labels' ranges."""


def check_hull(contract: Contract, labels: NDArray[np.floating], first_row: int = 0) -> None:
    """Refuse labels (n, labels) beyond the contract's hull, or warn of them, as it says; first_row: for messages.

    Raises
    ------
    InputError
        If the contract refuses them; the message names row, labels, distance and remedy.
    """
    message = hull_warning(contract, labels, first_row)
    if message is not None:
        warnings.warn(message, stacklevel=3)


def hull_warning(contract: Contract, labels: NDArray[np.floating], first_row: int | None = 0) -> str | None:
    """The warning of `check_hull` as text, None without one; first_row: None for labels that are no row. Raises
    `InputError` likewise."""
    message = beyond_hull(contract, labels, first_row)
    if message is not None and contract.hull is not None and contract.hull.outside == "refuse":
        raise InputError(f"{message}: choose labels nearer to it, or train on a grid that has some there")
    return message


def beyond_hull(contract: Contract, labels: NDArray[np.floating], first_row: int | None = None) -> str | None:
    """How far the labels (n, labels) that lie farthest beyond the hull do so; None if all lie near enough.

    first_row: number of the first row, to be named; None for labels that are no row.
    """
    if contract.hull is None:
        return None
    distance = hull_distance(contract, labels)
    row = int(np.argmax(distance))
    if not distance[row] > contract.hull.distance + _ROUNDING:
        return None
    own = contract.columns(hull_labels(contract))
    shown = ", ".join(f"{contract.label_names[column]} = {labels[row, column]:.10g}" for column in own)
    where = "" if first_row is None else f" in row {first_row + row}"
    return (
        f"{shown}{where} lies {distance[row]:.2g} label ranges beyond the hull of the grid's "
        f"{'nodes' if contract.sampling.on_nodes else 'runs'} "
        f"(contract {contract.name} allows {contract.hull.distance:g}): there, models extrapolate"
    )


def hull_distance(contract: Contract, labels: NDArray[np.floating]) -> NDArray[np.float64]:
    """Distance beyond the farthest facet of the hull, in units of the labels' ranges, (n,); 0 or less inside."""
    if contract.hull is None:
        return np.zeros(len(labels))
    bounded = hull_labels(contract)
    lower, upper = _ranges(bounded)
    places = (labels[:, contract.columns(bounded)].astype(np.float64) - lower) / (upper - lower)
    facets = _facets(_scaled_corners(contract))
    return np.asarray((places @ facets[:, :-1].T + facets[:, -1]).max(axis=1))


def hull_labels(contract: Contract) -> tuple[Label, ...]:
    """Labels that the contract's hull bounds together, in their order; none without one."""
    if contract.hull is None:
        return ()
    return tuple(
        label for label in contract.run_labels if contract.hull.labels is None or label.name in contract.hull.labels
    )


def middle(contract: Contract) -> NDArray[np.float64]:
    """Labels that every model of the contract answers, (labels,): the middle of the box, of its hull where there is
    one."""
    labels = (contract.lower + contract.upper) / 2.0
    if contract.hull is not None:
        labels[contract.columns(hull_labels(contract))] = np.mean(contract.hull.corners, axis=0)
    return np.asarray(labels)


def within_hull(contract: Contract, labels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Labels (n, labels) of the box; those beyond the hull halve their way to `middle` until they are within."""
    found = labels.copy()
    while (beyond := hull_distance(contract, found) > 0.0).any():
        found[beyond] = (found[beyond] + middle(contract)) / 2.0
    return found


def drawn_within(contract: Contract) -> tuple[Label, Label] | None:
    """The two labels that are drawn within a hull, the second between its bounds at the first; None without one."""
    if contract.hull is None or contract.hull.labels is None or contract.sampling.on_nodes:
        return None
    first, second = hull_labels(contract)
    return first, second


def hull_bounds(contract: Contract, first: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bounds of the second of two labels of a hull at values of the first, both (n,), in the second's unit."""
    one, other = hull_labels(contract)
    across, up, offset = _facets(_scaled_corners(contract)).T
    line = -(np.multiply.outer((first - one.lower) / (one.upper - one.lower), across) + offset)
    sloped = np.abs(up) > _ROUNDING
    crossing = np.divide(line, up, out=np.zeros_like(line), where=sloped)
    lowest = np.where(sloped & (up < 0), crossing, -np.inf).max(axis=1)
    highest = np.where(sloped & (up > 0), crossing, np.inf).min(axis=1)
    span = other.upper - other.lower
    return other.lower + span * np.clip(lowest, 0.0, 1.0), other.lower + span * np.clip(highest, 0.0, 1.0)


def into_bounds(contract: Contract, first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """Values of the second of two labels of a hull, (n,), moved from its whole range between its bounds at the first's.

    They keep their share of the way from bound to bound.
    """
    _, other = hull_labels(contract)
    lower, upper = hull_bounds(contract, first)
    return np.asarray(lower + (upper - lower) / (other.upper - other.lower) * (second - other.lower))


def _ranges(labels: tuple[Label, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bounds of labels, (labels,) each."""
    return np.array([label.lower for label in labels]), np.array([label.upper for label in labels])


def _scaled_corners(contract: Contract) -> tuple[tuple[float, ...], ...]:
    assert contract.hull is not None
    lower, upper = _ranges(hull_labels(contract))
    return tuple(tuple(((np.array(corner) - lower) / (upper - lower)).tolist()) for corner in contract.hull.corners)


@lru_cache(maxsize=8)
def _facets(corners: tuple[tuple[float, ...], ...]) -> NDArray[np.float64]:
    """Outward unit normals and offsets of the facets, (facets, labels + 1)."""
    from scipy.spatial import ConvexHull

    points = np.array(corners)
    if points.shape[1] == 1:
        return np.array([[-1.0, points.min()], [1.0, -points.max()]])
    return np.unique(np.round(ConvexHull(points).equations, 12), axis=0)
