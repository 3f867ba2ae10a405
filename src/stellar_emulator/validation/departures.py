"""How a grid's spectra depart from a reference emulator: by band of wavelength, by part of each label, by label."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.label import Label
from stellar_emulator.evaluation.measured import at_labels
from stellar_emulator.grid.sampling import unwarped, warped
from stellar_emulator.grid.store import FLUX_ERROR, Grid
from stellar_emulator.validation.overlap import Overlap

BANDS = 20
"""Equal parts of the common pixels."""

PARTS, RUNS_PER_PART = 10, 60
"""Of each label at most, equally likely under the grid's sampling density; runs in each, lest a single one rule it."""

LEAST_SPECTRA = 50
"""In a part; fewer tell nothing of it."""

LEAST_TOLD = 200
"""Spectra that tell a label; fewer tell nothing of how it is shifted."""

SAMPLE = 768
"""Spectra whose labels are asked of the emulator, evenly spaced among all."""

CHUNK = 64

NOISE, TOLD = 0.01, 0.1
"""Noise of a pixel, and standard error in ranges of a label, below which a spectrum of that noise tells the label."""

QUANTILE = 0.95
"""Share of the spectra that tell a label, of which `shifts` gives the largest shift."""

Network = Callable[[NDArray[np.float64]], NDArray[np.float32]]
"""Labels (n, labels) to flux (n, pixels), or to its derivatives (n, labels, pixels)."""


@dataclass(frozen=True)
class Departures:
    """Flux of a grid minus the reference's, band by band, for the rows that both cover.

    rows: of the grid, (n,); mean, square: of the departure in each band, and expected: the square of the error that
    the reference has there, the grid's own noise included, all (n, bands); bands: first and last wavelength,
    (bands, 2).
    """

    rows: NDArray[np.int64]
    mean: NDArray[np.float64]
    square: NDArray[np.float64]
    expected: NDArray[np.float64]
    bands: NDArray[np.float64]


def departures(grid: Grid, common: Overlap, reference: Network, errors: NDArray[np.float32]) -> Departures:
    """Hold every spectrum of a grid against a reference, a few row groups of flux in memory at a time.

    reference: labels of the reference (n, labels) to its flux (n, pixels); errors: root mean squares of its errors by
    region of its label box, (bins, ..., pixels), as `evaluation.measured` has them.
    """
    count = min(BANDS, len(common.pixels))
    edges = np.linspace(0, len(common.pixels), count + 1).astype(int)
    by_band = np.sqrt(_averages(np.square(common.on_grid(errors)), edges))
    pieces = []
    for part, flux in grid.batches():
        labels = common.labels(grid.labels[part])
        inside = np.flatnonzero(common.inside(labels) & np.isfinite(flux).all(axis=1))
        if not len(inside):
            continue
        difference = flux[inside][:, common.pixels] - common.on_grid(reference(labels[inside]))
        expected = np.square(at_labels(common.reference, by_band, labels[inside]).astype(np.float64))
        if grid.has_errors:
            noise = grid.take(part.start + inside, FLUX_ERROR)[:, common.pixels]
            # Where there is no data, any flux does.
            difference[np.isinf(noise)] = 0.0
            expected += _averages(np.where(np.isinf(noise), 0.0, np.square(noise)), edges)
        averages = [_averages(values, edges) for values in (difference, np.square(difference))]
        pieces.append((part.start + inside, *averages, expected))
    none = np.empty((0, count))
    rows, mean, square, expected = (
        np.concatenate(arrays) for arrays in zip(*(pieces or [(np.empty(0, np.int64), none, none, none)]), strict=True)
    )
    wavelength = grid.wavelength[common.pixels]
    return Departures(
        rows, mean, square, expected, np.stack([wavelength[edges[:-1]], wavelength[edges[1:] - 1]], axis=1)
    )


