"""Which pixels of spectra count in a fit, and with which errors, as its residuals show."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.fitting.least_squares import Problem
from stellar_emulator.fitting.noise import hidden_by, width_of
from stellar_emulator.fitting.sharpness import largest_resolution
from stellar_emulator.fitting.spikes import spikes
from stellar_emulator.observed.spectrum import NORMAL_DEVIATION


@dataclass(frozen=True)
class Noise:
    """Of n spectra.

    error: one standard deviation, infinite for pixels that count for nothing, (n, pixels); detector: width in Angstrom
    of the pixels from which flux was interpolated, NaN if unknown, (n,); guessed: whether errors come from the scatter
    of neighbours, (n,); rejected: pixels that were found to be spikes, (n, pixels).
    """

    error: NDArray[np.float64]
    detector: NDArray[np.float64]
    guessed: NDArray[np.bool_]
    rejected: NDArray[np.bool_]


def sifted(problem: Problem, noise: Noise, vectors: NDArray[np.float64]) -> Noise:
    """The noise without pixels that are spikes at vectors (n, parameters).

    Where errors were taken from the scatter of neighbours, they are raised to what neighbours that share noise have;
    where it is unknown which pixels share noise, the residuals tell.
    """
    forward, weight = problem.forward, problem.weight
    apart = problem.flux - forward.flux(vectors)
    level = np.maximum(np.abs(forward.continuum(vectors)), np.finfo(np.float64).tiny)
    error, guessed, rejected = noise.error.copy(), noise.guessed.copy(), noise.rejected.copy()
    sharpest = largest_resolution(forward.emulator.contract)
    for row, used in enumerate(weight > 0):
        if used.sum() < 2:
            continue
        found = spikes_of(forward.wavelength[row], apart[row], level[row], weight[row], sharpest)
        error[row, found], rejected[row] = np.inf, rejected[row] | found
        if guessed[row]:
            raised = _raised(np.where(used & ~found, apart[row] * weight[row], np.nan))
            error[row], guessed[row] = error[row] * raised, False
    return Noise(error, noise.detector, guessed, rejected)


def spikes_of(
    wavelength: NDArray[np.float64],
    apart: NDArray[np.float64],
    level: NDArray[np.float64],
    weight: NDArray[np.float64],
    sharpest: float | None,
) -> NDArray[np.bool_]:
    """Spikes of one spectrum, (pixels,), by the resolution of its ``sharpest`` lines.

    apart: observed minus fitted flux; level: its continuum, above 0; weight: inverse standard deviation, 0 where
    nothing counts.
    """
    used = weight > 0
    places = wavelength[used]
    if len(places) < 2:
        return np.zeros(len(wavelength), dtype=bool)
    line = float(np.median(places)) / sharpest / float(np.median(np.diff(places))) if sharpest else 0.0
    return spikes(np.where(used, apart * weight, np.nan), apart / level, line)


def _raised(residual: NDArray[np.float64]) -> float:
    """Factor of errors that were taken from the scatter of neighbours; never beyond what the residuals scatter by."""
    known = residual[np.isfinite(residual)]
    whole = float(NORMAL_DEVIATION * np.median(np.abs(known - np.median(known)))) if len(known) else 1.0
    return min(hidden_by(width_of(residual)), max(1.0, whole))
