"""Fits of many spectra at once: spectra of like length side by side, each from several starts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.fitting.covariance import inverse_of
from stellar_emulator.fitting.forward import Forward, ParameterRows
from stellar_emulator.fitting.least_squares import TINY, Priors, Problem, State, advanced, begun, reweighted
from stellar_emulator.fitting.model_error import EMULATOR_ALONE, ModelError
from stellar_emulator.fitting.preparation import Beginning
from stellar_emulator.fitting.protocols import EmulatorLike
from stellar_emulator.fitting.rough import rough
from stellar_emulator.fitting.second_minimum import merged
from stellar_emulator.fitting.sifting import Noise, sifted
from stellar_emulator.fitting.solution import Solution, solutions
from stellar_emulator.fitting.warn import is_poor
from stellar_emulator.observed.velocity import APART

MOST_ROWS = 256
"""Spectra that are fitted side by side."""

FILLED = 0.7
"""Smallest length of a spectrum over that of the longest one beside it: shorter ones go to another batch."""

ROUNDS = ((2, 2.0), (2, 1.2), (8, 1.0))
"""Steps from all starts, and the factor by which a start may then be worse than the best of its spectrum and go on."""

FIRST_STEPS = 3
"""Steps after which a try from inside the box must be as good as others."""

FEW = 20.0
"""Chi-square by which a start may be worse in any case."""

ENOUGH_TO_CHOOSE, ENOUGH = 0.5, 0.05
"""Chi-square that a step on few pixels must promise, while the best of several starts is chosen and in the search that
follows: the model on few pixels is off by as much as the former, and the fit on all pixels goes on from the latter."""

NEAR = 1e-3
"""Damping of the first step of fits that are near their best place."""

UNLIKELY = 2.5
"""Standard deviations of chi-square beyond which a fit is poor: another start may lead to a better one."""

SAME = 4.0
"""Squared distance in standard deviations below which two fits are one."""

INSIDE = 0.2
"""Coordinate from which a label that ended on the upper face of the box is tried again; from the lower one, 1 less it.
"""

BESIDE = 0.03
"""Coordinate within which a label counts as on a face."""

PINNED = 1e4
"""Precision of a coordinate, other parameters free, from which a label has no second minimum inside the box."""

AMBIGUOUS = 20.0
"""Chi-square, as of independent pixels, by which a fit at another velocity may be worse and still be the right one."""

WEIGHTINGS = 2
"""Number of successive fits, since the emulator's own error depends on the fitted labels."""


@dataclass(frozen=True)
class Start:
    """A spectrum and where its fits begin.

    fixed: labels that are held, NaN for those to fit, (labels,); labels, velocities: of each start, (starts, labels)
    and (starts,); first: number of starts that are tried in any case, the others only where the fit is poor.
    """

    beginning: Beginning
    fixed: NDArray[np.float64]
    labels: NDArray[np.float64]
    velocities: NDArray[np.float64]
    first: int

    def after(self, labels: NDArray[np.float64]) -> "Start":
        """The same with one more start, (labels,), which comes first."""
        return replace(
            self,
            labels=np.concatenate([labels[None], self.labels]),
            velocities=np.concatenate([[self.beginning.velocity], self.velocities]),
        )

    def part(self, chosen: slice) -> "Start":
        """The same with some of the starts."""
        return replace(self, labels=self.labels[chosen], velocities=self.velocities[chosen])


def fit_batch(
    starts: Sequence[Start],
    emulator: EmulatorLike,
    priors: Mapping[str, tuple[float, float]],
    free_velocity: bool,
    model_error: ModelError = EMULATOR_ALONE,
    stretched: bool = False,
) -> list[Solution]:
    """Minimise each spectrum's chi-square from each of its starts, and keep the best.

    priors: by label's name; model_error: what counts beside the flux errors; stretched: whether the stretch of the
    wavelength scales is fitted.
    """
    found: dict[int, Solution] = {}
    for places in _alike(starts):
        part = [starts[place] for place in places]
        task = _Task(emulator, priors, free_velocity, model_error, stretched)
        found.update(zip(places, _fit_alike(part, task), strict=True))
    return [found[place] for place in range(len(starts))]


@dataclass(frozen=True)
class _Task:
    """What all spectra of a call have in common."""

    emulator: EmulatorLike
    priors: Mapping[str, tuple[float, float]]
    free_velocity: bool
    model_error: ModelError
    stretched: bool