def cells(contract: Contract, labels: NDArray[np.float64], found: Departures, runs: int) -> pd.DataFrame:
    """Departures by band and part of each label, one row a cell that holds `LEAST_SPECTRA` spectra or more.

    ``labels`` (n, labels) are those of ``found.rows``, which are of so many ``runs``: fewer make fewer parts. Columns:
    first, last (Angstrom), label, lower, upper (of the part, in the label's unit), spectra, mean and rms of the
    departure, and both over the error that the reference has there: mean_errors, rms_errors; typical_errors, the median
    over the spectra of each one's departure over its error.
    """
    parts = int(np.clip(runs // RUNS_PER_PART, 1, PARTS))
    tables = [_of_label(label, labels[:, column], found, parts) for column, label in enumerate(contract.labels)]
    return pd.concat(tables, ignore_index=True)


def row_shifts(
    grid: Grid, common: Overlap, reference: Network, jacobian: Network, rows: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """By how much each label of some rows would have to change for the reference to give their flux.

    Least squares with the reference's derivatives. Returns shifts, and standard errors for white noise of one unit of
    flux in every pixel; both (rows, labels of the reference), in ranges of the labels.
    """
    labels = common.labels(grid.labels[rows])
    span = (common.reference.upper - common.reference.lower).astype(np.float32)
    flux, pieces = grid.take(rows), [np.empty((0, 2, len(span)))]
    for first in range(0, len(rows), CHUNK):
        part = slice(first, first + CHUNK)
        difference = flux[part][:, common.pixels] - common.on_grid(reference(labels[part]))
        slopes = common.on_grid(jacobian(labels[part])) * span[:, np.newaxis]
        pieces.append(np.stack(_solved(slopes, difference), axis=1))
    moved, error = np.concatenate(pieces).transpose(1, 0, 2)
    return moved, error


def sample(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Up to `SAMPLE` of some rows, evenly spaced."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(SAMPLE, len(rows))).astype(int))] if len(rows) else rows


def shifts(contract: Contract, common: Overlap, moved: NDArray[np.float64], error: NDArray[np.float64]) -> pd.DataFrame:
    """One row a label of what `row_shifts` gives.

    Columns: label, spectra (that tell it), mean and typical (the `QUANTILE` of the sizes) of the shifts, in the label's
    unit; NaN for fewer spectra than `LEAST_TOLD`.
    """
    span, found = common.reference.upper - common.reference.lower, []
    for place, column in enumerate(common.columns):
        if column < 0:
            continue
        told = moved[error[:, place] * NOISE < TOLD, place] * span[place]
        enough = len(told) >= LEAST_TOLD
        found.append(
            {
                "label": contract.label_names[column],
                "spectra": len(told),
                "mean": float(told.mean()) if enough else np.nan,
                "typical": float(np.quantile(np.abs(told), QUANTILE)) if enough else np.nan,
            }
        )
    return pd.DataFrame(found)


def _averages(values: NDArray[np.float32], edges: NDArray[np.int64]) -> NDArray[np.float64]:
    """Means over each band, (..., bands), of values (..., pixels)."""
    return np.asarray(np.add.reduceat(values, edges[:-1], axis=-1) / np.diff(edges), dtype=np.float64)


def _of_label(label: Label, values: NDArray[np.float64], found: Departures, parts: int) -> pd.DataFrame:
    part = np.minimum((unwarped(label, values) * parts).astype(int), parts - 1)
    count = np.bincount(part, minlength=parts)
    member = (part[:, np.newaxis] == np.arange(parts)).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean, square, expected = (
            (member.T @ one) / count[:, np.newaxis] for one in (found.mean, found.square, found.expected)
        )
        error = np.sqrt(expected)
        numbers = {
            "mean": mean,
            "rms": np.sqrt(square),
            "mean_errors": np.abs(mean) / error,
            "rms_errors": np.sqrt(square) / error,
            "typical_errors": _medians(np.sqrt(found.square / found.expected), part, parts),
        }
    edges, bands = warped(label, np.linspace(0.0, 1.0, parts + 1)), len(found.bands)
    table = pd.DataFrame(
        {
            "first": np.tile(found.bands[:, 0], parts),
            "last": np.tile(found.bands[:, 1], parts),
            "label": label.name,
            "lower": np.repeat(edges[:-1], bands),
            "upper": np.repeat(edges[1:], bands),
            "spectra": np.repeat(count, bands),
            **{name: one.ravel() for name, one in numbers.items()},
        }
    )
    return table[table["spectra"] >= LEAST_SPECTRA]


def _medians(values: NDArray[np.float64], part: NDArray[np.int64], parts: int) -> NDArray[np.float64]:
    """Medians over the rows of each part, (parts, bands); NaN for none."""
    medians = np.full((parts, values.shape[1]), np.nan)
    for number in np.unique(part):
        medians[number] = np.median(values[part == number], axis=0)
    return medians


def _solved(
    slopes: NDArray[np.float32], difference: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least-squares shifts for slopes (n, labels, pixels) and their standard errors at unit noise, both (n, labels)."""
    squares = np.matmul(slopes, slopes.transpose(0, 2, 1)).astype(np.float64)
    right = np.matmul(slopes, difference[..., np.newaxis])[..., 0].astype(np.float64)
    values, vectors = np.linalg.eigh(squares)
    inverse = 1.0 / np.maximum(values, np.maximum(_SINGULAR * values[:, -1:], np.finfo(float).tiny))
    along = np.einsum("nij,ni->nj", vectors, right)
    moved = np.einsum("nij,nj,nj->ni", vectors, inverse, along)
    return moved, np.sqrt(np.einsum("nij,nj,nij->ni", vectors, inverse, vectors))


_SINGULAR = 1e-9
"""Of the largest eigenvalue: what is smaller is rounding of single precision."""
