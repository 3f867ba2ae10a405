"""Whether rows that claim to be of one run are, and whether one run goes by two numbers."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from stellar_emulator.contract.contract import Contract
from stellar_emulator.grid import sampling
from stellar_emulator.grid.split import PARTS, split_rows

LABEL_SHARE = "run_label_share"
PART_SHARE = "run_part_share"
DISTANCE = "run_distance"
"""Columns of `run_columns`."""


def run_columns(contract: Contract, table: pd.DataFrame) -> pd.DataFrame:
    """Look at each row beside its run's, for a table with run_id and the labels; NaN where a run label is missing.

    run_label_share: share of its run's rows with the same run labels; run_part_share: share that falls into the same
    part of the split; run_distance: from its run to the nearest other one, the largest difference of a run label in
    units of the label's box, infinite without another.
    """
    own = table[[label.name for label in contract.run_labels]].to_numpy()
    whole = np.isfinite(own).all(axis=1)
    columns = pd.DataFrame(np.nan, index=table.index, columns=[LABEL_SHARE, PART_SHARE, DISTANCE])
    if not whole.any():
        return columns
    run_id = table["run_id"].to_numpy()[whole]
    vectors, vector = np.unique(own[whole].astype(np.float32), axis=0, return_inverse=True)
    vector = vector.ravel()
    hashes: NDArray[np.str_] = np.array(sampling.run_hash(vectors))[vector]
    split = split_rows(contract, hashes)
    part = np.empty(len(hashes), dtype=np.int64)
    for number, name in enumerate(PARTS):
        part[split[name]] = number
    columns.loc[whole, LABEL_SHARE] = _share(run_id, vector)
    columns.loc[whole, PART_SHARE] = _share(run_id, part)
    columns.loc[whole, DISTANCE] = _distance(contract, run_id, vectors.astype(np.float64), vector)
    return columns


def _share(run_id: NDArray[np.int64], value: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of a run's rows that have a row's own value."""
    frame = pd.DataFrame({"run": run_id, "value": value})
    rows = frame.groupby("run")["value"].transform("size")
    same = frame.groupby(["run", "value"])["value"].transform("size")
    return (same / rows).round(4).to_numpy()


def _distance(
    contract: Contract, run_id: NDArray[np.int64], vectors: NDArray[np.float64], vector: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Distance of each row's run labels from the nearest ones under another run number, as `run_columns` says."""
    pairs, row_pair = np.unique(np.stack([run_id, vector], axis=1), axis=0, return_inverse=True)
    # Rows that stray from their own run count with the labels that most of it has.
    count = np.bincount(row_pair.ravel())
    order = np.lexsort([-count, pairs[:, 0]])
    main = pairs[order][np.unique(pairs[order, 0], return_index=True)[1]]
    if len(main) < 2:
        return np.full(len(run_id), np.inf)
    lower, upper = (np.array([getattr(label, end) for label in contract.run_labels]) for end in ("lower", "upper"))
    places = (vectors[main[:, 1]] - lower) / (upper - lower)
    distance, _ = cKDTree(places).query(places, k=[2], p=np.inf)
    return np.ravel(distance)[np.searchsorted(main[:, 0], run_id)]
