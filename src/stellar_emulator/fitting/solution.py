"""Errors of a fit: the covariance at its best parameters and the labels' 68 % intervals inside the box."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.fitting.covariance import covariance_of, inverse_of
from stellar_emulator.fitting.forward import ParameterRows, Parameters
from stellar_emulator.fitting.intervals import Intervals, intervals_of
from stellar_emulator.fitting.least_squares import Problem, blocks
from stellar_emulator.fitting.model_error import Part
from stellar_emulator.fitting.noise import REACH, correlation, shared, width_of

WEAKEST = 1.0
"""Precision of a prior on each coordinate about the box's middle: it is nearly flat, as wide as two boxes, and keeps a
coordinate finite that the spectrum does not constrain."""

CELLS = 5.0
"""Pieces of a spectrum that count as fully correlated, in the length over which the model's error is correlated."""

TOP = 0.95
"""Quantile of the fitted flux that stands for the continuum."""

FACE = 1e-6
"""Distance in coordinates from a face of the box within which a label lies on it."""


@dataclass(frozen=True)
class Solution:
    """A least-squares fit of one spectrum.

    parameters: the best ones; lower, upper: ends of the labels' 68 % intervals, (labels,); covariance: of the labels
    inside the box, (labels, labels), 0 for fixed ones; velocity_error: in km/s, 0 if fixed; chi_square, with its
    degrees of freedom, and the number of independent pixels that would scatter it as much; model: predicted flux,
    (pixels,); raw: labels where chi-square would be least without the box, (labels,); stretch, stretch_error: of the
    wavelength scale, in km/s per 100 Angstrom: the fitted one, or what one step towards it would make it; detector:
    width in Angstrom of the pixels that share noise; rejected: pixels that count for nothing since they are spikes,
    (pixels,); other_velocity: in km/s, of another minimum that is hardly worse, NaN if there is none; pull: what priors
    add to chi-square.
    """

    parameters: Parameters
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    covariance: NDArray[np.float64]
    velocity_error: float
    chi_square: float
    degrees_of_freedom: int
    model: NDArray[np.float64]
    raw: NDArray[np.float64]
    independent: float
    stretch: float
    stretch_error: float
    detector: float
    rejected: NDArray[np.bool_]
    other_velocity: float = float("nan")
    pull: float = 0.0

    @property
    def reduced(self) -> float:
        """Chi-square over its degrees of freedom."""
        return self.chi_square / max(self.degrees_of_freedom, 1)

    @property
    def thinning(self) -> float:
        """Independent pixels over those that count: by so much a difference of chi-square tells less."""
        return min(1.0, self.independent / max(self.degrees_of_freedom, 1))

    @cached_property
    def level(self) -> float:
        """The continuum's level, as the fitted flux shows it."""
        return float(np.quantile(np.abs(self.model), TOP))

    @property
    def error(self) -> NDArray[np.float64]:
        """Half the length of each label's interval, (labels,)."""
        return np.asarray((self.upper - self.lower) / 2.0)


def solutions(
    problem: Problem, vectors: NDArray[np.float64], detector: NDArray[np.float64] | None = None
) -> list[Solution]:
    """Fits whose best parameters are ``vectors`` (n, parameters), with the errors that the problem's weights give.

    detector: width in Angstrom of the pixels from which flux was interpolated, (n,), 0 for independent pixels; where it
    is NaN it is told from the residuals.
    """
    known = np.full(len(vectors), np.nan) if detector is None else detector
    return [
        one
        for part in blocks(len(vectors))
        for one in _solutions(problem.rows(part), np.asarray(vectors[part]), known[part])
    ]


