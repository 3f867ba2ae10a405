"""Errors of a joint fit of epochs: the labels' intervals, the velocities' errors, and the test that these are one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from stellar_emulator.fitting.covariance import covariance_of, inverse_of
from stellar_emulator.fitting.intervals import intervals_of
from stellar_emulator.fitting.joint import Equations, Joint, Star
from stellar_emulator.fitting.model_error import Part
from stellar_emulator.fitting.solution import WEAKEST, correlated
from stellar_emulator.observed.spectrum import NORMAL_DEVIATION
from stellar_emulator.observed.velocity import at_rest

LEAST_SPREAD = 1.0
"""km/s: below it, stars count as equally constant."""

LAGS = 3
"""Pixels over which the noise of neighbours is shared: flux interpolated between pixels as wide shares it over one."""

MOST_SHARED = 6.0
"""Factor of variances beyond which residuals tell of the model, not of the noise."""


@dataclass(frozen=True)
class JointErrors:
    """What a joint fit leaves open.

    raw, lower, upper: labels without the box, and ends of their 68 % intervals, (labels,); covariance: (labels,
    labels); velocity: errors in km/s, (epochs,), of each velocity by itself; shared: standard deviation in km/s that
    the velocities have in common, since the labels are uncertain; noise: factor of variances by the noise that
    neighbouring pixels share.
    """

    raw: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    covariance: NDArray[np.float64]
    velocity: NDArray[np.float64]
    shared: float
    noise: float


@dataclass(frozen=True)
class Constancy:
    """Test of one velocity: weighted mean and its error in km/s, chi-square, its degrees of freedom, p-value."""

    mean: float
    error: float
    chi_square: float
    degrees_of_freedom: int
    p_value: float


def constancy(velocity: NDArray[np.float64], error: NDArray[np.float64], gain: float) -> Constancy:
    """Whether velocities (epochs,) with errors (epochs,) are one; the p-value is NaN for a single one.

    gain: chi-square of one velocity for all, less that of a velocity each, in units of the noise. It is distributed as
    chi-square by Wilks (1938), where velocities of faint epochs are not as normal as their errors say.
    """
    mean, spread = weighted_mean(velocity, error)
    freedom = len(velocity) - 1
    p_value = float(chi2.sf(gain, freedom)) if freedom else float("nan")
    return Constancy(mean, spread, gain, freedom, p_value)


def weighted_mean(velocity: NDArray[np.float64], error: NDArray[np.float64]) -> tuple[float, float]:
    """Mean of velocities by their errors, and its error."""
    weight = 1.0 / error**2
    return float(np.sum(weight * velocity) / np.sum(weight)), float(1.0 / np.sqrt(np.sum(weight)))


def spread_of(velocity: NDArray[np.float64], error: NDArray[np.float64]) -> tuple[float, float]:
    """Median of velocities, (epochs,), and the standard deviation in km/s that their errors leave to the star."""
    middle = float(np.median(velocity))
    seen = NORMAL_DEVIATION * float(np.median(np.abs(velocity - middle)))
    return middle, float(np.sqrt(max(seen**2 - float(np.median(error)) ** 2, 0.0) + LEAST_SPREAD**2))


def shared_noise(residual: NDArray[np.floating], usable: NDArray[np.bool_]) -> float:
    """Factor by which noise that neighbouring pixels share enlarges variances, 1 for independent noise.

    residual: weighted, (epochs, pixels). Lines are some pixels wide, so what neighbours share does not average out.
    """
    own = np.where(usable, residual, 0.0).astype(np.float64)
    known = usable.astype(np.float64)
    power = float(np.sum(own**2) / max(known.sum(), 1.0))
    if power <= 0:
        return 1.0
    found = 1.0
    for lag in range(1, LAGS + 1):
        pairs = float(np.sum(known[:, lag:] * known[:, :-lag]))
        shared = float(np.sum(own[:, lag:] * own[:, :-lag])) / max(pairs, 1.0) / power
        if shared < 2.0 / np.sqrt(max(pairs, 1.0)):
            break
        found += 2.0 * shared
    return float(np.clip(found, 1.0, MOST_SHARED))


def joint_errors(joint: Joint, star: Star, parts: Sequence[Part]) -> JointErrors:
    """Errors of a star's fit where it is; parts: of the model's error at its labels, see `Joint.parts`."""
    equations, known, place = star.equations, star.known, star.place
    assert equations is not None
    free = known.free
    noise = shared_noise(equations.residual, star.stack.usable)
    matrix = equations.normal.matrix[0] / noise + WEAKEST * np.eye(len(free))
    gradient = equations.normal.gradient[0] / noise + WEAKEST * (place.labels - 0.5)
    matrix[~free], matrix[:, ~free] = 0.0, 0.0
    matrix[~free, ~free], gradient = 1.0, gradient * free
    inverse = inverse_of(matrix[None])[0]
    rest = at_rest(star.stack.wavelength, place.velocity[:, None]).ravel()
    order = np.argsort(rest)
    shared = np.zeros_like(inverse)
    for one in parts:
        if one.length == 0.0:
            continue
        pulls = (_pulls(joint, star, equations, one.deviation) * free)[order]
        # What each pixel has alone is in the normal matrix. Pixels of all epochs lie beside each other here, so that
        # what is wrong at a wavelength is wrong in all of them.
        shared += one.factor**2 * correlated(rest[order][None], pulls[None], one.length)[0] - pulls.T @ pulls
    # In units of the noise that neighbours share too.
    shared /= noise**2
    covariance = covariance_of(matrix[None], shared[None])[0]
    peak = place.labels - inverse @ gradient
    coordinates = joint.coordinates
    labels = coordinates.labels(place.labels)
    (found,) = intervals_of(coordinates, peak[None], covariance[None], free[None], labels[None])
    common = np.einsum(
        "el,lk,ek->e", equations.coupled[:, 0], covariance * np.outer(free, free), equations.coupled[:, 0]
    )
    unit = joint.VELOCITY_UNIT
    used = star.stack.used
    return JointErrors(
        np.where(free, coordinates.beyond(peak), labels),
        found.lower,
        found.upper,
        found.covariance,
        np.where(used, velocity_errors(joint, star) * np.sqrt(noise), np.nan),
        float(np.sqrt(np.median(common[used]))) * unit,
        noise,
    )


def velocity_errors(joint: Joint, star: Star) -> NDArray[np.float64]:
    """Errors in km/s of a star's velocities at its labels, (epochs,), for independent noise."""
    assert star.equations is not None
    return np.asarray(np.sqrt(inverse_of(star.equations.own)[:, 0, 0]) * joint.VELOCITY_UNIT)


def _pulls(joint: Joint, star: Star, equations: Equations, error: NDArray[np.floating]) -> NDArray[np.float32]:
    """Effect of one standard deviation of a part of the model's error in each pixel on the labels' gradient.

    Its shape is (all pixels, labels); velocities and continua have taken their part.
    """
    own = equations.own.shape[1]
    slopes = equations.slopes[..., own:] - equations.slopes[..., :own] @ equations.coupled.astype(np.float32)
    size = (joint.own_error(star, error) * star.weight).astype(np.float32)
    return (slopes * size[..., None]).reshape(-1, slopes.shape[2])
