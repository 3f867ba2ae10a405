"""68 % intervals of labels that account for the label box and the vanishing slope of v sin i at 0.

The likelihood is assumed to be normal in the coordinates of `fitting.scaled_labels`, with a uniform prior in the labels
inside the box. It is sampled by hit-and-run (Smith 1984): along random directions in turn, in which the unrestricted
distribution is the same everywhere, however closely two labels are correlated; and along each label alone, since no
random direction leads out of a corner of the box.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear
from scipy.special import ndtr, ndtri

from stellar_emulator.fitting.scaled_labels import ScaledLabels

SHARE = 0.6827
"""Share of the draws inside an interval: one standard deviation to either side of a normal distribution's mean."""

CHAINS, SWEEPS, DROPPED = 256, 60, 20

FARTHEST = 8.0
"""Standard deviations beyond which the tail of a distribution is treated as one point."""


def draws(
    coordinates: ScaledLabels, peak: NDArray[np.float64], covariance: NDArray[np.float64], seed: int = 0
) -> NDArray[np.float64]:
    """Draw label vectors, shape (draws, labels).

    peak: coordinates of the likelihood's maximum, also outside the box, (labels,); covariance: (labels, labels).
    """
    random = np.random.default_rng(seed)
    labels = len(peak)
    root = np.linalg.cholesky(covariance)
    whitening = np.linalg.inv(root)
    lengths = np.linalg.norm(whitening, axis=0)
    alone = list(zip(np.diag(1.0 / lengths), (whitening / lengths).T, strict=True))
    place = np.tile(_likeliest(peak, whitening), (CHAINS, 1))
    whitened = (place - peak) @ whitening.T
    kept = np.empty((SWEEPS - DROPPED, CHAINS, labels))
    for sweep in range(SWEEPS):
        turned = np.linalg.qr(random.standard_normal((labels, labels)))[0]
        for moves, direction in [*zip(turned @ root.T, turned, strict=True), *alone]:
            along = whitened @ direction
            step = _steps(place, moves, along, random)
            whitened += step[:, None] * direction
            place = np.clip(place + step[:, None] * moves, 0.0, 1.0)
        if sweep >= DROPPED:
            kept[sweep - DROPPED] = place
    found = kept.reshape(-1, labels)
    return _flat_in_labels(coordinates, found, random)


def _likeliest(peak: NDArray[np.float64], whitening: NDArray[np.floating]) -> NDArray[np.float64]:
    """Point of the box with the highest likelihood, (labels,); whitening: inverse root of its covariance.

    This is not the peak clipped to the box: if two labels are correlated, that point lies hundreds of standard
    deviations away, farther than the chains reach.
    """
    found = lsq_linear(whitening, whitening @ peak, bounds=(0.0, 1.0), method="bvls").x
    return np.asarray(np.clip(found, 0.0, 1.0))


def _steps(
    place: NDArray[np.float64], moves: NDArray[np.float64], along: NDArray[np.float64], random: np.random.Generator
) -> NDArray[np.float64]:
    """Step of each chain along one direction, (chains,): a unit normal variate truncated at the box."""
    with np.errstate(divide="ignore", invalid="ignore"):
        to_lower, to_upper = -place / moves, (1.0 - place) / moves
    nearest = np.where(moves == 0, -np.inf, np.minimum(to_lower, to_upper)).max(axis=1) + along
    farthest = np.where(moves == 0, np.inf, np.maximum(to_lower, to_upper)).min(axis=1) + along
    # Tails are drawn on the side where the distribution's cumulative values differ.
    sign = np.where(nearest > 0, -1.0, 1.0)
    lower = np.where(sign > 0, nearest, -farthest)
    upper = np.where(sign > 0, farthest, -nearest)
    cumulative = ndtr(lower) + random.random(len(place)) * (ndtr(upper) - ndtr(lower))
    drawn = np.clip(ndtri(np.clip(cumulative, ndtr(-4.0 * FARTHEST), 1.0 - 1e-16)), lower, upper)
    return np.asarray(sign * drawn - along)


def _flat_in_labels(
    coordinates: ScaledLabels, found: NDArray[np.float64], random: np.random.Generator
) -> NDArray[np.float64]:
    """Resample the draws so that the prior is uniform in the labels, not in their coordinates."""
    labels = coordinates.labels(found)
    slopes = coordinates.slopes(coordinates.inside(labels))
    weight = np.prod(np.abs(slopes / (coordinates.upper - coordinates.lower)), axis=1)
    if np.ptp(weight) == 0:
        return labels
    reached = np.cumsum(weight)
    evenly = (np.arange(len(found)) + random.random()) / len(found)
    return np.asarray(labels[np.minimum(np.searchsorted(reached, evenly * reached[-1]), len(found) - 1)])


def interval_round(best: float, values: NDArray[np.float64], share: float = SHARE) -> tuple[float, float]:
    """Ends of the shortest interval that holds a share of the draws (n,) and the best value."""
    ordered = np.sort(values)
    count = max(1, round(share * len(ordered)))
    lower, upper = ordered[: len(ordered) - count + 1], ordered[count - 1 :]
    lower, upper = np.minimum(lower, best), np.maximum(upper, best)
    first = int((upper - lower).argmin())
    return float(lower[first]), float(upper[first])
