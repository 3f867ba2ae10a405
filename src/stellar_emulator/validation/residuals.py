"""How far each spectrum's labels lie from those of the spectra that look most like it: a wrong label stands out."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from stellar_emulator.contract.contract import Contract
from stellar_emulator.grid.sampling import unwarped
from stellar_emulator.validation.spectrum_measures import residual_measures

RESIDUAL = "label_residual"
"""Column of what `label_residuals` returns."""

NEIGHBOURS = 96

_COMPONENTS = 8
_DECIMALS = 3

# Between plain principal components, ruled by the strongest lines, and whitened ones, ruled by the least certain.
_WEIGHT = 0.3

# Share of a label's draws that is allowed even if the neighbours agree by chance, as several broadenings of one run do.
_FLOOR = 0.05


def label_residuals(contract: Contract, table: pd.DataFrame) -> NDArray[np.float64]:
    """Distance of each spectrum's labels from those of the `NEIGHBOURS` most similar spectra, shape (rows,).

    Neighbours of the same run don't count: all of it may be wrong. Labels count as shares of their draws. Of the label
    that differs most: how far it lies below the lowest or above the highest of the neighbours', in units of half their
    range; 0 inside. A label that the flux does not constrain has a wide range. NaN for spectra with a label or measure
    that is not finite.
    """
    labels = table[contract.label_names].to_numpy()
    measures = table[residual_measures(contract)].to_numpy()
    whole = np.isfinite(measures).all(axis=1) & np.isfinite(labels).all(axis=1)
    found = np.full(len(table), np.nan)
    if whole.sum() <= NEIGHBOURS:
        return found
    looks = _looks(measures[whole])
    # The nearest is the spectrum itself.
    _, nearest = cKDTree(looks).query(looks, k=range(2, NEIGHBOURS + 2), workers=-1)
    neighbours, run_id = np.asarray(nearest), table["run_id"].to_numpy()[whole]
    alien = run_id[neighbours] != run_id[:, np.newaxis]
    columns = zip(contract.labels, labels[whole].T, strict=True)
    outside = [_outside(unwarped(label, values), neighbours, alien) for label, values in columns]
    found[whole] = np.round(np.max(outside, axis=0), _DECIMALS)
    return found


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
