"""Flux errors as files hold them, as standard deviations."""

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.errors import InputError
from stellar_emulator.observed.no_data import level_of
from stellar_emulator.observed.raw import ErrorKind
from stellar_emulator.observed.spectrum import scatter_over

SMALLEST, LARGEST = 1e-37, 1e37
"""Approximate range of single precision; squares of numbers far beyond it would overflow."""

FAR, ALIKE = 4.0, 1.5
"""Factors: errors this far below the pixels' scatter, whose square roots are this near to it, are variances."""

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
    usable = np.isfinite(deviation)
    if usable.any():
        _require_errors(name, column, kind, np.where(usable, flux, np.nan), deviation)
    return np.asarray(deviation)


def _require_errors(
    name: str, column: str, kind: ErrorKind, flux: NDArray[np.float64], deviation: NDArray[np.float64]
) -> None:
    """Refuse errors that are variances by another name, or far above the flux though pixels hardly scatter."""
    scatter = scatter_over(flux, deviation)
    if kind == "deviation" and scatter > FAR and 1.0 / ALIKE < scatter_over(flux, np.sqrt(deviation)) < ALIKE:
        raise InputError(
            f"{name}: pixels scatter by {scatter:.3g} times what {column} says, but as its square root says: call the "
            "column variance if it holds variances"
        )
    typical = float(np.median(deviation[np.isfinite(deviation)]))
    if typical > level_of(flux) and scatter < 1.0 / ABOVE:
        raise InputError(
            f"{name}: {column}, read as {kind}, makes flux errors of {typical:.3g}, above the flux itself: name it by "
            "what it holds, ivar, variance or flux_error"
        )
