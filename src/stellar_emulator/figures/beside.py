"""Places texts beside some of a figure's marks, so that they cover none of them."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GAP = 3.0
"""Space round a text, in typographic points."""

_ANGLES = np.pi * (0.25 + np.arange(16) / 8.0)
AROUND = np.concatenate([radius * np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1) for radius in range(10, 200, 5)])
"""Offsets of a text from its mark, nearest first, in typographic points, shape (places, 2)."""


def write_beside(
    figure: "Figure", axes: "Axes", points: NDArray[np.floating], widths: NDArray[np.floating], named: dict[int, str]
) -> None:
    """Write texts at the first places `AROUND` that cover no mark and no text, with lines that meet no other mark.

    points: positions of the marks in the axes, (n, 2), in which all else has been drawn; widths: those of the marks in
    typographic points, (n,); named: texts of some rows. If there is no such place, a line crosses marks.
    """
    from matplotlib.text import Text

    # Positions on the page are known only after the figure has been drawn.
    figure.draw_without_rendering()
    unit = 72.0 / figure.dpi
    frame = unit * axes.bbox.get_points()
    centres, halves = unit * axes.transData.transform(points), np.stack([widths, widths], axis=1) / 2.0
    for row, text in named.items():
        note = axes.annotate(
            text,
            points[row],
            (0, 0),
            textcoords="offset points",
            fontsize=9,
            horizontalalignment="center",
            verticalalignment="center",
            arrowprops={"arrowstyle": "-", "linewidth": 0.6, "shrinkB": widths[row] / 2.0},
            bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"},
            zorder=1.0,
        )
        half = unit * np.array(Text.get_window_extent(note).size) / 2.0 + GAP
        places = centres[row] + AROUND
        covering = (np.abs(places[:, None] - centres) < half + halves).all(axis=2).any(axis=1)
        outside = ((places - half < frame[0]) | (places + half > frame[1])).any(axis=1)
        meeting = _meeting(np.delete(centres, row, axis=0) - centres[row], np.delete(halves, row, axis=0))
        first = int(np.argmin(2 * (covering | outside) + meeting))
        note.set_position(AROUND[first])
        centres, halves = np.vstack([centres, places[first]]), np.vstack([halves, half])


def _meeting(others: NDArray[np.floating], halves: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Whether the line from 0 to each place `AROUND` meets one of ``others``, (n, 2), where it passes its centre."""
    share = np.clip(AROUND @ others.T / (AROUND**2).sum(axis=1)[:, None], 0.0, 1.0)
    passing = share[:, :, None] * AROUND[:, None]
    return np.asarray((np.abs(passing - others) < halves).all(axis=2).any(axis=1))
