"""One row of numbers a spectrum, in place of its flux: what Great Expectations checks a grid by."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stellar_emulator.grid.store import Grid, as_double, flux_digests

FLUX_COLUMNS = ("flux_minimum", "flux_maximum", "non_finite", "pixels", "flux_hash")
"""What is said of each spectrum's flux."""


def summary_columns(label_names: list[str]) -> list[str]:
    """Columns of the summaries of a grid with these labels, in order."""
    return ["run_id", *label_names, "weight", *FLUX_COLUMNS]


def summaries(grid: Grid) -> pd.DataFrame:
    """Summarise every spectrum of a grid, in row order, holding one row group of flux at a time.

    Columns: run_id; the labels in physical units; weight; flux_minimum and flux_maximum over the finite pixels, NaN
    if there are none; non_finite, the number of NaN and infinite pixels; pixels;
    flux_hash, the flux's SHA-256.

    Raises
    ------
    InputError
        If the file can't be read to its end.
    """
    table = pd.DataFrame({"run_id": grid.run_id, **dict(zip(grid.label_names, grid.labels.T, strict=True))})
    table["weight"] = grid.weight
    pieces = [_flux_columns(flux) for _, flux in grid.batches()] or [_flux_columns(np.empty((0, 0), np.float32))]
    return pd.concat([table, pd.concat(pieces, ignore_index=True)], axis=1)


def _flux_columns(flux: NDArray[np.float32]) -> pd.DataFrame:
    finite = np.isfinite(flux)
    non_finite = flux.shape[1] - finite.sum(axis=1)
    minimum, maximum = flux.min(axis=1, initial=np.inf), flux.max(axis=1, initial=-np.inf)
    for row in np.flatnonzero(non_finite):
        values = flux[row, finite[row]]
        minimum[row], maximum[row] = (values.min(), values.max()) if len(values) else (np.nan, np.nan)
    hashes = pd.Series(flux_digests(flux), dtype=object)
    columns = (as_double(minimum), as_double(maximum), non_finite, np.full(len(flux), flux.shape[1]), hashes)
    return pd.DataFrame(dict(zip(FLUX_COLUMNS, columns, strict=True)))
