"""Gate runs that a model knows: found by distance in label space, since a rounded label hashes to something else."""

import math

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.grid.sampling import run_hash, unit_places

BY_CHANCE = 0.01
"""Pairs of runs, one of either set, that may lie nearer by chance than what counts as the same run."""

FARTHEST = 0.005
"""Distance, in shares of all draws, beyond which runs of small sets are never one: 50 K and 0.015 dex of gaia_rvs."""

DECIMALS = (None, 3, 2, 1, 0, -1)
"""To which labels may have been rounded where a model kept only hashes of its runs."""

_WIDE = 100.0
"""Range beyond which a label is rounded apart from the others: Teff to 1 K, the others to 0.001 dex."""


def same_run_distance(runs: int, others: int, labels: int) -> float:
    """Distance in the unit box of ``labels`` dimensions below which a run of one set is one of the other set.

    Evenly spread runs of both sets lie so near in `BY_CHANCE` pairs: their number grows with the volume of a ball.
    """
    ball = math.pi ** (labels / 2.0) / math.gamma(labels / 2.0 + 1.0)
    return float(min(FARTHEST, (BY_CHANCE / (ball * max(1, runs * others))) ** (1.0 / labels)))


def near_runs(contract: Contract, gate: NDArray[np.float64], seen: NDArray[np.float64]) -> NDArray[np.intp]:
    """Places of the gate's runs that lie as near to a run that was seen as two runs never do by chance.

    gate, seen: run labels (runs, run labels), each run once. Distances are taken where draws are uniform.
    """
    from scipy.spatial import cKDTree

    if not len(seen) or not len(gate):
        return np.empty(0, dtype=np.intp)
    distance = same_run_distance(len(gate), len(seen), gate.shape[1])
    nearest, _ = cKDTree(unit_places(contract, seen)).query(unit_places(contract, gate))
    return np.flatnonzero(nearest <= distance)


def rounded_hashes(contract: Contract, gate: NDArray[np.float64]) -> list[set[str]]:
    """Hashes that each gate run (runs, run labels) would have as it is and with its labels rounded."""
    wide = np.array([label.upper - label.lower > _WIDE for label in contract.run_labels])
    found: list[set[str]] = [set() for _ in gate]
    for narrow_decimals in DECIMALS:
        for wide_decimals in DECIMALS:
            labels = gate.copy()
            for columns, decimals in ((wide, wide_decimals), (~wide, narrow_decimals)):
                if decimals is not None:
                    labels[:, columns] = np.round(labels[:, columns], decimals)
            for hashes, value in zip(found, run_hash(labels), strict=True):
                hashes.add(value)
    return found
