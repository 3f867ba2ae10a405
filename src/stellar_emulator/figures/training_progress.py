"""Losses of networks by epoch."""

import math
from typing import TYPE_CHECKING

import numpy as np

from stellar_emulator.figures.style import BLUE, COMPUTED, GENERATED, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 3
"""Largest number of panels side by side."""


@styled
def training_curves(histories: dict[str, dict[str, list[float]]]) -> "Figure":
    """Draw training and validation loss by epoch, a panel for each network (the paper's figures 3 and 4).

    ``histories`` maps a network's name to its ``loss`` and ``val_loss`` by epoch, as Keras gives them. The best epoch
    has the lowest validation loss.
    """
    columns = min(COLUMNS, len(histories))
    rows = math.ceil(len(histories) / columns)
    figure = new_figure("Training: loss by epoch, and the best epoch", height=1.2 + 2.6 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, (network, history) in zip(panels, histories.items(), strict=False):
        epochs = np.arange(1, len(history["loss"]) + 1)
        best = int(np.nanargmin(history["val_loss"]))
        panel.plot(epochs, history["loss"], color=BLUE, label="Training")
        panel.plot(epochs, history["val_loss"], color=GENERATED, label="Validation")
        panel.plot(epochs[best], history["val_loss"][best], "o", color=COMPUTED, markersize=5, label="Best epoch")
        panel.set_yscale("log")
        panel.set_title(network)
        text = f"{history['val_loss'][best]:.2e} at epoch {epochs[best]}"
        panel.text(0.98, 0.97, text, transform=panel.transAxes, ha="right", va="top", fontsize=9)
    for panel in panels[len(histories) :]:
        panel.remove()
    figure.supxlabel("Epoch", fontsize=10)
    figure.supylabel("Loss (log scale)", fontsize=10)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=3)
    return figure
