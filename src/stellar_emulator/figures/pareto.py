"""Error of searched networks against their cost."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.figures.beside import write_beside
from stellar_emulator.figures.style import BLUE, COMPUTED, GENERATED, GREY, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARK, RING = 4.5, 13.0
"""Widths of a trial's mark and of the ring round the chosen one, in typographic points."""


@styled
def pareto(
    cost: NDArray[np.floating],
    error: NDArray[np.floating],
    groups: Sequence[str],
    front: NDArray[np.int64],
    chosen: int,
    named: dict[int, str],
) -> "Figure":
    """Draw one point per trial on logarithmic axes, with the front as a line and the chosen point marked.

    cost: milliseconds for one spectrum, (trials,); error: mean absolute error of flux, (trials,); groups: name of each
    trial's family, which sets the colour; front: rows on the front, cheapest first; named: texts beside some rows.
    """
    figure = new_figure("Search: error on validation runs against the cost of a spectrum", height=4.8)
    axes = figure.subplots()
    kinds = sorted(set(groups))
    for kind, colour, marker in zip(kinds, (BLUE, GREY, COMPUTED), "osd", strict=False):
        rows = [row for row, group in enumerate(groups) if group == kind]
        axes.plot(cost[rows], error[rows], marker, color=colour, markersize=MARK, alpha=0.8, label=f"{kind} broadening")
    axes.plot(cost[front], error[front], color=GENERATED, drawstyle="steps-post", zorder=0.5, label="Pareto front")
    axes.plot(
        cost[chosen], error[chosen], "o", markersize=RING, fillstyle="none", color=GENERATED, label="chosen", mew=1.5
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.margins(x=0.08)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("Milliseconds for one spectrum, one core")
    axes.set_ylabel("Mean absolute error of flux, uniform box")
    figure.legend(loc="outside lower center", ncols=len(kinds) + 2)
    widths = np.full(len(cost), MARK)
    widths[chosen] = RING
    write_beside(figure, axes, np.stack([cost, error], axis=1), widths, named)
    return figure
