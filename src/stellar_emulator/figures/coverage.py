"""The coverage of a grid: cells of its label box, and its flux by wavelength."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.hull import drawn_within, into_bounds
from stellar_emulator.figures.style import (
    BLUE,
    COMPUTED,
    GENERATED,
    WIDTH,
    densities,
    few_ticks,
    frame_wavelengths,
    mark_line_cores,
    name_line_cores,
    new_figure,
    styled,
    title_of,
    wavelength_title,
)
from stellar_emulator.grid.label_coverage import SPECTRA_PER_CELL, PairCoverage

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BINS = 30
"""Bins of a histogram."""

MARGIN = 0.12
"""Fraction of the flux range shown beyond either bound, where pixels that exceed the bounds are marked, however far."""

MOST_SHADED = 2.0
"""Spectra of the darkest cells, in units of those due."""

VOID: dict[str, Any] = {"facecolor": "none", "edgecolor": GENERATED, "hatch": "////", "linewidth": 0.8}


@styled
def coverage(contract: Contract, labels: NDArray[np.floating], pairs: Sequence[PairCoverage]) -> "Figure":
    """Draw the histogram of each label, and for each pair of labels the spectra in each cell, voids hatched.

    A pair that is not divided into cells, such as of labels on nodes, is shown by its points and judged by nobody.
    ``labels`` has shape (spectra, labels); ``pairs`` are in the order of `grid.label_coverage.pair_coverage`.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.patches import Patch

    count = len(contract.labels)
    side = max(WIDTH, 1.5 * count)
    empty = sum(int(pair.voids.sum()) for pair in pairs)
    found = "no cell of two labels is void" if not empty else f"{empty:,} cells of two labels are void (hatched)"
    undivided = [pair.counts.size == 1 for pair in pairs]
    if any(undivided):
        found = "points are not judged" if all(undivided) else f"{found}; points are not judged"
    figure = new_figure(f"Coverage by {len(labels):,} spectra: {found}", height=side, width=side, layout=None)
    panels = figure.subplots(count, count, sharex="col", squeeze=False)
    figure.subplots_adjust(left=0.09, right=0.98, bottom=0.1, top=0.92, wspace=0.12, hspace=0.3)
    for index, label in enumerate(contract.labels):
        panel = panels[index, index]
        panel.hist(labels[:, index], bins=BINS, range=(label.lower, label.upper), color=BLUE)
        panel.set(yticks=[], title=title_of(label), xlim=(label.lower, label.upper))
        panel.spines["left"].set_visible(False)
        panels[-1, index].set_xlabel(title_of(label))
        few_ticks(panels[-1, index].xaxis)
        panels[-1, index].tick_params(axis="x", rotation=45)
        if index:
            panels[index, 0].set_ylabel(title_of(label))
    for pair in pairs:
        row, column = (contract.labels.index(label) for label in (pair.vertical, pair.horizontal))
        panels[column, row].remove()
        if pair.counts.size == 1:
            _points(panels[row, column], pair, labels[:, [column, row]])
        else:
            _cells(panels[row, column], contract, pair)
        panels[row, column].tick_params(labelleft=column == 0)
    if count > 1:
        title = "Spectra in a cell, in units of those due by the contract's sampling"
        scale = figure.add_axes((0.52, 0.87, 0.44, 0.015))
        shades = ScalarMappable(cmap=densities())
        shades.set_clim(0.0, MOST_SHADED)
        figure.colorbar(shades, cax=scale, orientation="horizontal", label=title)
        void = Patch(label=f"Void: none, where {SPECTRA_PER_CELL} or more are due", **VOID)
        figure.legend(handles=[void], loc="upper left", bbox_to_anchor=(0.51, 0.83))
        if (within := drawn_within(contract)) is not None:
            first, second = (f"${label.symbol}$" for label in within)
            told = f"Bounds of {second} depend on {first}; beside other labels, its cells are those of the whole box."
            figure.text(0.52, 0.785, told, fontsize="small")
    figure.align_labels()
    return figure


def _cells(panel: "Axes", contract: Contract, pair: PairCoverage) -> None:
    from matplotlib.patches import Polygon

    due = max(1, int(pair.counts.sum())) / pair.counts.size
    share = np.ma.masked_equal(pair.counts, 0) / due
    x, y = np.meshgrid(pair.horizontal_edges, pair.vertical_edges)
    if drawn_within(contract) == (pair.horizontal, pair.vertical):
        y = into_bounds(contract, x.ravel(), y.ravel()).reshape(y.shape)
    panel.pcolormesh(x, y, share, vmin=0.0, vmax=MOST_SHADED, cmap=densities())
    for row, column in np.argwhere(pair.voids):
        corners = [(row, column), (row, column + 1), (row + 1, column + 1), (row + 1, column)]
        panel.add_patch(Polygon([(x[corner], y[corner]) for corner in corners], **VOID))
    _frame(panel, pair)


def _points(panel: "Axes", pair: PairCoverage, labels: NDArray[np.floating]) -> None:
    places = np.unique(labels, axis=0)
    panel.plot(places[:, 0], places[:, 1], ".", color=BLUE, markersize=2.5, clip_on=False, rasterized=True)
    _frame(panel, pair)


def _frame(panel: "Axes", pair: PairCoverage) -> None:
    panel.set(xlim=pair.horizontal_edges[[0, -1]], ylim=pair.vertical_edges[[0, -1]])
    few_ticks(panel.yaxis)


@styled
def flux_range(
    contract: Contract,
    minimum: NDArray[np.floating],
    maximum: NDArray[np.floating],
    mean: NDArray[np.floating],
) -> "Figure":
    """Draw a grid's lowest, highest and mean flux by wavelength and the contract's bounds; each of shape (pixels,).

    Pixels whose extremes leave the bounds are marked.
    """
    pixels, bounds = contract.wavelength.pixels, contract.flux
    outside = (minimum < bounds.lower) | (maximum > bounds.upper)
    found = f"{int(outside.sum()):,} pixels leave the bounds" if outside.any() else "within the contract's bounds"
    figure = new_figure(f"Range of the grid's flux by wavelength: {found}", height=4.2)
    axes = figure.subplots()
    axes.fill_between(pixels, minimum, maximum, color=BLUE, alpha=0.25, linewidth=0, label="Lowest to highest")
    axes.plot(pixels, mean, color=COMPUTED, linewidth=0.8, label="Mean")
    axes.hlines([bounds.lower, bounds.upper], *pixels[[0, -1]], color=GENERATED, linestyle="--", label="Bounds")
    margin = MARGIN * (bounds.upper - bounds.lower)
    axes.set_ylim(bounds.lower - margin, bounds.upper + margin)
    for beyond, edge in ((minimum < bounds.lower, 0.02), (maximum > bounds.upper, 0.98)):
        places = np.full(int(beyond.sum()), edge)
        axes.plot(pixels[beyond], places, "x", color=GENERATED, markersize=5, transform=axes.get_xaxis_transform())
    mark_line_cores(axes, contract)
    name_line_cores(axes, contract)
    frame_wavelengths(axes, contract)
    axes.set(xlabel=wavelength_title(contract), ylabel="Normalised flux")
    figure.legend(loc="outside lower right", ncols=4)
    return figure
