"""Rows of a grid as they would lie in the whole label box, where a hull bounds the draws of two labels."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.hull import drawn_within, hull_distance
from stellar_emulator.grid.sampling import boxed

BEYOND = "beyond_hull"
"""Column of what `beyond` returns."""

_DECIMALS = 6


def beyond(contract: Contract, table: pd.DataFrame) -> NDArray[np.float64]:
    """Distance of each row's labels beyond the hull of draws, in units of the labels' ranges, (rows,); 0 inside."""
    labels = table[contract.label_names].to_numpy(dtype=np.float64)
    return np.asarray(np.round(np.maximum(hull_distance(contract, labels), 0.0), _DECIMALS), dtype=np.float64)


def boxed_table(contract: Contract, table: pd.DataFrame) -> pd.DataFrame:
    """Summaries whose labels of the run fill the box as the contract's densities say, with weights of that box.

    What is asked of the labels' distribution is asked of these; the table itself where no hull bounds the draws.
    """
    if drawn_within(contract) is None:
        return table
    names = [label.name for label in contract.run_labels]
    labels, denser = boxed(contract, table[names].to_numpy())
    return table.assign(**dict(zip(names, labels.T, strict=True)), weight=table["weight"] / denser)
