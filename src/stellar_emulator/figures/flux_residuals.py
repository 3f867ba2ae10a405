"""Residuals of the generated flux, by wavelength and labels."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.label import Label
from stellar_emulator.figures.style import (
    BLANK,
    ERRORS,
    SMALLEST,
    formula,
    frame_wavelengths,
    label_of,
    name_line_cores,
    new_figure,
    styled,
    three_digits,
    title_of,
    wavelength_title,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LABEL_BINS, WAVELENGTH_BINS = 40, 400
"""Largest numbers of bins of a residual map; few spectra or pixels get fewer bins."""

SPECTRA_PER_BIN = 20
"""Smallest average number of spectra in a bin: a median of fewer is dominated by noise."""

ALL_VALUES = (-np.inf, np.inf)
"""The one bin of a label that has none."""


@styled
def residual_map(
    contract: Contract, teff: NDArray[np.floating], residual: NDArray[np.floating], name: str = "teff"
) -> "Figure":
    """Draw the median absolute residual by wavelength and Teff, or by another label's ``name`` and values.

    ``teff`` has shape (spectra,), ``residual`` (spectra, pixels), generated minus computed. Bins without spectra are
    grey.
    """
    label = label_of(contract, name)
    values, label_edges, pixel_edges = _median_map(contract, label, teff, residual)
    largest = max(10 * SMALLEST, float(np.nanmax(values)))
    smallest = float(np.clip(np.nanpercentile(values, 1), SMALLEST, 0.1 * largest))
    figure = new_figure(f"Where generated spectra err: residual by wavelength and {formula(label.symbol)}", height=5.0)
    axes = figure.subplots()
    mesh = axes.pcolormesh(pixel_edges, label_edges, values, norm="log", vmin=smallest, vmax=largest, cmap=ERRORS)
    figure.colorbar(mesh, ax=axes, label="Median absolute residual (of the continuum)", pad=0.01)
    frame_wavelengths(axes, contract)
    name_line_cores(axes, contract)
    axes.set_facecolor(BLANK)
    axes.set(xlabel=wavelength_title(contract), ylabel=title_of(label))
    return figure


def _median_map(
    contract: Contract, label: Label, values: NDArray[np.floating], residual: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Median absolute residual (label bins, wavelength bins) and the edges of both bins; NaN marks no spectra."""
    rows = max(1, min(LABEL_BINS, len(values) // SPECTRA_PER_BIN))
    edges = np.linspace(label.lower, label.upper, rows + 1)
    bins = np.clip(np.digitize(values, edges) - 1, 0, rows - 1)
    pixels = contract.wavelength.pixels
    firsts = np.linspace(0, len(pixels), min(WAVELENGTH_BINS, len(pixels)) + 1).astype(int)
    medians = np.full((rows, len(firsts) - 1), np.nan)
    for row in np.unique(bins):
        absolute = np.abs(residual[bins == row])
        medians[row] = [np.median(absolute[:, first:last]) for first, last in pairwise(firsts)]
    return medians, edges, contract.wavelength.edges[firsts]


@styled
def flux_error_by_region(contract: Contract, rows: Sequence[Mapping[str, Any]]) -> "Figure":
    """Draw the mean absolute error of the flux in each bin of the contract's first two binned labels, with its value.

    A row holds ``mae``, ``n`` (spectra) and, under the names of both labels, the bin's (lower, upper) edges. Bins
    without a row are grey. If only one label is binned, there is one row of bins.
    """
    (across, across_edges), *others = contract.regions.bins.items()
    upwards, upwards_edges = others[0] if others else ("", [])
    across_bins, upwards_bins = list(pairwise(across_edges)), list(pairwise(upwards_edges)) or [ALL_VALUES]
    mae = np.full((len(upwards_bins), len(across_bins)), np.nan)
    figure = new_figure("Mean absolute error of generated flux, by region of the labels", height=4.6)
    axes = figure.subplots()
    places = []
    for row in rows:
        place = (
            upwards_bins.index(tuple(row[upwards]) if upwards else ALL_VALUES),
            across_bins.index(tuple(row[across])),
        )
        mae[place] = 1e3 * row["mae"]
        places.append((place, row["n"]))
    image = axes.imshow(mae, cmap=ERRORS, origin="lower", aspect="auto", vmin=0)
    for (up, right), count in places:
        colour = "white" if mae[up, right] < 0.55 * np.nanmax(mae) else "black"
        axes.text(right, up, three_digits(mae[up, right]), color=colour, fontsize=12, ha="center", va="bottom")
        axes.text(right, up - 0.06, f"n = {count:,}", color=colour, fontsize=8, ha="center", va="top")
    axes.set_xticks(range(len(across_bins)), [_span(edges) for edges in across_bins])
    axes.set_yticks(range(len(upwards_bins)), [_span(edges) if upwards else "all" for edges in upwards_bins])
    axes.tick_params(length=0)
    axes.set_facecolor(BLANK)
    axes.spines[:].set_visible(False)
    axes.set(
        xlabel=title_of(label_of(contract, across)), ylabel=title_of(label_of(contract, upwards)) if upwards else ""
    )
    figure.colorbar(image, ax=axes, label="Mean absolute error (0.001 of the continuum)", pad=0.01)
    return figure


def _span(edges: tuple[float, float]) -> str:
    return f"{edges[0]:g}\N{EN DASH}{edges[1]:g}"
