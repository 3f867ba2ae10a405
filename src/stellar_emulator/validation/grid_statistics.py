"""Statistics of a grid as a whole: rank correlations of measures with labels, and the coverage of labels' ranges."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from stellar_emulator.contract.label import Label
from stellar_emulator.grid.sampling import warped

Where = Mapping[str, Sequence[float]]

STANDARD_ERRORS = 2.0
"""By so many may a small sample's correlation lie beyond the bounds, which were set on large grids."""


def inside(table: pd.DataFrame, where: Where) -> NDArray[np.bool_]:
    """Rows whose labels lie in all the ranges of ``where``, bounds included, shape (rows,)."""
    found = np.ones(len(table), dtype=bool)
    for name, (lower, upper) in where.items():
        found &= table[name].between(lower, upper).to_numpy()
    return found


@dataclass(frozen=True)
class Correlation:
    """A rank correlation, and how far the grid's own may lie from it.

    spread: `STANDARD_ERRORS` standard errors of Fisher's z = artanh(value); of a rank correlation it is
    1.03 / sqrt(n - 3) (Fieller, Hartley & Pearson 1957, Biometrika 44, 470), n the number of different values of the
    label less that of the labels held fixed.
    """

    value: float
    spread: float

    def lies_between(self, lower: float, upper: float) -> bool:
        """Whether the correlation, its spread allowed for, lies between two bounds."""
        z = np.arctanh(np.clip(self.value, -1.0 + 1e-9, 1.0 - 1e-9))
        return bool(np.tanh(z + self.spread) >= lower and np.tanh(z - self.spread) <= upper)


def rank_correlation(
    table: pd.DataFrame,
    measure: str,
    label: str,
    others: Sequence[str],
    where: Where,
    values: int,
    curved: bool = False,
) -> Correlation | None:
    """Spearman's correlation of a measure with a label, the other labels' linear part taken out of both ranks.

    ``curved``: the part of their squares and products too. Only rows inside ``where`` count, and only those whose
    measure and labels are finite. None if they have fewer than ``values`` different values of the label.
    """
    columns = table.loc[inside(table, where), [measure, label, *others]]
    numbers = columns[np.isfinite(columns).all(axis=1)].to_numpy()
    different = len(np.unique(numbers[:, 1]))
    if different < values:
        return None
    ranks = rankdata(numbers, axis=0)
    ranks -= ranks.mean(axis=0)
    fixed, pair = ranks[:, 2:], ranks[:, :2]
    if curved:
        fixed = quadratic(fixed / len(ranks))
    pair = pair - fixed @ np.linalg.lstsq(fixed, pair, rcond=None)[0]
    norms = np.linalg.norm(pair, axis=0)
    value = float(np.round(pair[:, 0] @ pair[:, 1] / norms.prod(), 4)) if norms.all() else 0.0
    return Correlation(value, STANDARD_ERRORS * 1.03 / float(np.sqrt(max(1, different - len(others) - 3))))


def quadratic(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """One, the columns of ``numbers`` (n, k), their squares and products: (n, 1 + k + k (k + 1) / 2)."""
    first, second = np.triu_indices(numbers.shape[1])
    return np.hstack([np.ones((len(numbers), 1)), numbers, numbers[:, first] * numbers[:, second]])


def empty_bins(label: Label, given: NDArray[np.float64], bins: int, values: int) -> list[str] | None:
    """Those of ``bins`` equally likely ranges of a label that hold no spectrum, as text.

    None if there are fewer than ``values`` different values of the label: chance alone would leave ranges empty.
    """
    different = np.unique(given[np.isfinite(given)])
    if len(different) < values:
        return None
    edges = warped(label, np.linspace(0.0, 1.0, bins + 1))
    counts, _ = np.histogram(different, bins=edges)
    return [f"{edges[empty]:.4g} to {edges[empty + 1]:.4g}" for empty in np.flatnonzero(counts == 0)]
