"""Flux errors as files hold them, as standard deviations."""

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.errors import InputError
from stellar_emulator.observed.no_data import level_of
from stellar_emulator.observed.raw import ErrorKind
from stellar_emulator.observed.spectrum import noise_of

SMALLEST, LARGEST = 1e-37, 1e37
"""About what single precision holds; squares of numbers far beyond it are none."""

FAR, ALIKE = 4.0, 1.5
"""Factors: errors this far below the pixels' scatter, while their square roots are this near to it, are variances."""

ABOVE = 10.0
"""Factor: errors this far above the pixels' scatter, and above the flux too, are no errors of it."""


def as_deviation(
    name: str,
    column: str,
    kind: ErrorKind,
    wavelength: NDArray[np.float64],
    flux: NDArray[np.float64],
    given: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Standard deviations of one spectrum, (pixels,); infinite where the flux is NaN or the error says there is none.

    Raises
    ------
    InputError
        If an error is impossible, or deviations are variances by another name.
    """
    there = np.isfinite(flux)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if kind == "inverse variance":
            # 0 is how surveys write that there is no measurement.
            deviation = np.where(given > 0, 1.0 / np.sqrt(given), np.inf)
        elif kind == "relative":
            deviation = np.where(given > 0, np.abs(given * flux), np.inf)
        else:
            bad = there & (given < SMALLEST)
            if bad.any():
                pixel = int(np.argmax(bad))
                raise InputError(
                    f"{name}: flux error {given[pixel]:g} at {wavelength[pixel]:.2f} A is not above 0: leave the pixel "
                    "out (NaN) or give its standard deviation"
                )
            deviation = np.sqrt(given) if kind == "variance" else given
    deviation = np.where(there & (deviation >= SMALLEST) & (deviation < LARGEST), deviation, np.inf)
    if kind == "deviation":
        _refuse_variances(name, column, flux, deviation)
    _refuse_above_flux(name, column, kind, flux, deviation)
    return np.asarray(deviation)


def _refuse_above_flux(
    name: str, column: str, kind: ErrorKind, flux: NDArray[np.float64], deviation: NDArray[np.float64]
) -> None:
    """Refuse errors by which nothing at all was measured, while pixels scatter by far less."""
    usable = np.isfinite(deviation)
    typical = float(np.median(deviation[usable])) if usable.any() else 0.0
    if typical > level_of(flux) and typical > ABOVE * noise_of(np.where(usable, flux, np.nan)):
        raise InputError(
            f"{name}: {column}, read as {kind}, makes flux errors of {typical:.3g}, above the flux itself: name it by "
            "what it holds, ivar, variance or flux_error"
        )


def _refuse_variances(name: str, column: str, flux: NDArray[np.float64], deviation: NDArray[np.float64]) -> None:
    usable = np.isfinite(deviation)
    if not usable.any():
        return
    scatter, stated = noise_of(np.where(usable, flux, np.nan)), float(np.median(deviation[usable]))
    root = float(np.median(np.sqrt(deviation[usable])))
    if scatter > FAR * stated and root / ALIKE < scatter < root * ALIKE:
        raise InputError(
            f"{name}: {column} has the median {stated:.2g}, while pixels scatter by {scatter:.2g}, which is its square "
            "root: call the column variance if it holds variances"
        )
