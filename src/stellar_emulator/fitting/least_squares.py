"""Weighted least squares through the emulator's Jacobian for many spectra at once, bounded to the label box.

Levenberg-Marquardt (Levenberg 1944; Marquardt 1963): each spectrum has a damping of its own and leaves the batch when
no step would lower its chi-square any more. Steps that leave the box end at its faces, and the other parameters are
solved for again.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.fitting.forward import Forward

DAMPING, LEAST_DAMPING, MOST_DAMPING = 0.1, 1e-9, 1e7
"""Damping of the first step, as a share of the normal matrix's diagonal, and its bounds. A start lies far from the best
place: a step that is hardly damped leaps across the box, past the nearest minimum, to some face."""

EASED, RAISED = 0.1, 8.0
"""Factors of the damping after a step that was accepted, and after one that wasn't."""

SETTLED = 2e-3
"""Chi-square that a step must promise; less is far below the noise of any label."""

ROUNDING = 0.05
"""A step that promised less than this and did not lower chi-square failed by rounding: there is nothing to gain."""

MOST_STEPS = 60

VELOCITY_ROOM = 50.0
"""Range of velocities in km/s about the start, so that no pixel leaves or enters the model's axis during a fit."""

ROWS = 32
"""Spectra whose slopes are made at once: the arrays on the way stay in the core's cache."""


