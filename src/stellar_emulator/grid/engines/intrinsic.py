"""Intrinsic spectra: one run's unbroadened, normalised flux on the contract's logarithmic axis."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.axis import IntrinsicAxis
from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import InputError

CONTINUUM_POINTS = 32
"""Wavelengths at which the continuum is kept: it has the Paschen pseudo-continuum and can't be recovered."""

OPTIONAL = ("limb_darkening", "atmosphere_distance", "continuum")
"""Quantities that a run has if its engine provides them, in the order of a shard's columns."""

SYNTHESIS_MARGIN = 0.5
"""Margin in Angstrom that is computed beyond the intrinsic axis on either side."""


@dataclass(frozen=True)
class IntrinsicSpectrum:
    """The result of one run.

    flux: normalised, averaged over each bin of the intrinsic axis, shape (bins,). These are None if the engine does not
    provide them: continuum: Eddington flux in erg/s/cm^2/A at `continuum_wavelengths`, shape (32,); limb_darkening:
    linear coefficient from the engine's own intensities; atmosphere_distance: to the nearest model in the atmospheres'
    training set, in node spacings.
    """

    flux: NDArray[np.float64]
    continuum: NDArray[np.float64] | None = None
    limb_darkening: float | None = None
    atmosphere_distance: float | None = None


def continuum_wavelengths(axis: IntrinsicAxis) -> NDArray[np.float64]:
    """Wavelengths at which the continuum is kept, in Angstrom, shape (32,)."""
    return np.linspace(axis.start, axis.stop, CONTINUUM_POINTS)


def synthesis_range(axis: IntrinsicAxis) -> tuple[float, float]:
    """Shortest and longest wavelength to compute, in Angstrom."""
    return axis.start - SYNTHESIS_MARGIN, axis.stop + SYNTHESIS_MARGIN


def require_intrinsic_axis(contract: Contract) -> IntrinsicAxis:
    """The contract's intrinsic axis. Raises `InputError` if it has none."""
    if contract.intrinsic is None:
        raise InputError(
            f"contract {contract.name} can't be synthesised, nor can intrinsic spectra be read by it: it has no "
            "intrinsic axis; give it the field intrinsic"
        )
    return contract.intrinsic


def bin_averages(
    wavelength: NDArray[np.float64], flux: NDArray[np.float64], edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Average of the piecewise linear ``flux`` over each bin; this conserves flux and equivalent widths.

    wavelength and flux: shape (points,), ascending; edges: shape (bins + 1,), inside the wavelengths.
    """
    integral = np.concatenate([[0.0], np.cumsum(np.diff(wavelength) * 0.5 * (flux[1:] + flux[:-1]))])
    left = np.clip(np.searchsorted(wavelength, edges, side="right") - 1, 0, len(wavelength) - 2)
    offset = edges - wavelength[left]
    slope = (flux[left + 1] - flux[left]) / (wavelength[left + 1] - wavelength[left])
    until = integral[left] + offset * (flux[left] + 0.5 * slope * offset)
    return np.diff(until) / np.diff(edges)