def _solutions(problem: Problem, vectors: NDArray[np.float64], detector: NDArray[np.float64]) -> list[Solution]:
    forward, weight = problem.forward, problem.weight
    design = forward(vectors, weight)
    residual = design.flux - problem.flux * weight
    slopes = design.slopes * problem.free[:, None, :]
    if not forward.stretched:
        # What one step would make of it tells whether the scale is stretched.
        slopes = np.concatenate([slopes, (design.slopes[..., forward.label_count] * forward.lever)[..., None]], axis=2)
    free = np.ones((len(vectors), slopes.shape[2]), dtype=bool)
    free[:, : problem.free.shape[1]] = problem.free
    matrix, gradient = _normal(problem, vectors, slopes, residual, free)
    if np.isnan(detector).any():
        detector = np.where(np.isnan(detector), _told(forward.wavelength, residual, weight), detector)
    parts = forward.parts(vectors)
    added = _shared(problem, vectors, slopes, detector, parts)
    own = slice(0, vectors.shape[1])
    inverse = covariance_of(matrix[:, own, own], added[:, own, own])
    labels = np.arange(forward.label_count)
    # One Newton step without bounds leads to the peak of the likelihood, even if it is outside the box.
    peaks = (vectors - (inverse_of(matrix[:, own, own]) @ gradient[:, own, None])[..., 0])[:, labels]
    parameters = forward.unpack(vectors)
    raw = np.where(problem.free[:, labels], forward.coordinates.beyond(peaks), parameters.labels)
    wide = inverse[:, : len(labels), : len(labels)]
    found = intervals_of(forward.coordinates, peaks, wide, problem.free[:, labels], parameters.labels)
    spread = np.sqrt(inverse[:, len(labels), len(labels)]) * forward.VELOCITY_UNIT
    moving = problem.free[:, len(labels)]
    stretch = _stretch(problem, vectors, matrix, gradient, added)
    chi_square = np.sum(residual.astype(np.float64) ** 2, axis=1)
    known = (weight > 0).sum(axis=1) - problem.free.sum(axis=1)
    model = forward.flux(vectors)
    independent = _independent(forward.wavelength, weight, parts, detector)
    pulls = np.sum(np.where(problem.free[:, labels], problem.priors.off(parameters.labels), 0.0) ** 2, axis=1)
    return [
        Solution(
            parameters.row(i),
            *_ends(problem, found[i], vectors[i, labels], np.sqrt(np.diag(wide[i])), problem.free[i, labels]),
            float(spread[i]) if moving[i] else 0.0,
            float(chi_square[i]),
            int(known[i]),
            model[i],
            raw[i],
            float(independent[i]),
            float(stretch[0][i]),
            float(stretch[1][i]),
            float(detector[i]),
            np.zeros(model.shape[1], dtype=bool),
            pull=float(pulls[i]),
        )
        for i in range(len(vectors))
    ]


