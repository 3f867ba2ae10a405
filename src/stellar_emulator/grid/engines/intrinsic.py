"""Intrinsic spectra: one run's unbroadened, normalised flux on the contract's logarithmic axis."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.axis import IntrinsicAxis
from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import InputError
from stellar_emulator.grid.engines.synspec import atmosphere
from stellar_emulator.grid.engines.synspec import run as synspec

CONTINUUM_POINTS = 32
"""Wavelengths at which the continuum is kept: it holds the Paschen pseudo-continuum and can't be had back."""

SYNTHESIS_MARGIN = 0.5
"""Angstrom computed beyond the intrinsic axis on either side."""


@dataclass(frozen=True)
class IntrinsicSpectrum:
    """What one run leaves behind.

    flux: normalised, averaged over each bin of the intrinsic axis, shape (bins,); continuum: Eddington flux in
    erg/s/cm^2/A at `continuum_wavelengths`, shape (32,); limb_darkening: linear coefficient from SYNSPEC's own
    intensities; atmosphere_distance: to the nearest model in the atmospheres' training set, in node spacings.
    """

    flux: NDArray[np.float64]
    continuum: NDArray[np.float64]
    limb_darkening: float
    atmosphere_distance: float


def continuum_wavelengths(axis: IntrinsicAxis) -> NDArray[np.float64]:
    """Where the continuum is kept, in Angstrom, shape (32,)."""
    return np.linspace(axis.start, axis.stop, CONTINUUM_POINTS)


def synthesis_range(axis: IntrinsicAxis) -> tuple[float, float]:
    """Shortest and longest wavelength to compute, in Angstrom."""
    return axis.start - SYNTHESIS_MARGIN, axis.stop + SYNTHESIS_MARGIN


def synthesise(
    contract: Contract, installation: synspec.Installation, labels: NDArray[np.float64]
) -> IntrinsicSpectrum:
    """Compute one run with SYNSPEC; ``labels`` are the contract's run labels, shape (run labels,).

    Raises
    ------
    InputError
        If the contract has no intrinsic axis, or its run labels aren't those that SYNSPEC knows.
    RunFailedError
        If SYNSPEC gives no usable spectrum.
    """
    axis = require_intrinsic_axis(contract)
    named = {label.name: float(value) for label, value in zip(contract.run_labels, labels, strict=True)}
    run = synspec.synthesise(installation, **named, shortest=synthesis_range(axis)[0], longest=synthesis_range(axis)[1])
    return IntrinsicSpectrum(
        flux=bin_averages(run.wavelength, run.flux / run.continuum, axis.edges),
        continuum=np.interp(continuum_wavelengths(axis), run.wavelength, run.continuum),
        limb_darkening=run.limb_darkening,
        atmosphere_distance=atmosphere.distance_to_training_set(named["teff"], named["logg"], named["m_h"]),
    )


def require_intrinsic_axis(contract: Contract) -> IntrinsicAxis:
    """The contract's intrinsic axis. Raises `InputError` where SYNSPEC can't serve the contract."""
    names = {label.name for label in contract.run_labels}
    axis = contract.intrinsic
    if axis is None or names != {"teff", "logg", "m_h", "vmicro"} or axis.medium != "air":
        raise InputError(
            f"contract {contract.name} can't be synthesised: it needs an intrinsic axis in air and the run labels "
            f"teff, logg, m_h, vmicro (got {', '.join(sorted(names))})"
        )
    return axis


def bin_averages(
    wavelength: NDArray[np.float64], flux: NDArray[np.float64], edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Average of the piecewise linear ``flux`` over each bin: flux is conserved, equivalent widths are kept.

    wavelength and flux: shape (points,), ascending; edges: shape (bins + 1,), inside the wavelengths.
    """
    integral = np.concatenate([[0.0], np.cumsum(np.diff(wavelength) * 0.5 * (flux[1:] + flux[:-1]))])
    left = np.clip(np.searchsorted(wavelength, edges, side="right") - 1, 0, len(wavelength) - 2)
    offset = edges - wavelength[left]
    slope = (flux[left + 1] - flux[left]) / (wavelength[left + 1] - wavelength[left])
    until = integral[left] + offset * (flux[left] + 0.5 * slope * offset)
    return np.diff(until) / np.diff(edges)
