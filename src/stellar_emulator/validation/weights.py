"""Whether weights are what turns the density of the labels into that of the uniform box."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.roles import Kind
from stellar_emulator.grid.sampling import unwarped
from stellar_emulator.validation.grid_statistics import quadratic

RESIDUAL = "weight_residual"
"""Column of what `weight_residuals` returns."""

_DECIMALS = 6

_ROUNDS = 3
"""Of the regression, each without the rows that the one before found far off."""

_FAR = 5.0
"""Median distances."""


def weight_residuals(contract: Contract, table: pd.DataFrame) -> NDArray[np.float64]:
    """Distance of each ln weight from a quadratic function of the labels, fitted to all; (rows,).

    The contract's own weights are exponentials of the labels, others are smooth. NaN where labels or weight are not
    finite or not above 0.
    """
    weight = table["weight"].to_numpy()
    labels = (table[contract.label_names].to_numpy() - contract.lower) / (contract.upper - contract.lower)
    whole = np.isfinite(weight) & (weight > 0) & np.isfinite(labels).all(axis=1)
    found = np.full(len(table), np.nan)
    terms = quadratic(labels[whole] - 0.5)
    if len(terms) <= 2 * terms.shape[1]:
        return found
    wanted, kept = np.log(weight[whole]), np.ones(len(terms), dtype=bool)
    for _ in range(_ROUNDS):
        residual = np.abs(wanted - terms @ np.linalg.lstsq(terms[kept], wanted[kept], rcond=None)[0])
        kept = residual <= max(_FAR * float(np.median(residual)), 10.0**-_DECIMALS)
    found[whole] = np.round(residual, _DECIMALS)
    return found


def unevenness(contract: Contract, table: pd.DataFrame) -> dict[str, float]:
    """By label, the largest distance of its weighted distribution from the uniform one, in units of chance.

    The unit is one over the root of the independent draws that the weights leave (Kish 1965), runs for labels of the
    run, which chance alone exceeds one and a half times in a hundred cases (Kolmogorov). NaN without a sound row.
    """
    weight = table["weight"].to_numpy()
    sound = np.isfinite(weight) & (weight > 0)
    found = {}
    for label in contract.labels:
        value = table[label.name].to_numpy()
        rows = sound & np.isfinite(value)
        if not rows.any():
            found[label.name] = np.nan
            continue
        share = (value[rows] - label.lower) / (label.upper - label.lower)
        order = np.argsort(share, kind="stable")
        below = np.cumsum(weight[rows][order]) / weight[rows].sum()
        distance = np.maximum(np.abs(below - share[order]), np.abs(np.append(0.0, below[:-1]) - share[order])).max()
        each = weight[rows]
        if label.kind is Kind.RUN:
            _, run = np.unique(table["run_id"].to_numpy()[rows], return_inverse=True)
            each = np.bincount(run.ravel(), each)
        found[label.name] = float(distance * each.sum() / np.sqrt(np.square(each).sum()))
    return found


def shares(contract: Contract, table: pd.DataFrame) -> NDArray[np.float64]:
    """Labels as shares of all draws that lie below them, (rows, labels)."""
    return np.stack([unwarped(label, table[label.name].to_numpy()) for label in contract.labels], axis=1)