def _normal(
    problem: Problem,
    vectors: NDArray[np.float64],
    slopes: NDArray[np.float32],
    residual: NDArray[np.float64],
    free: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The normal matrix (n, parameters, parameters), regular, and half of chi-square's gradient (n, parameters)."""
    matrix = (slopes.transpose(0, 2, 1) @ slopes).astype(np.float64)
    gradient = (slopes.transpose(0, 2, 1) @ residual[..., None].astype(np.float32))[..., 0].astype(np.float64)
    labels = np.arange(problem.forward.label_count)
    pull, precision = _prior(problem, problem.forward.unpack(vectors))
    gradient[:, labels] += pull + WEAKEST * (vectors[:, labels] - 0.5)
    matrix[:, labels, labels] += precision + WEAKEST
    numbers = np.arange(matrix.shape[1])
    matrix[:, numbers, numbers] += ~free
    return matrix, gradient * free


def _shared(
    problem: Problem,
    vectors: NDArray[np.float64],
    slopes: NDArray[np.float32],
    detector: NDArray[np.float64],
    parts: Sequence[Part],
) -> NDArray[np.float64]:
    """What errors that pixels share, noise and the model's, add to the gradients' covariance.

    The part that each pixel has alone is already in the normal matrix.
    """
    forward, weight = problem.forward, problem.weight
    share = sum(((one.deviation * weight) ** 2 for one in parts), np.zeros(weight.shape))
    noise = np.sqrt(np.maximum(np.where(weight > 0, 1.0 - share, 0.0), 0.0)).astype(np.float32)
    added = shared(slopes * noise[..., None], forward.wavelength, detector)
    rest = forward.rest(vectors)
    labels = slice(0, forward.label_count)
    for one in parts:
        if one.length == 0.0:
            continue
        pulls = slopes * (one.deviation * weight).astype(np.float32)[..., None]
        whole = correlated(rest, pulls, one.length)
        added = added + whole - pulls.transpose(0, 2, 1) @ pulls
        added[:, labels, labels] += (one.factor**2 - 1.0) * whole[:, labels, labels]
    return added


def _told(
    wavelength: NDArray[np.float64], residual: NDArray[np.floating], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Width in Angstrom of the detector's pixels that residuals tell, (n,)."""
    known = np.where(weight > 0, residual, np.nan)
    steps = [float(np.median(np.diff(one)[np.diff(one) > 0])) for one in wavelength]
    return np.array([width_of(one) * step for one, step in zip(known, steps, strict=True)])


def _stretch(
    problem: Problem,
    vectors: NDArray[np.float64],
    matrix: NDArray[np.float64],
    gradient: NDArray[np.float64],
    added: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The stretch and its error in km/s per 100 Angstrom, (n,) each: as fitted, or after one Newton step."""
    unit = problem.forward.VELOCITY_UNIT
    error = np.sqrt(covariance_of(matrix, added)[:, -1, -1]) * unit
    if problem.forward.stretched:
        return np.asarray(vectors[:, -1] * unit), np.where(problem.free[:, -1], error, 0.0)
    step = (inverse_of(matrix) @ gradient[..., None])[:, -1, 0]
    return np.asarray(-step * unit, dtype=np.float64), error


def _independent(
    wavelength: NDArray[np.float64], weight: NDArray[np.float64], parts: list[Part], detector: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Number of independent pixels whose chi-square would scatter as that of correlated ones does, (n,)."""
    found = np.empty(len(weight))
    for row, (own, places) in enumerate(zip(weight, wavelength, strict=True)):
        used = own > 0
        count = int(used.sum())
        steps = np.diff(places[used])
        step = float(np.median(steps[steps > 0])) if (steps > 0).any() else 1.0
        shares = [float(np.mean((one.deviation[row] * own)[used] ** 2)) for one in parts]
        width = detector[row] if detector[row] > 0 else step / REACH
        # Beyond a detector's pixel nothing is shared but what has a length of its own.
        most = (
            max(count, 2)
            if any(one.length > 0.0 for one in parts)
            else min(max(count, 2), int(REACH * width / step) + 2)
        )
        apart = np.arange(1, most) * step
        both = max(0.0, 1.0 - sum(shares)) * correlation(apart / width)
        for one, share in zip(parts, shares, strict=True):
            if one.length > 0.0:
                both = both + share * np.exp(-0.5 * (apart / one.length) ** 2)
        found[row] = count / (1.0 + 2.0 * float(np.sum(both**2 * (1.0 - np.arange(1, len(both) + 1) / count))))
    return found


def _ends(
    problem: Problem,
    found: Intervals,
    place: NDArray[np.float64],
    spread: NDArray[np.float64],
    free: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Ends of the intervals, and the covariance; a label on a face of the box is as uncertain as one beside it.

    place, spread: coordinates of the labels and their errors without the box, (labels,). The box cuts off all but a
    sliver of a peak that lies far outside, and the length of that sliver says nothing of the star.
    """
    coordinates = problem.forward.coordinates
    low, high = free & (place <= FACE), free & (place >= 1.0 - FACE)
    above, below = (coordinates.labels(np.clip(inside, 0.0, 1.0)) for inside in (spread, 1.0 - spread))
    upper: NDArray[np.float64] = np.where(low, np.maximum(found.upper, above), found.upper)
    lower: NDArray[np.float64] = np.where(high, np.minimum(found.lower, below), found.lower)
    diagonal = np.diag(found.covariance)
    wanted = np.where(low | high, ((upper - lower) / 2.0) ** 2, 0.0)
    wider = np.sqrt(np.divide(wanted, diagonal, out=np.ones_like(wanted), where=diagonal > 0))
    wider = np.maximum(wider, 1.0)
    return lower, upper, np.asarray(found.covariance * wider * wider[:, None])


def _prior(problem: Problem, parameters: ParameterRows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the priors add to gradient and diagonal, (n, labels) each, in the labels' coordinates."""
    coordinates = problem.forward.coordinates
    slope = coordinates.slopes(coordinates.inside(parameters.labels)) / problem.priors.error
    return problem.priors.off(parameters.labels) * slope, slope**2


def correlated(rest: NDArray[np.float64], pulls: NDArray[np.float32], length: float) -> NDArray[np.float64]:
    """The gradients' covariance by a part of the model's error, (n, parameters, parameters).

    ``pulls`` (n, pixels, parameters): effect of one standard deviation of that error in each pixel; ``rest``: pixels'
    wavelengths at rest, (n, pixels); ``length``: standard deviation of the correlation's Gaussian.
    """
    width = length / CELLS
    cell = ((rest - rest.min()) / width).astype(np.int64)
    sums = np.zeros((len(pulls), int(cell.max()) + 1, pulls.shape[2]), dtype=np.float32)
    for one, places, own in zip(sums, cell, pulls, strict=True):
        # Wavelengths ascend, and so do the cells.
        first = np.flatnonzero(np.diff(places, prepend=-1))
        one[places[first]] = np.add.reduceat(own, first, axis=0)
    apart = np.arange(sums.shape[1]) * width
    kernel = np.exp(-0.5 * ((apart[:, None] - apart) / length) ** 2).astype(np.float32)
    added = (sums.transpose(0, 2, 1) @ (kernel @ sums)).astype(np.float64)
    return np.asarray((added + added.transpose(0, 2, 1)) / 2.0)
