"""Weighted least squares through the emulator's Jacobian, bounded to the label box."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import least_squares

from stellar_emulator.fitting.forward import Forward, Parameters
from stellar_emulator.fitting.interval import draws, interval_round

WEIGHTINGS = 2
"""Number of successive fits, since the emulator's own error depends on the fitted labels."""

WEAKEST = 1.0
"""Precision of a prior on each coordinate about the box's middle: it is nearly flat, as wide as two boxes, and keeps a
coordinate finite that the spectrum does not constrain."""

CORRELATION_LENGTH = 4.0
"""Standard deviation in Angstrom of the Gaussian by which the correlation of the emulator's error falls off. It was
measured on test spectra after a cubic continuum was divided out: the errors of about 100 pixels of 0.1 A are
correlated, so they move labels by far more than noise of the same size."""

VELOCITY_ROOM = 50.0
"""Range of velocities in km/s about the start, so that no pixel leaves or enters the model's axis during a fit."""


@dataclass(frozen=True)
class Solution:
    """A least-squares fit of one spectrum.

    parameters: the best ones; lower, upper: ends of the labels' 68 % intervals, (labels,); covariance: of the labels
    inside the box, (labels, labels), 0 for fixed ones; velocity_error: in km/s, 0 if fixed; chi_square, with its
    degrees of freedom; model: predicted flux, (pixels,).
    """

    parameters: Parameters
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    covariance: NDArray[np.float64]
    velocity_error: float
    chi_square: float
    degrees_of_freedom: int
    model: NDArray[np.float64]

    @property
    def error(self) -> NDArray[np.float64]:
        """Half the length of each label's interval, (labels,)."""
        return np.asarray((self.upper - self.lower) / 2.0)


def fit_spectrum(
    forward: Forward, flux: NDArray[np.float64], error: NDArray[np.float64], starts: Sequence[Parameters]
) -> Solution:
    """Minimise chi-square from each start and keep the best; flux, error: (pixels,), infinite error if masked."""
    best, best_cost = starts[0], np.inf
    for start in starts:
        found, cost = _minimised(forward, flux, error, start)
        if cost < best_cost:
            best, best_cost = found, cost
    for _ in range(WEIGHTINGS - 1):
        best, _ = _minimised(forward, flux, error, best)
    return _solution(forward, flux, error, best)


def _minimised(
    forward: Forward, flux: NDArray[np.float64], error: NDArray[np.float64], start: Parameters
) -> tuple[Parameters, float]:
    """Best parameters near a start and half of chi-square, weighted with the emulator's error at the start."""
    weight = 1.0 / np.hypot(error, forward(start).error)
    at: dict[bytes, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}

    def evaluate(vector: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        key = vector.tobytes()
        if key not in at:
            predicted = forward(forward.unpack(vector, start))
            at.clear()
            at[key] = (predicted.flux - flux) * weight, (predicted.slopes * weight).T
        return at[key]

    vector = forward.pack(start)
    if not len(vector):
        return start, float(0.5 * np.sum(evaluate(vector)[0] ** 2))
    lower, upper = np.full(len(vector), -np.inf), np.full(len(vector), np.inf)
    labels = forward.label_count
    lower[:labels], upper[:labels] = 0.0, 1.0
    if forward.free_velocity:
        room = VELOCITY_ROOM / forward.VELOCITY_UNIT
        lower[labels], upper[labels] = vector[labels] - room, vector[labels] + room
    # The method starts strictly inside its bounds.
    vector[:labels] = np.clip(vector[:labels], 1e-6, 1.0 - 1e-6)

    def residuals(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return evaluate(x)[0]

    def jacobian(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return evaluate(x)[1]

    found = least_squares(
        residuals,
        vector,
        jacobian,
        bounds=(lower, upper),
        xtol=1e-7,
        ftol=1e-7,
        max_nfev=60,
    )
    return forward.unpack(found.x, start), float(found.cost)


def _solution(forward: Forward, flux: NDArray[np.float64], error: NDArray[np.float64], best: Parameters) -> Solution:
    predicted = forward(best)
    weight = 1.0 / np.hypot(error, predicted.error)
    residual, slopes = (predicted.flux - flux) * weight, predicted.slopes * weight
    count, labels = forward.label_count, len(best.labels)
    squares = slopes @ slopes.T
    squares[np.arange(count), np.arange(count)] += WEAKEST
    inverse = np.linalg.inv(squares)
    inverse += inverse @ _correlated(forward.wavelength, slopes * (weight * predicted.error)) @ inverse
    # One Newton step without bounds leads to the peak of the likelihood, even if it is outside the box.
    gradient = slopes @ residual
    gradient[:count] += WEAKEST * (forward.pack(best)[:count] - 0.5)
    peak = forward.pack(best)[:count] - np.linalg.solve(squares, gradient)[:count]
    lower, upper = best.labels.copy(), best.labels.copy()
    covariance = np.zeros((labels, labels))
    if count:
        free = np.flatnonzero(forward.free)
        known = np.asarray(inverse[:count, :count], dtype=np.float64)
        drawn = draws(forward.coordinates.part(forward.free), peak, known)
        for i, column in enumerate(free):
            lower[column], upper[column] = interval_round(best.labels[column], drawn[:, i])
        covariance[np.ix_(free, free)] = np.cov(drawn.T)
    velocity_error = np.sqrt(inverse[count, count]) * forward.VELOCITY_UNIT if forward.free_velocity else 0.0
    usable = int((weight > 0).sum())
    return Solution(
        best,
        lower,
        upper,
        covariance,
        float(velocity_error),
        float(np.sum(residual**2)),
        usable - len(slopes),
        predicted.flux,
    )


def _correlated(wavelength: NDArray[np.float64], pulls: NDArray[np.float64]) -> NDArray[np.float64]:
    """Addition to the gradient's covariance due to the correlation of the emulator's error, (parameters, parameters).

    ``pulls`` (parameters, pixels): effect of one standard deviation of that error in each pixel. The uncorrelated part
    is already in chi-square.
    """
    length = CORRELATION_LENGTH / float(np.median(np.diff(wavelength)))
    # The filter's weights sum to 1; as correlations they must be 1 at distance 0.
    smooth = gaussian_filter1d(pulls, length, axis=1, mode="constant") * np.sqrt(2.0 * np.pi) * length
    added = pulls @ (smooth - pulls).T
    return np.asarray((added + added.T) / 2.0)