def _alike(starts: Sequence[Start]) -> Iterator[list[int]]:
    """Numbers of spectra that go into one batch."""
    sizes = [one.beginning.basis.shape for one in starts]
    part: list[int] = []
    for place in sorted(range(len(starts)), key=lambda place: sizes[place][::-1]):
        if part:
            length, width = sizes[part[0]]
            fits = sizes[place][1] == width and length >= FILLED * sizes[place][0]
            if not fits or len(part) == MOST_ROWS:
                yield part
                part = []
        part.append(place)
    if part:
        yield part


def _fit_alike(starts: Sequence[Start], task: _Task) -> list[Solution]:
    first = [one.part(slice(0, one.first)) for one in starts]
    problem, noise, rows, vectors = _problem(first, task)
    problem = reweighted(problem, noise.error, problem.start)
    others = Others.none(len(starts))
    if len(rows) > len(starts):
        vectors, others = _best_of(rough(problem), rows, vectors)
    problem = replace(problem, start=vectors)
    noise = sifted(problem, noise, vectors)
    problem = reweighted(problem, noise.error, vectors)
    vectors, second = _searched(problem, vectors, starts)
    for _ in range(WEIGHTINGS - 1):
        noise = sifted(problem, noise, vectors)
        problem = reweighted(problem, noise.error, vectors)
        vectors = advanced(problem, begun(problem, vectors, NEAR)).vectors
    problem = reweighted(problem, noise.error, vectors)
    found = solutions(problem, vectors, noise.detector)
    found = second.heeded(found, problem, noise.detector)
    found = [others.told(row, one) for row, one in enumerate(found)]
    return [_own(*one) for one in zip(found, starts, noise.rejected, strict=True)]


@dataclass(frozen=True)
class Others:
    """Velocities in km/s of the best fits far from the best ones, (n,), and by how much their chi-square is larger."""

    velocity: NDArray[np.float64]
    excess: NDArray[np.float64]

    @classmethod
    def none(cls, count: int) -> "Others":
        return cls(np.full(count, np.nan), np.full(count, np.inf))

    def told(self, row: int, solution: Solution) -> Solution:
        """A solution that tells of the other velocity, where chi-square does not exclude it."""
        # Correlated pixels scatter chi-square as fewer independent ones would.
        room = AMBIGUOUS / max(solution.thinning, 1e-300)
        apart = abs(self.velocity[row] - solution.parameters.velocity) > APART / 2.0
        told = bool(apart and self.excess[row] < room)
        return replace(solution, other_velocity=float(self.velocity[row])) if told else solution


@dataclass(frozen=True)
class Second:
    """Other minima of some spectra that are hardly worse: their rows (n,), and vectors (n, parameters)."""

    rows: NDArray[np.int64]
    vectors: NDArray[np.float64]

    @classmethod
    def none(cls, parameters: int) -> "Second":
        return cls(np.empty(0, dtype=np.int64), np.empty((0, parameters)))

    def heeded(
        self, found: Sequence[Solution], problem: Problem, detector: NDArray[np.float64] | None
    ) -> list[Solution]:
        """The solutions of all rows, with intervals of both minima where there are two."""
        told = list(found)
        # Where nothing fits, chi-squares weigh no minima.
        weighed = np.array([not is_poor(found[row]) for row in self.rows.tolist()], dtype=bool)
        if weighed.any():
            rows = self.rows[weighed]
            part = problem.rows(rows)
            vectors = advanced(part, begun(part, self.vectors[weighed], NEAR)).vectors
            others = solutions(part, vectors, None if detector is None else detector[rows])
            for row, other in zip(rows.tolist(), others, strict=True):
                told[row] = merged(found[row], other, problem.forward.emulator.contract)
        return told


def _best_of(
    problem: Problem, rows: NDArray[np.int64], starts: NDArray[np.float64]
) -> tuple[NDArray[np.float64], Others]:
    """Vectors of the best fits of each spectrum, (n, parameters), from the starts of all ``rows`` of the problem.

    After a few steps only those starts go on that may still become the best.
    """
    tried = replace(problem.rows(rows), start=starts)
    state = begun(tried, starts)
    others = Others.none(len(problem.flux))
    for steps, room in ROUNDS:
        state = advanced(tried, state, steps, ENOUGH_TO_CHOOSE)
        others = _others(problem, rows, state)
        kept = np.flatnonzero(_promising(rows, state, room))
        rows, tried, state = rows[kept], tried.rows(kept), state.rows(kept)
    return state.vectors, others


def _others(problem: Problem, rows: NDArray[np.int64], state: State) -> Others:
    """The best fits whose velocity is far from that of the best fit of the same spectrum."""
    chi_square, place = state.normal.chi_square, problem.forward.label_count
    velocity = state.vectors[:, place] * problem.forward.VELOCITY_UNIT
    found = Others.none(len(problem.flux))
    for row in range(len(found.excess)):
        own = np.flatnonzero(rows == row)
        best = own[chi_square[own].argmin()]
        far = own[np.abs(velocity[own] - velocity[best]) > APART / 2.0]
        if len(far):
            other = far[chi_square[far].argmin()]
            found.velocity[row], found.excess[row] = velocity[other], chi_square[other] - chi_square[best]
    return found


