"""An observed spectrum, the fit to it, and the residuals."""

from typing import TYPE_CHECKING

import numpy as np

from stellar_emulator.contract.contract import Contract
from stellar_emulator.figures.style import (
    COMPUTED,
    GENERATED,
    GREY,
    described,
    new_figure,
    plain,
    styled,
    wavelength_title,
)
from stellar_emulator.fitting.solution import Solution
from stellar_emulator.observed.spectrum import ObservedSpectrum
from stellar_emulator.observed.velocity import at_rest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDEST = 5.0
"""Smallest range of the residuals' axis, in standard deviations."""


@styled
def fitted_spectrum(contract: Contract, spectrum: ObservedSpectrum, solution: Solution) -> "Figure":
    """Draw flux and fit at rest, masked pixels left open, and the residuals in units of the flux errors."""
    figure = new_figure(plain(spectrum.name), height=4.6)
    upper, lower = figure.subplots(2, sharex=True, height_ratios=[3, 1])
    rest = at_rest(spectrum.wavelength, solution.parameters.velocity)
    flux = np.where(spectrum.usable, spectrum.flux, np.nan)
    upper.plot(rest, flux, color=COMPUTED, linewidth=0.8, label="Observed")
    upper.plot(rest, solution.model, color=GENERATED, linewidth=0.8, label="Fitted")
    upper.set_title(described(contract, solution.parameters.labels), fontsize=8.5)
    upper.set_ylabel("Flux")
    residual = (flux - solution.model) / spectrum.error
    lower.axhline(0, color=GREY, linewidth=0.8)
    lower.plot(rest, residual, color=COMPUTED, linewidth=0.5)
    reach = max(WIDEST, float(np.nanmax(np.abs(residual))))
    lower.set_ylim(-1.05 * reach, 1.05 * reach)
    lower.set(ylabel="Residual / error", xlabel=f"{wavelength_title(contract)} at rest")
    upper.set_xlim(rest[0], rest[-1])
    figure.align_ylabels()
    figure.legend(*upper.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return figure