@dataclass(frozen=True)
class Priors:
    """Normal priors on labels, (n, labels) each: value in the label's unit, and its error, infinite for none."""

    value: NDArray[np.float64]
    error: NDArray[np.float64]

    def off(self, labels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Labels less their priors' values, over the errors, (n, labels)."""
        return (labels - self.value) / self.error

    def rows(self, chosen: NDArray[np.integer] | slice) -> "Priors":
        return Priors(self.value[chosen], self.error[chosen])


@dataclass(frozen=True)
class Problem:
    """n spectra to fit.

    flux, weight: (n, pixels), weight 0 where there is no flux; free: whether a parameter may move, (n, parameters);
    priors: on labels; start: vectors from which velocities may not depart farther than `VELOCITY_ROOM`.
    """

    forward: Forward
    flux: NDArray[np.float64]
    weight: NDArray[np.float64]
    free: NDArray[np.bool_]
    priors: Priors
    start: NDArray[np.float64]

    def rows(self, chosen: NDArray[np.integer] | slice) -> "Problem":
        """The same for some of the spectra, or for some of them several times."""
        return Problem(
            self.forward.rows(chosen),
            self.flux[chosen],
            self.weight[chosen],
            self.free[chosen],
            self.priors.rows(chosen),
            self.start[chosen],
        )

    @property
    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lowest and highest value of each parameter, (n, parameters) each."""
        count, room = self.forward.label_count, VELOCITY_ROOM / self.forward.VELOCITY_UNIT
        lower, upper = np.full(self.start.shape, -np.inf), np.full(self.start.shape, np.inf)
        lower[:, :count], upper[:, :count] = 0.0, 1.0
        lower[:, count], upper[:, count] = self.start[:, count] - room, self.start[:, count] + room
        return lower, upper


@dataclass(frozen=True)
class Normal:
    """Chi-square (n,), priors included, half its gradient (n, parameters), and the normal matrix (n, parameters,
    parameters)."""

    chi_square: NDArray[np.float64]
    gradient: NDArray[np.float64]
    matrix: NDArray[np.float64]

    def put(self, rows: NDArray[np.integer], other: "Normal") -> None:
        self.chi_square[rows], self.gradient[rows], self.matrix[rows] = other.chi_square, other.gradient, other.matrix

    def rows(self, chosen: NDArray[np.integer]) -> "Normal":
        return Normal(self.chi_square[chosen], self.gradient[chosen], self.matrix[chosen])


def normal_equations(problem: Problem, vectors: NDArray[np.float64]) -> Normal:
    """Chi-square and its first two derivatives, as Gauss and Newton have them, at vectors (n, parameters)."""
    parts = [_normal(problem.rows(part), vectors[part]) for part in blocks(len(vectors))]
    return Normal(*(np.concatenate([getattr(one, name) for one in parts]) for name in Normal.__dataclass_fields__))


def blocks(count: int) -> Iterator[slice]:
    """Parts of a batch that are worked on at once."""
    return (slice(start, min(start + ROWS, count)) for start in range(0, count, ROWS))


def _normal(problem: Problem, vectors: NDArray[np.float64]) -> Normal:
    forward = problem.forward
    design = forward(vectors, problem.weight)
    residual = design.flux - (problem.flux * problem.weight).astype(np.float32)
    turned = design.slopes.transpose(0, 2, 1)
    chi_square = np.einsum("ij,ij->i", residual, residual, dtype=np.float64)
    gradient = (turned @ residual[..., None])[..., 0].astype(np.float64)
    matrix = (turned @ design.slopes).astype(np.float64)
    labels = forward.unpack(vectors).labels
    count = np.arange(forward.label_count)
    pull = problem.priors.off(labels)
    slope = forward.coordinates.slopes(forward.coordinates.inside(labels)) / problem.priors.error
    chi_square += np.sum(pull**2, axis=1)
    gradient[:, count] += pull * slope
    matrix[:, count, count] += slope**2
    return Normal(chi_square, gradient, matrix)


@dataclass(frozen=True)
class State:
    """Fits on their way: vectors (n, parameters), the normal equations there, dampings (n,), and which still move."""

    vectors: NDArray[np.float64]
    normal: Normal
    damping: NDArray[np.float64]
    moving: NDArray[np.bool_]

    def rows(self, chosen: NDArray[np.integer]) -> "State":
        return State(self.vectors[chosen], self.normal.rows(chosen), self.damping[chosen], self.moving[chosen])


def begun(problem: Problem, start: NDArray[np.float64], damping: float = DAMPING) -> State:
    """Fits at their starts (n, parameters), brought within bounds."""
    lower, upper = problem.bounds
    vectors = np.where(problem.free, np.clip(start, lower, upper), start)
    count = len(vectors)
    normal = normal_equations(problem, vectors)
    return State(vectors, normal, np.full(count, damping), np.ones(count, dtype=bool))


def advanced(problem: Problem, state: State, most_steps: int = MOST_STEPS, settled: float = SETTLED) -> State:
    """The fits after some steps, or where no step promises to lower their chi-square by ``settled`` any more."""
    lower, upper = problem.bounds
    at, damping, moving = state.vectors.copy(), state.damping.copy(), state.moving.copy()
    here = state.normal.rows(np.arange(len(at)))
    for _ in range(most_steps):
        active = np.flatnonzero(moving)
        if not len(active):
            break
        own = here.rows(active)
        step = bounded_step(own, damping[active], at[active], lower[active], upper[active], problem.free[active])
        promised = -np.einsum("ij,ij->i", step, 2.0 * own.gradient + np.einsum("ijk,ik->ij", own.matrix, step))
        # A strong damping promises little anywhere: only a step that is nearly free says that the place is the best.
        useful = ((promised > settled) | (damping[active] > 1.0)) & (damping[active] < MOST_DAMPING)
        moving[active] = useful
        active, step, promised = active[useful], step[useful], promised[useful]
        if not len(active):
            break
        tried = at[active] + step
        there = normal_equations(problem.rows(active), tried)
        better = there.chi_square < here.chi_square[active]
        gained = active[better]
        at[gained] = tried[better]
        here.put(gained, there.rows(np.flatnonzero(better)))
        damping[gained] = np.maximum(damping[gained] * EASED, LEAST_DAMPING)
        damping[active[~better]] *= RAISED
        moving[active[~better & (promised <= ROUNDING)]] = False
    return State(at, here, damping, moving)


def bounded_step(
    normal: Normal,
    damping: NDArray[np.float64],
    at: NDArray[np.float64],
    lower: NDArray[np.float64],
    upper: NDArray[np.float64],
    free: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Damped steps (n, parameters) that stay within bounds; parameters that aren't free stay.

    A parameter whose step would leave the bounds ends on them, the one that would leave farthest first, and the others
    are solved for again; one that rests on a bound and is pulled back inside is let go again at the next step.
    """
    diagonal = np.einsum("ijj->ij", normal.matrix)
    damped = normal.matrix.copy()
    numbers = np.arange(at.shape[1])
    damped[:, numbers, numbers] += damping[:, None] * diagonal + TINY
    size = np.sqrt(diagonal)
    step, held = np.zeros_like(at), ~free
    todo = np.arange(len(at))
    for _ in range(at.shape[1] + 1):
        step[todo] = _solved(damped[todo], normal.gradient[todo], step[todo], held[todo])
        ends = at[todo] + step[todo]
        beyond = np.maximum(lower[todo] - ends, ends - upper[todo]) * size[todo]
        beyond[held[todo]] = -np.inf
        worst = beyond.argmax(axis=1)
        out = beyond[np.arange(len(todo)), worst] > 0
        todo, worst = todo[out], worst[out]
        if not len(todo):
            break
        held[todo, worst] = True
        end = np.clip(at[todo, worst] + step[todo, worst], lower[todo, worst], upper[todo, worst])
        step[todo, worst] = end - at[todo, worst]
    return np.where(free, np.clip(at + step, lower, upper) - at, 0.0)


TINY = 1e-12
"""Added to the diagonal, so that a parameter on which no pixel depends stays where it is."""


def _solved(
    matrix: NDArray[np.float64], gradient: NDArray[np.float64], step: NDArray[np.float64], held: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Steps (n, parameters) at which the gradient of the free parameters vanishes; the held ones keep their step."""
    own = np.where(held, step, 0.0)
    right = np.where(held, step, -gradient - np.einsum("ijk,ik->ij", matrix, own))
    keeps = held[:, :, None] | held[:, None, :]
    system = np.where(keeps, np.eye(matrix.shape[1]), matrix)
    # Scaled to a diagonal of 1, since parameters have slopes of all sizes.
    scale = 1.0 / np.sqrt(np.einsum("ijj->ij", system))
    scaled = system * scale[:, :, None] * scale[:, None, :]
    return np.asarray(np.linalg.solve(scaled, (right * scale)[..., None])[..., 0] * scale)


def reweighted(problem: Problem, error: NDArray[np.float64], vectors: NDArray[np.float64]) -> Problem:
    """The same with the weights of flux errors (n, pixels), infinite if masked, and the emulator's error at vectors."""
    return replace(problem, weight=1.0 / np.hypot(error, problem.forward.error(vectors)))
