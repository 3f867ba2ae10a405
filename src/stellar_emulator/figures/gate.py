"""Figures of the gate's page: errors of inferred labels, ratios against their margins, shifts on observed spectra."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.figures.style import (
    BLUE,
    COMPUTED,
    GENERATED,
    GREY,
    formula,
    label_of,
    new_figure,
    styled,
    title_of,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 3
BINS = 41
TAIL = 0.005
"""Share of the errors beyond either side of a panel."""


@styled
def error_densities(
    contract: Contract,
    test: NDArray[np.floating],
    generated: NDArray[np.floating],
    weight: NDArray[np.floating],
) -> "Figure":
    """Draw the density of inferred minus true labels from computed and from generated spectra (the paper's Fig. 9).

    ``test`` and ``generated`` have shape (judges, n, accuracy labels), ``weight`` (n,); errors are pooled over judges.
    """
    labels = contract.accuracy_labels
    lines = math.ceil(len(labels) / COLUMNS)
    figure = new_figure("Errors of labels inferred from both kinds of spectra", height=1.0 + 2.2 * lines)
    panels = figure.subplots(lines, COLUMNS, squeeze=False).ravel()
    weights = np.tile(weight, len(test))
    for i, (panel, label) in enumerate(zip(panels, labels, strict=False)):
        errors = {name: values[..., i].ravel() for name, values in (("Computed", test), ("Generated", generated))}
        edges = _edges(np.concatenate(list(errors.values())))
        for (name, values), colour in zip(errors.items(), (COMPUTED, GENERATED), strict=True):
            share, _ = np.histogram(values, edges, weights=weights)
            panel.stairs(share / (weights.sum() * np.diff(edges)), edges, color=colour, label=name)
        panel.axvline(0.0, color=GREY, linestyle=":", linewidth=0.9)
        panel.set(yticks=[], xlabel=f"Error of {title_of(label)}")
        panel.spines["left"].set_visible(False)
    for panel in panels[len(labels) :]:
        panel.remove()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return figure


def _edges(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Of the bins of a panel, which leaves `TAIL` of the values beyond either side."""
    low, high = np.nanquantile(values, (TAIL, 1.0 - TAIL))
    return np.linspace(low, high, BINS) if low < high else np.linspace(low - 1.0, low + 1.0, BINS)


@styled
def ratio_intervals(contract: Contract, rows: Sequence[Mapping[str, Any]]) -> "Figure":
    """Draw each label's ratio of RMSE with its one-sided bounds, beside the margin that the upper one must lie below.

    A row holds ``label`` (name), ``ratio``, ``ratio_lower``, ``ratio_upper`` and ``margin``.
    """
    figure = new_figure("Ratios of errors and their margins", height=1.2 + 0.45 * len(rows))
    axes = figure.subplots()
    places = np.arange(len(rows))
    axes.hlines(places, [row["ratio_lower"] for row in rows], [row["ratio_upper"] for row in rows], color=BLUE, lw=3)
    axes.plot([row["ratio"] for row in rows], places, "o", color=BLUE, label="Ratio and one-sided bounds")
    axes.plot([row["margin"] for row in rows], places, "|", color=GENERATED, ms=18, mew=2, label="Margin")
    axes.axvline(1.0, color=GREY, linestyle=":")
    axes.set_yticks(places, [formula(label_of(contract, row["label"]).symbol) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("RMSE from generated / RMSE from computed spectra")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return figure


@styled
def observed_shifts(contract: Contract, shifts: NDArray[np.floating]) -> "Figure":
    """Draw how many observed spectra have which shift of each label, and of the velocity, in units of its error.

    ``shifts`` (n, labels + 1), challenger less champion, NaN where there is none; every column holds a number.
    """
    names = [*(formula(label.symbol) for label in contract.labels), "velocity"]
    lines = math.ceil(len(names) / COLUMNS)
    figure = new_figure("Shifts on observed spectra, challenger less champion", height=1.0 + 2.0 * lines)
    panels = figure.subplots(lines, COLUMNS, squeeze=False).ravel()
    for panel, name, column in zip(panels, names, shifts.T, strict=False):
        values = column[np.isfinite(column)]
        edges = _edges(values)
        # What lies beyond either end counts in the last bin.
        panel.hist(np.clip(values, edges[0], edges[-1]), edges, color=BLUE, alpha=0.6)
        panel.axvline(float(np.median(values)), color=GENERATED, label="Median")
        panel.axvline(0.0, color=GREY, linestyle=":", linewidth=0.9)
        panel.set(xlabel=f"Shift of {name} (errors)", ylabel="Spectra")
    for panel in panels[len(names) :]:
        panel.remove()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right")
    return figure
