"""How far each spectrum's labels lie from those of the spectra that look most like it: a wrong label stands out."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from stellar_emulator.contract.contract import Contract
from stellar_emulator.grid.sampling import unwarped
from stellar_emulator.validation.spectrum_measures import residual_measures

RESIDUAL = "label_residual"
DEPARTURE = "run_departure"
"""Columns of what `label_residuals` returns."""

NEIGHBOURS = 96

_COMPONENTS = 8
_DECIMALS = 3

# Between plain principal components, ruled by the strongest lines, and whitened ones, ruled by the least certain.
_WEIGHT = 0.3

# Share of a label's draws that is allowed even if the neighbours agree by chance, as several broadenings of one run do.
_FLOOR = 0.05

# The same for the regression's deviation, in shares of the draws.
_FLOOR_DEVIATION = 0.01

_RIDGE = 1e-3

_CHUNK = 2048


def label_residuals(contract: Contract, table: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """How far each spectrum's labels lie from what the `NEIGHBOURS` most similar spectra say, by column, (rows,) each.

    Neighbours of the same run don't count: all of it may be wrong. Labels count as shares of their draws. Both columns
    are of the label that differs most, and NaN for spectra with a label or measure that is not finite.

    `RESIDUAL`: how far it lies below the lowest or above the highest of the neighbours', in units of half their range;
    0 inside. A label that the flux doesn't tell has a wide range. `DEPARTURE`: how far the mean over its run lies off a
    linear regression over the neighbours, in standard deviations of that regression.
    """
    labels = table[contract.label_names].to_numpy()
    measures = table[residual_measures(contract)].to_numpy()
    whole = np.isfinite(measures).all(axis=1) & np.isfinite(labels).all(axis=1)
    found = {name: np.full(len(table), np.nan) for name in (RESIDUAL, DEPARTURE)}
    if whole.sum() <= NEIGHBOURS:
        return found
    looks = _looks(measures[whole])
    # The nearest is the spectrum itself.
    _, nearest = cKDTree(looks).query(looks, k=range(2, NEIGHBOURS + 2), workers=-1)
    neighbours, run_id = np.asarray(nearest), table["run_id"].to_numpy()[whole]
    alien = run_id[neighbours] != run_id[:, np.newaxis]
    columns = zip(contract.labels, labels[whole].T, strict=True)
    shares = np.stack([unwarped(label, values) for label, values in columns], axis=1)
    outside = [_outside(values, neighbours, alien) for values in shares.T]
    found[RESIDUAL][whole] = np.round(np.max(outside, axis=0), _DECIMALS)
    own = contract.columns(contract.run_labels)
    found[DEPARTURE][whole] = np.round(_departure(looks, shares[:, own], neighbours, alien, run_id), _DECIMALS)
    return found


def _departure(
    looks: NDArray[np.float64],
    shares: NDArray[np.float64],
    neighbours: NDArray[np.int64],
    alien: NDArray[np.bool_],
    run_id: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Mean departure of each row's run from local regressions, of the label that departs most, (rows,)."""
    residual, deviation = np.empty(shares.shape), np.empty(shares.shape)
    for first in range(0, len(looks), _CHUNK):
        part = slice(first, first + _CHUNK)
        residual[part], deviation[part] = _regressed(looks, shares, neighbours[part], alien[part], part)
    _, run = np.unique(run_id, return_inverse=True)
    run = run.ravel()
    rows = np.bincount(run)[:, np.newaxis]
    sums = [np.stack([np.bincount(run, column) for column in values.T], axis=1) for values in (residual, deviation)]
    return np.asarray(np.max(np.abs(sums[0]) / (sums[1] + _FLOOR_DEVIATION * rows), axis=1)[run])


def _regressed(
    looks: NDArray[np.float64],
    shares: NDArray[np.float64],
    neighbours: NDArray[np.int64],
    alien: NDArray[np.bool_],
    part: slice,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Labels minus what a line through the neighbours' gives, and the deviation of these from the line, (rows, labels).

    One plane of the looks' components for each row; neighbours of the same run weigh nothing.
    """
    near = looks[neighbours] - looks[part][:, np.newaxis]
    near /= np.abs(near).max(axis=(1, 2), keepdims=True) + np.finfo(float).tiny
    design = np.concatenate([np.ones((*near.shape[:2], 1)), near], axis=2) * alien[..., np.newaxis]
    wanted = (shares[neighbours] - shares[part][:, np.newaxis]) * alien[..., np.newaxis]
    turned = design.transpose(0, 2, 1)
    squares = turned @ design + _RIDGE * np.eye(design.shape[2])
    solution = np.linalg.solve(squares, turned @ wanted)
    left = wanted - design @ solution
    free = np.maximum(alien.sum(axis=1) - design.shape[2], 1)[:, np.newaxis]
    # In shares, seen from the row itself: the plane's height at the row is what the row lacks.
    return -solution[:, 0], np.sqrt(np.square(left).sum(axis=1) / free)


def _looks(measures: NDArray[np.float64]) -> NDArray[np.float64]:
    """Leading principal components of the measures, weighted by a power of their spread; shape (rows, components)."""
    spread = measures.std(axis=0)
    centred = (measures - measures.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    strengths, directions = np.linalg.eigh(centred.T @ centred / len(centred))
    leading = np.argsort(strengths)[::-1][:_COMPONENTS]
    leading = leading[strengths[leading] > 1e-9 * strengths.max()]
    deviations = np.sqrt(strengths[leading])
    return np.asarray(centred @ directions[:, leading] * deviations ** (_WEIGHT - 1.0))


def _outside(
    shares: NDArray[np.float64], neighbours: NDArray[np.int64], alien: NDArray[np.bool_]
) -> NDArray[np.float64]:
    around = shares[neighbours]
    lowest = around.min(axis=1, where=alien, initial=1.0)
    highest = around.max(axis=1, where=alien, initial=0.0)
    beyond = np.maximum(np.maximum(lowest - shares, shares - highest), 0.0)
    told = alien.any(axis=1)
    return np.where(told, beyond / (np.abs(highest - lowest) / 2.0 + _FLOOR), 0.0)
