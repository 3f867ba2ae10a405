"""Figures of a survey's fits: residuals by wavelength and label, and how well the fits fit."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.figures.style import (
    BLANK,
    BLUE,
    COMPUTED,
    frame_wavelengths,
    label_of,
    name_line_cores,
    new_figure,
    styled,
    title_of,
    wavelength_title,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DIVERGING = "RdBu_r"
LEAST_RANGE = 1e-4
"""Smallest end of the colours' scale: less is no fault."""


@styled
def mean_residuals(
    contract: Contract, mean: NDArray[np.float64], edges: NDArray[np.float64], names: Sequence[str]
) -> "Figure":
    """Draw mean residuals, observed less fitted, (label bins, wavelength bins); edges: of the latter; grey without any.

    names: of the bins of the contract's first binned label, from the bottom.
    """
    label = label_of(contract, contract.first_binned)
    figure = new_figure("Where the fits err: mean of observed less fitted flux", height=4.2)
    axes = figure.subplots()
    seen = np.abs(mean[np.isfinite(mean)])
    end = max(LEAST_RANGE, float(np.quantile(seen, 0.99))) if len(seen) else LEAST_RANGE
    rows = np.arange(len(names) + 1) - 0.5
    mesh = axes.pcolormesh(edges, rows, mean, vmin=-end, vmax=end, cmap=DIVERGING)
    figure.colorbar(mesh, ax=axes, label="Mean residual (of the continuum)", pad=0.01)
    frame_wavelengths(axes, contract)
    name_line_cores(axes, contract)
    axes.set_facecolor(BLANK)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel=wavelength_title(contract), ylabel=title_of(label))
    return figure


@styled
def reduced_chi_squares(
    counts: NDArray[np.float64], edges: NDArray[np.float64], expected: NDArray[np.float64]
) -> "Figure":
    """Draw how many fits have which reduced chi-square, (bins,), and how many would if all errors were right, (bins,).

    edges: of the bins, (bins + 1,), which are drawn on a logarithmic scale.
    """
    figure = new_figure("How well the fits fit", height=3.4)
    axes = figure.subplots()
    axes.stairs(counts, edges, fill=True, color=BLUE, alpha=0.6, label="this survey")
    axes.stairs(expected, edges, color=COMPUTED, label="if the errors that the fits heed were right")
    axes.set(xscale="log", xlabel="Chi-square over degrees of freedom", ylabel="Stars")
    axes.legend()
    return figure
