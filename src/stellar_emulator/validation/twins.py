"""Runs and spectra that are nearly others: copies with a little jitter, which leak through the split."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from stellar_emulator.contract.contract import Contract
from stellar_emulator.grid.sampling import unwarped

SPACING = "run_spacing"
ROW_DISTANCE = "row_distance"
"""Columns of what `run_spacing` and `row_distance` return."""

_DECIMALS = 6


def run_spacing(contract: Contract, table: pd.DataFrame) -> NDArray[np.float64]:
    """Distance of each row's run from the nearest other one, by what chance makes of the nearest pair of all; (rows,).

    Labels count as shares of all draws, along the longest side; of N independent runs with k labels, the nearest pair
    is at about 0.5 N^(-2/k), so that distance times N^(2/k) is returned. Infinite for a single run, NaN where a label
    is not finite. The first row stands for its run.
    """
    names = [label.name for label in contract.run_labels]
    run_id = table["run_id"].to_numpy()
    _, first, run = np.unique(run_id, return_index=True, return_inverse=True)
    places = np.stack([unwarped(label, table[label.name].to_numpy()[first]) for label in contract.run_labels], axis=1)
    whole = np.isfinite(places).all(axis=1)
    found = np.full(len(first), np.nan)
    found[whole] = np.inf
    if whole.sum() > 1:
        distance, _ = cKDTree(places[whole]).query(places[whole], k=[2], p=np.inf)
        found[whole] = np.round(np.ravel(distance) * float(whole.sum()) ** (2.0 / len(names)), _DECIMALS)
    return np.asarray(found[run.ravel()])


def row_distance(contract: Contract, table: pd.DataFrame) -> NDArray[np.float64]:
    """Distance of each row from the nearest other row of its run in the labels that broaden, as shares; (rows,).

    Infinite for a run's only row, and where nothing broadens; NaN where a label is not finite.
    """
    found = np.full(len(table), np.inf)
    if not contract.broadening_labels:
        return found
    places = np.stack([unwarped(label, table[label.name].to_numpy()) for label in contract.broadening_labels], axis=1)
    whole = np.isfinite(places).all(axis=1)
    found[~whole] = np.nan
    _, run = np.unique(table["run_id"].to_numpy()[whole], return_inverse=True)
    # Rows of other runs lie two whole ranges away at least.
    apart = np.hstack([2.0 * run.reshape(-1, 1), places[whole]])
    if len(apart) > 1:
        distance, _ = cKDTree(apart).query(apart, k=[2], p=np.inf)
        found[whole] = np.where(np.ravel(distance) < 2.0, np.round(np.ravel(distance), _DECIMALS), np.inf)
    return found
