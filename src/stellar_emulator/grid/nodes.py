"""Grids on nodes of labels: the share of the label box that each node stands for, and the hull of all nodes."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError, cKDTree
from scipy.stats import qmc

from stellar_emulator.contract.contract import Contract

Array = NDArray[np.float64]

POINTS = 2**16
"""Points spread over the label box, by which the volumes around nodes are measured."""

MOST_DIMENSIONS = 6
"""Number of labels above which a hull has too many corners to be of use."""


def node_weights(contract: Contract, nodes: Array) -> Array:
    """Share of the label box that lies nearest to each node, times their number: (nodes, run labels) to (nodes,).

    The mean is 1, as of weights relative to the uniform box: where nodes lie dense, each counts little. Distances are
    in units of the labels' ranges; a node that no point lies nearest to counts as half a point.
    """
    lower, upper = (np.array([getattr(label, end) for label in contract.run_labels]) for end in ("lower", "upper"))
    places, where = np.unique((nodes - lower) / (upper - lower), axis=0, return_inverse=True)
    points = qmc.Sobol(len(lower), scramble=True, rng=np.random.default_rng(0)).random(POINTS)
    _, nearest = cKDTree(places).query(points)
    volume = np.maximum(np.bincount(nearest, minlength=len(places)), 0.5)
    shared = (volume / np.bincount(where.ravel()))[where.ravel()]
    return np.asarray(shared * len(shared) / shared.sum())


def hull_corners(nodes: Array) -> NDArray[np.int64]:
    """Indices of the nodes at the corners of their convex hull, ascending; empty if they span no volume."""
    if nodes.shape[1] > MOST_DIMENSIONS:
        return np.empty(0, dtype=np.int64)
    if nodes.shape[1] == 1:
        return np.unique([int(nodes.argmin()), int(nodes.argmax())])
    width = np.ptp(nodes, axis=0)
    if not width.all():
        return np.empty(0, dtype=np.int64)
    try:
        hull = ConvexHull((nodes - nodes.min(axis=0)) / width)
    except (QhullError, ValueError):
        return np.empty(0, dtype=np.int64)
    return np.sort(hull.vertices.astype(np.int64))