def _searched(
    problem: Problem, vectors: NDArray[np.float64], starts: Sequence[Start]
) -> tuple[NDArray[np.float64], Second]:
    """Vectors of the best fits, (n, parameters), of the search on few pixels, and second ones."""
    few = rough(problem)
    state = advanced(few, begun(few, vectors, NEAR), settled=ENOUGH)
    return _tried_inside(few, _rescued(few, state, starts, _poor(problem, state.vectors)))


def _poor(problem: Problem, vectors: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which spectra chi-square says are not fitted, (n,)."""
    chi_square = np.sum(((problem.flux - problem.forward.flux(vectors)) * problem.weight) ** 2, axis=1)
    freedom = (problem.weight > 0).sum(axis=1) - problem.free.sum(axis=1)
    return np.asarray(chi_square > freedom + UNLIKELY * np.sqrt(2.0 * np.maximum(freedom, 1)))


def _rescued(problem: Problem, state: State, starts: Sequence[Start], poor: NDArray[np.bool_]) -> State:
    """The fits; those that are poor are tried from their other starts too."""
    rows = np.flatnonzero(poor & np.array([len(one.labels) > one.first for one in starts]))
    if not len(rows):
        return state
    others = [starts[row].part(slice(starts[row].first, None)) for row in rows.tolist()]
    part = problem.rows(rows)
    numbers = np.repeat(np.arange(len(rows)), [len(one.labels) for one in others])
    free, forward = part.free[numbers], part.forward
    labels, velocities = np.concatenate([one.labels for one in others]), [one.velocities for one in others]
    vectors = state.vectors[rows][numbers]
    stayed = forward.unpack(vectors)
    told = ParameterRows(labels, np.concatenate(velocities), stayed.continuum, stayed.stretch)
    again, _ = _best_of(part, numbers, np.where(free, forward.pack(told), vectors))
    again_state = advanced(replace(part, start=again), begun(part, again, NEAR), settled=ENOUGH)
    return _better(state, rows, again_state)


def _better(state: State, rows: NDArray[np.int64], other: State) -> State:
    """The fits, some rows of them replaced where another try is better."""
    better = np.flatnonzero(other.normal.chi_square < state.normal.chi_square[rows])
    vectors, normal = state.vectors.copy(), state.normal.rows(np.arange(len(state.vectors)))
    vectors[rows[better]] = other.vectors[better]
    normal.put(rows[better], other.normal.rows(better))
    return State(vectors, normal, state.damping, state.moving)


def _tried_inside(problem: Problem, state: State) -> tuple[NDArray[np.float64], Second]:
    """Vectors of the best fits, (n, parameters): those that ended on a face of the box, or beside it, try once more;
    and what was nearly as good.

    A label that tells little, such as microturbulence, may have a second minimum beyond its middle.
    """
    labels = slice(0, problem.forward.label_count)
    own = state.vectors[:, labels]
    on_face = problem.free[:, labels] & ((own <= BESIDE) | (own >= 1.0 - BESIDE))
    told = _precisions(problem, state)[:, labels]
    rows = np.flatnonzero((on_face & (told < PINNED)).any(axis=1))
    if not len(rows):
        return state.vectors, Second.none(state.vectors.shape[1])
    # Of several on a face, the one that the spectrum tells least of.
    weakest = np.where(on_face[rows], told[rows], np.inf).argmin(axis=1)
    inside = state.vectors[rows]
    inside[np.arange(len(rows)), weakest] = np.where(own[rows, weakest] <= BESIDE, 1.0 - INSIDE, INSIDE)
    part = problem.rows(rows)
    again = advanced(part, begun(part, inside), FIRST_STEPS, ENOUGH)
    kept = np.flatnonzero(again.normal.chi_square < state.normal.chi_square[rows] + FEW)
    again = advanced(part.rows(kept), again.rows(kept), settled=ENOUGH)
    return _better(state, rows[kept], again).vectors, _second(state, rows[kept], again)


def _precisions(problem: Problem, state: State) -> NDArray[np.float64]:
    """Inverse variance of each free parameter, the others free too, (n, parameters)."""
    pairs = problem.free[:, :, None] & problem.free[:, None, :]
    matrix, numbers = np.where(pairs, state.normal.matrix, 0.0), np.arange(state.vectors.shape[1])
    matrix[:, numbers, numbers] += np.where(problem.free, TINY, 1.0)
    return np.asarray(1.0 / np.maximum(np.einsum("ijj->ij", inverse_of(matrix)), TINY))


def _second(state: State, rows: NDArray[np.int64], other: State) -> Second:
    """The worse of two fits of some rows, where they are apart and it is hardly worse."""
    first, difference = state.rows(rows), other.normal.chi_square - state.normal.chi_square[rows]
    kept = (np.abs(difference) < FEW) & (_distance(other.vectors, first.vectors, first.normal.matrix) > SAME)
    worse = np.where((difference > 0)[:, None], other.vectors, first.vectors)
    return Second(rows[kept], worse[kept])


def _distance(
    vectors: NDArray[np.float64], others: NDArray[np.float64], matrix: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Squared distance of vectors (n, parameters) from others in standard deviations of these, (n,)."""
    apart = vectors - others
    return np.asarray(np.einsum("ij,ijk,ik->i", apart, matrix, apart))


def _promising(rows: NDArray[np.int64], state: State, room: float) -> NDArray[np.bool_]:
    """Which fits of the same spectrum go on: the best, and those that are no worse by a factor and not in its place."""
    chi_square = state.normal.chi_square
    order = np.lexsort((chi_square, rows))
    first = order[np.searchsorted(rows[order], rows)]
    distance = _distance(state.vectors, state.vectors[first], state.normal.matrix[first])
    near = chi_square <= room * chi_square[first] + FEW * (room > 1.0)
    return np.asarray((first == np.arange(len(rows))) | (near & (distance > SAME)))


def _own(solution: Solution, start: Start, rejected: NDArray[np.bool_]) -> Solution:
    """A solution without the filling, its fixed labels without the rounding of their coordinates."""
    length = len(start.beginning.spectrum.flux)
    free = np.isnan(start.fixed)
    best = replace(solution.parameters, labels=np.where(free, solution.parameters.labels, start.fixed))
    lower, upper = (np.where(free, end, start.fixed) for end in (solution.lower, solution.upper))
    own = replace(solution, model=solution.model[:length], rejected=rejected[:length])
    return replace(own, parameters=best, lower=lower, upper=upper)


def _problem(starts: Sequence[Start], task: _Task) -> tuple[Problem, Noise, NDArray[np.int64], NDArray[np.float64]]:
    """The spectra side by side, their noise, and for all starts: number of the spectrum, and vector.

    Shorter spectra are filled up with masked pixels.
    """
    begun = [one.beginning for one in starts]
    longest, width = max(len(one.spectrum.flux) for one in begun), begun[0].basis.shape[1]
    wavelength, flux = np.empty((len(begun), longest)), np.zeros((len(begun), longest))
    error, basis = np.full((len(begun), longest), np.inf), np.zeros((len(begun), longest, width))
    for row, one in enumerate(begun):
        length = len(one.spectrum.flux)
        wavelength[row, :length], wavelength[row, length:] = one.spectrum.wavelength, one.spectrum.wavelength[-1]
        flux[row, :length], error[row, :length] = one.spectrum.flux, one.spectrum.error
        basis[row, :length] = one.basis
    fixed = np.stack([one.fixed for one in starts])
    free_labels = np.isnan(fixed)
    forward = Forward(task.emulator, wavelength, basis, bool(free_labels.any()), task.model_error, task.stretched)
    rows = np.repeat(np.arange(len(starts)), [len(one.labels) for one in starts])
    labels = np.concatenate([one.labels for one in starts])
    labels = np.where(free_labels[rows], labels, fixed[rows])
    velocities = np.concatenate([one.velocities for one in starts])
    continuum = np.stack([one.continuum for one in begun]) if width else np.empty((len(begun), 0))
    vectors = forward.pack(ParameterRows(labels, velocities, continuum[rows]))
    free = np.ones((len(starts), forward.parameters), dtype=bool)
    free[:, : forward.label_count], free[:, forward.label_count] = free_labels, task.free_velocity
    names = task.emulator.contract.label_names
    given = np.array([task.priors.get(name, (0.0, np.inf)) for name in names]).T
    told = Priors(*(np.tile(one, (len(starts), 1)) for one in given))
    first = vectors[np.searchsorted(rows, np.arange(len(starts)))]
    stated = np.array([np.nan if one.spectrum.detector is None else one.spectrum.detector for one in begun])
    noise = Noise(error, stated, np.array([one.spectrum.guessed for one in begun]), np.zeros(flux.shape, dtype=bool))
    return Problem(forward, flux, np.ones_like(flux), free, told, first), noise, rows, vectors
