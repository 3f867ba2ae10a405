"""What any emulator must beat: spectra of a grid interpolated by cubic radial basis functions (SciPy) of scaled labels.

Between many nodes each spectrum is interpolated from its nearest ones alone, as `RBFInterpolator` does with
``neighbors``, and read from the grid as needed.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.broadening.broadening import contract_broadening
from stellar_emulator.contract.contract import Contract
from stellar_emulator.grid.expand import limb_darkening
from stellar_emulator.grid.shards import IntrinsicGrid
from stellar_emulator.grid.store import Grid
from stellar_emulator.training.train_emulator import unit_labels

MOST_AT_ONCE = 1024
"""Nodes above which only the nearest count."""

NEAREST = 64

SPECTRA_AT_ONCE = 16
"""Spectra that are interpolated together then: their nearest nodes are in memory."""

Flux = NDArray[np.float32]
Nodes = NDArray[np.int64]


def interpolated(
    grid: Grid, intrinsic: IntrinsicGrid | None, known: Nodes, contract: Contract, labels: NDArray[np.float64]
) -> Flux | None:
    """Flux at labels (n, labels), (n, pixels), from the spectra in some rows of the grid, ``known``.

    Intrinsic spectra are interpolated and then broadened. None if the nodes are too few, or on one plane.
    """
    if intrinsic is None:
        places, wanted = unit_labels(contract.labels, grid.labels[known]), unit_labels(contract.labels, labels)
        made = _between(places, wanted, lambda nodes: grid.take(known[nodes]))
        return None if made is None else np.asarray(made, dtype=np.float32)
    runs = np.flatnonzero(np.isin(intrinsic.run_id, grid.run_id[known]))
    darkening = limb_darkening(contract, intrinsic)
    own = contract.columns(contract.run_labels)
    made = _between(
        unit_labels(contract.run_labels, intrinsic.labels[runs]),
        unit_labels(contract.run_labels, labels[:, own]),
        lambda nodes: np.concatenate([intrinsic.flux[runs[nodes]], darkening[runs[nodes], np.newaxis]], axis=1),
    )
    if made is None:
        return None
    convolve = contract_broadening(contract)
    return convolve.at_labels(contract, convolve.modes(made[:, :-1]), labels, np.clip(made[:, -1], 0.0, 1.0))


def _between(
    places: NDArray[np.float32], wanted: NDArray[np.float32], values: Callable[[Nodes], NDArray[np.floating]]
) -> NDArray[np.floating] | None:
    """Values at ``wanted`` (n, labels) between nodes at ``places``; those of some nodes are asked for by index."""
    from scipy.interpolate import RBFInterpolator
    from scipy.spatial import cKDTree

    nodes, points = places.astype(np.float64), wanted.astype(np.float64)
    try:
        if len(nodes) <= MOST_AT_ONCE:
            return np.asarray(RBFInterpolator(nodes, values(np.arange(len(nodes))), kernel="cubic")(points))
        parts, tree = [], cKDTree(nodes)
        for first in range(0, len(points), SPECTRA_AT_ONCE):
            part = points[first : first + SPECTRA_AT_ONCE]
            near = np.unique(tree.query(part, NEAREST)[1])
            made = RBFInterpolator(nodes[near], values(near), kernel="cubic", neighbors=NEAREST)
            parts.append(made(part).astype(np.float32))
        return np.concatenate(parts)
    except (ValueError, np.linalg.LinAlgError):
        return None
