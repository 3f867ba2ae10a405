"""The Cramer-Rao limit: how precisely any unbiased method could measure labels from a spectrum of some noise."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.axis import SPEED_OF_LIGHT
from stellar_emulator.fitting.protocols import EmulatorLike
from stellar_emulator.observed.continuum import chebyshev_basis

SINGULAR = 1e-12
"""Share of the largest eigenvalue below which an eigenvalue is rounding, and its direction unconstrained."""


@dataclass(frozen=True)
class Precision:
    """Smallest standard deviations of each label, (labels,), in its unit; infinite if a spectrum does not constrain it.

    alone: if everything else is known; together: if all labels are unknown; with_nuisances: if radial velocity and
    continuum are also unknown; velocity: the radial velocity's in that case, in km/s.
    """

    alone: NDArray[np.float64]
    together: NDArray[np.float64]
    with_nuisances: NDArray[np.float64]
    velocity: float


def precision(
    emulator: EmulatorLike,
    labels: NDArray[np.float64],
    signal_to_noise: float,
    degree: int,
    hidden: NDArray[np.bool_] | None = None,
) -> Precision:
    """Limits at ``labels`` (labels,) for a signal-to-noise ratio by pixel of the continuum.

    ``degree``: that of the continuum; ``hidden``: masked pixels, (pixels,). The limits follow from the inverse of J W
    J', where W is the inverse of the noise's variance and J (parameters, pixels) the slopes of the flux.
    """
    contract = emulator.contract
    pixels = contract.wavelength.pixels
    flux = emulator.flux(labels[None])[0].astype(np.float64)
    span = contract.upper - contract.lower
    slopes = emulator.jacobian(labels[None])[0].astype(np.float64) * span[:, None]
    by_velocity = np.gradient(flux, pixels) * pixels / SPEED_OF_LIGHT
    everything = np.concatenate([slopes, by_velocity[None], (chebyshev_basis(pixels, degree) * flux[:, None]).T])
    if hidden is not None:
        everything = everything[:, ~hidden]
    information = everything @ everything.T * signal_to_noise**2
    count = len(labels)
    with np.errstate(divide="ignore"):
        alone = 1.0 / np.sqrt(np.diag(information)[:count])
    every = _limits(information)
    return Precision(
        alone * span, _limits(information[:count, :count]) * span, every[:count] * span, float(every[count])
    )


def _limits(information: NDArray[np.float64]) -> NDArray[np.float64]:
    """Square roots of the inverse's diagonal, infinite along unconstrained directions."""
    scale = np.sqrt(np.diag(information))
    scale = np.where(scale > 0, scale, 1.0)
    values, vectors = np.linalg.eigh(information / np.outer(scale, scale))
    determined = values > SINGULAR * values[-1]
    variance = np.sum(vectors[:, determined] ** 2 / values[determined], axis=1)
    lost = np.sum(vectors[:, ~determined] ** 2, axis=1) > 1e-9
    return np.where(lost, np.inf, np.sqrt(variance) / scale)
