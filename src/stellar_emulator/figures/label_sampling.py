"""The density with which a grid samples its labels."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.figures.style import (
    BLUE,
    WIDTH,
    densities,
    few_ticks,
    new_figure,
    styled,
    title_of,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 30
"""Bins of a histogram."""

FEWEST_CELLS, MOST_CELLS, SPECTRA_PER_CELL = 6, 30, 15
"""Numbers of cells along a panel and spectra per cell: few enough cells that the noise of counts stays small."""


@styled
def sampling_density(contract: Contract, labels: NDArray[np.floating]) -> "Figure":
    """Draw the histogram of each label and the density of each pair; ``labels`` has shape (spectra, labels)."""
    count = len(contract.labels)
    side = max(WIDTH, 1.5 * count)
    title = f"Labels of the grid's {len(labels):,} spectra: each one, and each pair (darker: more spectra)"
    figure = new_figure(title, height=side, width=side, layout=None)
    panels = figure.subplots(count, count, sharex="col", squeeze=False)
    figure.subplots_adjust(left=0.09, right=0.98, bottom=0.1, top=0.92, wspace=0.12, hspace=0.3)
    across = int(np.clip(np.sqrt(len(labels) / SPECTRA_PER_CELL), FEWEST_CELLS, MOST_CELLS))
    for row, vertical in enumerate(contract.labels):
        for column, horizontal in enumerate(contract.labels):
            panel = panels[row, column]
            spans = [(horizontal.lower, horizontal.upper), (vertical.lower, vertical.upper)]
            if column > row:
                panel.remove()
            elif column == row:
                panel.hist(labels[:, row], bins=BINS, range=spans[0], color=BLUE)
                panel.set(yticks=[], title=title_of(vertical))
                panel.spines["left"].set_visible(False)
            else:
                panel.hist2d(labels[:, column], labels[:, row], bins=across, range=spans, cmin=1, cmap=densities())
                panel.set_ylim(vertical.lower, vertical.upper)
                few_ticks(panel.yaxis)
                panel.tick_params(labelleft=column == 0)
            panel.set_xlim(horizontal.lower, horizontal.upper)
    for index, label in enumerate(contract.labels):
        panels[-1, index].set_xlabel(title_of(label))
        few_ticks(panels[-1, index].xaxis)
        panels[-1, index].tick_params(axis="x", rotation=45)
        if index:
            panels[index, 0].set_ylabel(title_of(label))
    figure.align_labels()
    return figure
