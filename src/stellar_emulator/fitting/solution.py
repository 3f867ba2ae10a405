"""Errors of a fit: the covariance at its best parameters and the labels' 68 % intervals inside the box."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.fitting.forward import ParameterRows, Parameters
from stellar_emulator.fitting.intervals import Intervals, intervals_of
from stellar_emulator.fitting.least_squares import Problem, blocks
from stellar_emulator.observed.velocity import at_rest

WEAKEST = 1.0
"""Precision of a prior on each coordinate about the box's middle: it is nearly flat, as wide as two boxes, and keeps a
coordinate finite that the spectrum does not constrain."""

CORRELATION_LENGTH = 4.0
"""Standard deviation in Angstrom of the Gaussian by which the correlation of the emulator's error falls off. It was
measured on test spectra after a cubic continuum was divided out: the errors of about 100 pixels of 0.1 A are
correlated, so they move labels by far more than noise of the same size."""

CELL = CORRELATION_LENGTH / 5.0
"""Width in Angstrom of the pieces of a spectrum whose errors are taken as fully correlated."""


@dataclass(frozen=True)
class Solution:
    """A least-squares fit of one spectrum.

    parameters: the best ones; raw: labels where chi-square would be least without the box, (labels,); lower, upper:
    ends of the labels' 68 % intervals, (labels,); covariance: of the labels inside the box, (labels, labels), 0 for
    fixed ones; velocity_error: in km/s, 0 if fixed; chi_square, with its degrees of freedom; model: predicted flux,
    (pixels,).
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

    @property
    def error(self) -> NDArray[np.float64]:
        """Half the length of each label's interval, (labels,)."""
        return np.asarray((self.upper - self.lower) / 2.0)


def solutions(problem: Problem, vectors: NDArray[np.float64]) -> list[Solution]:
    """Fits whose best parameters are ``vectors`` (n, parameters), with the errors that the problem's weights give."""
    return [one for part in blocks(len(vectors)) for one in _solutions(problem.rows(part), np.asarray(vectors[part]))]


def _solutions(problem: Problem, vectors: NDArray[np.float64]) -> list[Solution]:
    forward, weight = problem.forward, problem.weight
    design = forward(vectors, weight)
    residual = design.flux - problem.flux * weight
    slopes = design.slopes * problem.free[:, None, :]
    matrix = (slopes.transpose(0, 2, 1) @ slopes).astype(np.float64)
    gradient = np.einsum("ijk,ij->ik", slopes, residual)
    parameters = forward.unpack(vectors)
    labels = np.arange(forward.label_count)
    pull, precision = _prior(problem, parameters)
    gradient[:, labels] += pull + WEAKEST * (vectors[:, labels] - 0.5)
    matrix[:, labels, labels] += precision + WEAKEST
    numbers = np.arange(matrix.shape[1])
    matrix[:, numbers, numbers] += ~problem.free
    gradient *= problem.free
    own = (forward.error(vectors) * weight).astype(np.float32)
    inverse = np.asarray(np.linalg.inv(matrix), dtype=np.float64)
    shared = correlated(forward.wavelength, parameters.velocity, slopes * own[..., None])
    inverse = inverse + inverse @ shared @ inverse
    # One Newton step without bounds leads to the peak of the likelihood, even if it is outside the box.
    peaks = (vectors - np.linalg.solve(matrix, gradient[..., None])[..., 0])[:, labels]
    free = problem.free[:, labels]
    raw = np.where(free, forward.coordinates.beyond(peaks), parameters.labels)
    found = intervals_of(forward.coordinates, peaks, inverse[:, : len(labels), : len(labels)], free, parameters.labels)
    spread = np.sqrt(inverse[:, len(labels), len(labels)]) * forward.VELOCITY_UNIT
    moving = problem.free[:, len(labels)]
    chi_square = np.sum(residual.astype(np.float64) ** 2, axis=1)
    known = (weight > 0).sum(axis=1) - problem.free.sum(axis=1)
    model = forward.flux(vectors)
    return [
        Solution(
            parameters.row(i),
            *_ends(found[i]),
            float(spread[i]) if moving[i] else 0.0,
            float(chi_square[i]),
            int(known[i]),
            model[i],
            raw[i],
        )
        for i in range(len(vectors))
    ]


def _ends(found: Intervals) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    return found.lower, found.upper, found.covariance


def _prior(problem: Problem, parameters: ParameterRows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the priors add to gradient and diagonal, (n, labels) each, in the labels' coordinates."""
    coordinates = problem.forward.coordinates
    slope = coordinates.slopes(coordinates.inside(parameters.labels)) / problem.priors.error
    return (parameters.labels - problem.priors.value) / problem.priors.error * slope, slope**2


def correlated(
    wavelength: NDArray[np.float64], velocity: NDArray[np.float64], pulls: NDArray[np.float32]
) -> NDArray[np.float64]:
    """What the correlation of the emulator's error adds to the gradients' covariance, (n, parameters, parameters).

    ``pulls`` (n, pixels, parameters): effect of one standard deviation of that error in each pixel. The uncorrelated
    part is already in chi-square.
    """
    rest = at_rest(wavelength, velocity[:, None])
    cell = ((rest - rest.min()) / CELL).astype(np.int64)
    sums = np.zeros((len(pulls), int(cell.max()) + 1, pulls.shape[2]))
    for one, places, own in zip(sums, cell, pulls, strict=True):
        # Wavelengths ascend, and so do the cells.
        first = np.flatnonzero(np.diff(places, prepend=-1))
        one[places[first]] = np.add.reduceat(own, first, axis=0)
    apart = np.arange(sums.shape[1]) * CELL
    kernel = np.exp(-0.5 * ((apart[:, None] - apart) / CORRELATION_LENGTH) ** 2)
    added = sums.transpose(0, 2, 1) @ (kernel @ sums) - pulls.transpose(0, 2, 1) @ pulls
    return np.asarray((added + added.transpose(0, 2, 1)) / 2.0, dtype=np.float64)
