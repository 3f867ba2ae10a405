"""One row of numbers a spectrum, in place of its flux: what Great Expectations checks a grid by."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stellar_emulator.contract.checks import as_double
from stellar_emulator.contract.contract import Contract
from stellar_emulator.grid.store import Grid, flux_digests
from stellar_emulator.system.cores import cores
from stellar_emulator.validation.spectrum_measures import measure

FLUX_COLUMNS = (
    "flux_minimum",
    "minimum_pixel",
    "flux_maximum",
    "maximum_pixel",
    "non_finite",
    "non_finite_pixel",
    "pixels",
    "flux_hash",
)
"""What is said of each spectrum's flux, whatever the contract expects beyond its bounds."""

# 512 kB of 4,000 pixels: a block stays in a core's cache while everything is taken of it.
_BLOCK = 32

_MOST_THREADS = 8


@dataclass(frozen=True)
class FluxStatistics:
    """Flux of a whole grid by pixel, over its finite values; all of shape (pixels,), NaN where there is none.

    wavelength: in Angstrom; minimum, maximum, mean, deviation: over all spectra, deviation being the standard
    deviation.
    """

    wavelength: NDArray[np.float64]
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]


@dataclass(frozen=True)
class _Sums:
    """Of some spectra by pixel, over finite values: count, sum and sum of squares of flux - 1, and extremes."""

    count: NDArray[np.float64]
    total: NDArray[np.float64]
    squares: NDArray[np.float64]
    minimum: NDArray[np.float32]
    maximum: NDArray[np.float32]

    def __add__(self, other: "_Sums") -> "_Sums":
        return _Sums(
            self.count + other.count,
            self.total + other.total,
            self.squares + other.squares,
            np.fmin(self.minimum, other.minimum),
            np.fmax(self.maximum, other.maximum),
        )


def label_table(grid: Grid) -> pd.DataFrame:
    """What is known of each spectrum without reading its flux: run_id, labels in physical units, weight."""
    table = pd.DataFrame({"run_id": grid.run_id, **dict(zip(grid.label_names, grid.labels.T, strict=True))})
    table["weight"] = grid.weight
    return table


def summaries(grid: Grid, contract: Contract) -> tuple[pd.DataFrame, FluxStatistics]:
    """Summarise every spectrum of a grid in row order, and every pixel, holding a few row groups of flux at a time.

    Columns: run_id; the labels in physical units; weight; flux_minimum and flux_maximum over the finite pixels, NaN
    if there are none, with the pixels where they lie; non_finite, the number of NaN and infinite pixels, with the first
    of them (0 if none); pixels; flux_hash, the flux's SHA-256; then what the contract's expectations need, see
    `measures.measure`, NaN for spectra with a pixel that is not finite.

    Raises
    ------
    InputError
        If the file can't be read to its end.
    """
    pieces, sums = [_summarise(np.empty((0, grid.pixels), np.float32), contract)[0]], _no_sums(grid.pixels)
    for piece, further in _in_parallel(grid, contract):
        pieces.append(piece)
        sums += further
    table = pd.concat([label_table(grid), pd.concat(pieces, ignore_index=True)], axis=1)
    return table, _statistics(grid.wavelength, sums)


def _in_parallel(grid: Grid, contract: Contract) -> Iterator[tuple[pd.DataFrame, _Sums]]:
    """Summaries of each row group, in order: one thread reads while others compute, NumPy lets them."""
    threads = min(_MOST_THREADS, cores())
    running: deque[Future[tuple[pd.DataFrame, _Sums]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for _, flux in grid.batches():
            running.append(pool.submit(_summarise, flux, contract))
            if len(running) > threads:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def _summarise(flux: NDArray[np.float32], contract: Contract) -> tuple[pd.DataFrame, _Sums]:
    """Flux columns of some spectra, and their sums by pixel."""
    pieces, sums = [], _no_sums(flux.shape[1])
    for first in range(0, max(1, len(flux)), _BLOCK):
        block = flux[first : first + _BLOCK]
        finite = np.isfinite(block)
        pieces.append({**_flux_columns(block, finite), **_measures(block, finite, contract)})
        sums += _block_sums(block, finite)
    columns = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    return pd.DataFrame({**columns, "flux_hash": columns["flux_hash"].astype(object)}), sums


def _flux_columns(flux: NDArray[np.float32], finite: NDArray[np.bool_]) -> dict[str, NDArray[np.generic]]:
    non_finite = flux.shape[1] - finite.sum(axis=1)
    lowest, highest, rows = flux.argmin(axis=1), flux.argmax(axis=1), np.arange(len(flux))
    for row in np.flatnonzero(non_finite):
        lowest[row] = np.where(finite[row], flux[row], np.inf).argmin()
        highest[row] = np.where(finite[row], flux[row], -np.inf).argmax()
    empty = non_finite == flux.shape[1]
    columns = (
        np.where(empty, np.nan, as_double(flux[rows, lowest])),
        lowest,
        np.where(empty, np.nan, as_double(flux[rows, highest])),
        highest,
        non_finite,
        finite.argmin(axis=1),
        np.full(len(flux), flux.shape[1]),
        np.array(flux_digests(flux), dtype=object),
    )
    return dict(zip(FLUX_COLUMNS, columns, strict=True))


def _measures(
    flux: NDArray[np.float32], finite: NDArray[np.bool_], contract: Contract
) -> dict[str, NDArray[np.float64]]:
    whole = np.asarray(finite.all(axis=1))
    if whole.all():
        return measure(flux, contract)
    # Spectra that are unfit to measure are measured as ones, to be blanked.
    found = measure(np.where(whole[:, np.newaxis], flux, np.float32(1.0)), contract)
    return {name: np.where(whole, values, np.nan) for name, values in found.items()}


def _no_sums(pixels: int) -> _Sums:
    zero, none = np.zeros(pixels), np.full(pixels, np.nan, dtype=np.float32)
    return _Sums(zero, zero, zero, none, none)


def _block_sums(flux: NDArray[np.float32], finite: NDArray[np.bool_]) -> _Sums:
    if not len(flux):
        return _no_sums(flux.shape[1])
    below = flux - np.float32(1.0)  # near the continuum: squares of it lose no digits
    if finite.all():
        count, minimum, maximum = np.full(flux.shape[1], float(len(flux))), flux.min(axis=0), flux.max(axis=0)
    else:
        count, below = finite.sum(axis=0).astype(np.float64), np.where(finite, below, 0.0)
        known = np.where(finite, flux, np.nan)
        minimum, maximum = np.fmin.reduce(known), np.fmax.reduce(known)
    total, squares = below.sum(axis=0), np.einsum("ij,ij->j", below, below)
    return _Sums(count, total.astype(np.float64), squares.astype(np.float64), minimum, maximum)


def _statistics(wavelength: NDArray[np.float64], sums: _Sums) -> FluxStatistics:
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = sums.total / sums.count
        deviation = np.sqrt(np.maximum(sums.squares / sums.count - mean**2, 0.0))
    return FluxStatistics(wavelength, as_double(sums.minimum), as_double(sums.maximum), 1.0 + mean, deviation)
