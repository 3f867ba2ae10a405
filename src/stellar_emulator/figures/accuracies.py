"""Inferred labels against true ones, and their errors beside the paper's."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.label import Label
from stellar_emulator.figures.style import (
    BLUE,
    GENERATED,
    GREY,
    densities,
    label_of,
    new_figure,
    styled,
    three_digits,
    title_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection
    from matplotlib.figure import Figure

COLUMNS = 3
"""Largest number of panels of `accuracy_comparison` side by side."""

GRIDS_DIFFER = "The grids differ: the paper's values give the scale, no ranking."

MARGIN = 0.15
"""Fraction of a label's range shown beyond either bound: inferred labels may lie outside."""


@styled
def inferred_labels(
    contract: Contract,
    true: Mapping[str, NDArray[np.floating]],
    inferred: Mapping[str, NDArray[np.floating]],
    names: Sequence[str],
) -> "Figure":
    """Draw inferred against true labels: a row for each label, a column for each set of spectra (figures 8 and 9).

    ``true`` and ``inferred`` map a set's name (test, generated) to its labels, shape (spectra, names), in their units;
    ``names`` are the labels of the columns. Colours give the number of spectra; the RMSE includes those beyond the
    panel.
    """
    figure = new_figure(
        "Labels that the validator infers from spectra, against the true labels", 1.2 + 2.3 * len(names)
    )
    panels = figure.subplots(len(names), len(true), squeeze=False)
    cells = []
    for column, part in enumerate(true):
        panels[0, column].set_title(f"{part.capitalize()} spectra (n = {len(true[part]):,})", fontsize=11)
        for row, name in enumerate(names):
            label = label_of(contract, name)
            cells.append(_one_to_one(panels[row, column], label, true[part][:, row], inferred[part][:, row]))
            panels[row, 0].set_ylabel(f"Inferred {title_of(label)}")
    most = max(float(np.max(np.asarray(cell.get_array()), initial=2.0)) for cell in cells)
    for cell in cells:
        cell.set_norm("log")
        cell.set_clim(1, most)
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper right")
    figure.colorbar(cells[0], ax=panels, location="bottom", shrink=0.5, aspect=50, pad=0.01, label="Spectra per cell")
    return figure


def _one_to_one(
    panel: "Axes", label: Label, true: NDArray[np.floating], inferred: NDArray[np.floating]
) -> "PolyCollection":
    """Two-dimensional histogram with the line on which inferred and true values agree, and the RMSE."""
    pad = MARGIN * (label.upper - label.lower)
    low, high = label.lower - pad, label.upper + pad
    shown = (inferred >= low) & (inferred <= high)
    cells = panel.hexbin(
        true[shown],
        inferred[shown],
        extent=(label.lower, label.upper, low, high),
        gridsize=(60, 34),
        mincnt=1,
        cmap=densities(),
    )
    panel.plot([low, high], [low, high], color=GENERATED, linewidth=1.2, linestyle="--", label="Inferred = true")
    rmse = float(np.sqrt(np.mean((inferred - true) ** 2)))
    hidden = int(np.sum(~shown))
    text = f"RMSE {three_digits(rmse)} {label.unit}" + (f"\n{hidden:,} beyond the panel" if hidden else "")
    panel.text(0.03, 0.96, text, transform=panel.transAxes, verticalalignment="top")
    panel.set(xlim=(label.lower, label.upper), ylim=(low, high), xlabel=f"True {title_of(label)}")
    return cells


@styled
def accuracy_comparison(contract: Contract, rows: Sequence[Mapping[str, Any]]) -> "Figure":
    """Draw the RMSE of each inferred label in each set of spectra beside the paper's, a panel for each label.

    A row holds ``label`` (name), ``split`` (name of the set), ``rmse`` and ``paper``, both in its unit; ``paper``
    is None if the paper has no value. There is one row for each pair of label and split.
    """
    names = list(dict.fromkeys(row["label"] for row in rows))
    columns = min(COLUMNS, len(names))
    lines = math.ceil(len(names) / columns)
    compared = any(row["paper"] is not None for row in rows)
    title = "RMSE of inferred labels, beside the paper's" if compared else "RMSE of inferred labels"
    figure = new_figure(title, height=1.2 + 2.3 * lines)
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for panel, name in zip(panels, names, strict=False):
        _bars(panel, label_of(contract, name), [row for row in rows if row["label"] == name])
    for panel in panels[len(names) :]:
        panel.remove()
    if compared:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
        figure.supxlabel(GRIDS_DIFFER, fontsize=10, x=0.01, horizontalalignment="left")
    return figure


def _bars(panel: "Axes", label: Label, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw one label's RMSE and the paper's, a pair of bars for each set of spectra, with their values."""
    places = np.arange(len(rows))
    compared = any(row["paper"] is not None for row in rows)
    drawn = [(-0.2, "rmse", BLUE, "This project"), (0.2, "paper", GREY, "Paper (another grid)")]
    for shift, field, colour, text in drawn if compared else [(0.0, *drawn[0][1:])]:
        values = [math.nan if row[field] is None else float(row[field]) for row in rows]
        bars = panel.barh(places + shift, values, 0.38, color=colour, label=text)
        texts = ["" if math.isnan(value) else f"{float(three_digits(value)):g}" for value in values]
        panel.bar_label(bars, texts, fontsize=8, padding=2)
    panel.set_yticks(places, [row["split"] for row in rows])
    panel.set_ylim(len(rows) - 0.5, -0.5)
    panel.margins(x=0.18)
    panel.set_xlabel(f"RMSE of {title_of(label)}")
