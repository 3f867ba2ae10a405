"""Joint least squares of all epochs of a star: one set of labels, and a velocity and a continuum of each epoch's own.

The normal equations of the epochs add up. Velocities and continua are eliminated from them epoch by epoch, so that no
matrix is larger than the labels' or one epoch's; the synthesis at rest is shared, and moved to each epoch by
interpolation. Labels stay in their box, with a damping of each star's own, as in `fitting.least_squares`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.axis import SPEED_OF_LIGHT
from stellar_emulator.fitting.epoch_stack import Stack
from stellar_emulator.fitting.forward import Forward
from stellar_emulator.fitting.interpolation import Interpolation
from stellar_emulator.fitting.least_squares import (
    EASED,
    LEAST_DAMPING,
    MOST_DAMPING,
    RAISED,
    Normal,
    bounded_step,
)
from stellar_emulator.fitting.model_error import EMULATOR_ALONE, ModelError, Part, parts_of
from stellar_emulator.fitting.protocols import EmulatorLike
from stellar_emulator.fitting.scaled_labels import ScaledLabels
from stellar_emulator.observed.velocity import at_rest

FIRST_DAMPING = 1e-3
"""Fits begin near their best place."""

SETTLED = 0.02
"""Chi-square that a step must promise: far below the noise of any label or velocity."""

EXACT = 1e-3
"""km/s: spread of velocities that are one."""

SAME_WEIGHT = 1e-2
"""Change of weights, over the largest, that moves no label by a tenth of its error."""

MOST_STEPS = 12
ROUNDS = 2
"""Successive fits, since the model's error depends on the fitted labels."""


@dataclass(frozen=True)
class Place:
    """Parameters of one star: coordinates of its labels, (labels,), velocities in km/s, (epochs,), and continua,
    (epochs, coefficients)."""

    labels: NDArray[np.float64]
    velocity: NDArray[np.float64]
    continuum: NDArray[np.float64]


@dataclass(frozen=True)
class Known:
    """What is known of a star's labels: which are free, (labels,), and priors: value and error, infinite for none."""

    free: NDArray[np.bool_]
    value: NDArray[np.float64]
    error: NDArray[np.float64]


@dataclass(frozen=True)
class Equations:
    """Normal equations of one star.

    normal: of the labels alone, of one row, with chi-square and priors; own: matrices of the epochs' own parameters,
    (epochs, own, own); coupled, pulled: solutions of these for what couples them to the labels, (epochs, own, labels),
    and for their gradients, (epochs, own); gain: what the epochs' own step alone promises; slopes: weighted, (epochs,
    pixels, own + labels); residual: weighted, predicted minus observed, (epochs, pixels); model: predicted flux.
    """

    normal: Normal
    own: NDArray[np.float64]
    coupled: NDArray[np.float64]
    pulled: NDArray[np.float64]
    gain: float
    slopes: NDArray[np.float32]
    residual: NDArray[np.float32]
    model: NDArray[np.float32]


@dataclass(frozen=True)
class Weighted:
    """A star's epochs times the weights of their pixels, single precision: flux and weight (epochs, pixels), and the
    continua's basis (epochs, pixels, coefficients)."""

    flux: NDArray[np.float32]
    weight: NDArray[np.float32]
    basis: NDArray[np.float32]

    @classmethod
    def of(cls, stack: Stack, weight: NDArray[np.float64]) -> "Weighted":
        single = weight.astype(np.float32)
        return cls((stack.flux * weight).astype(np.float32), single, stack.basis.astype(np.float32) * single[..., None])

    def continuum(self, place: Place) -> NDArray[np.float32]:
        """The epochs' weighted continua, (epochs, pixels)."""
        if not self.basis.shape[2]:
            return self.weight
        return np.asarray((self.basis @ place.continuum[:, :, None].astype(np.float32))[..., 0])


@dataclass
class Star:
    """A star on its way: its epochs, what is known, where it is, the weights of its pixels, and its damping.

    weighted: the epochs times their weights; nearby: mean and standard deviation in km/s of a normal prior on each
    velocity; rejected: pixels that are spikes.
    """

    stack: Stack
    known: Known
    place: Place
    weight: NDArray[np.float64]
    weighted: Weighted | None = None
    equations: Equations | None = None
    nearby: tuple[float, float] | None = None
    rejected: int = 0
    damping: float = FIRST_DAMPING
    moving: bool = True


@dataclass(frozen=True)
class Joint:
    """Fits of stars through one emulator; model_error: what counts besides flux errors."""

    emulator: EmulatorLike
    model_error: ModelError = EMULATOR_ALONE
    _forward: Forward = field(init=False, repr=False)
    _plain: Forward = field(init=False, repr=False)

    VELOCITY_UNIT = Forward.VELOCITY_UNIT

    def __post_init__(self) -> None:
        nothing = np.empty((0, 0))
        for name, labelled in (("_forward", True), ("_plain", False)):
            object.__setattr__(self, name, Forward(self.emulator, nothing, np.empty((0, 0, 0)), labelled))

    @property
    def coordinates(self) -> ScaledLabels:
        return self._forward.coordinates

    @property
    def between(self) -> Interpolation:
        return self._forward.between

    def fit(self, stars: Sequence[Star], rounds: int = ROUNDS) -> None:
        """Minimise the chi-square of each star from where it is; the stars are changed."""
        for number in range(rounds):
            before = [star.weight for star in stars]
            self.weigh(stars)
            moved = [
                star
                for star, old in zip(stars, before, strict=True)
                if number == 0 or np.abs(star.weight - old).max() > SAME_WEIGHT * old.max()
            ]
            if moved:
                self.advance(moved)

    def released(self, stars: Sequence[Star]) -> None:
        """Minimise by velocities and continua alone, at the stars' labels and weights, without priors on velocities."""
        kept = [star.known for star in stars]
        for star in stars:
            star.nearby, star.known = None, replace(star.known, free=np.zeros_like(star.known.free))
        self.advance(stars, labelled=False)
        for star, known in zip(stars, kept, strict=True):
            star.known = known
        for star, equations in zip(stars, self._at(stars, [star.place for star in stars]), strict=True):
            star.equations = equations

    def at_one_velocity(self, star: Star, velocity: float) -> float:
        """Chi-square of a star's labels and weights if all epochs have a velocity, their continua fitted."""
        one = replace(star, known=replace(star.known, free=np.zeros_like(star.known.free)))
        one.nearby = (velocity, EXACT)
        one.place = replace(star.place, velocity=np.full_like(star.place.velocity, velocity))
        self.advance([one], labelled=False)
        assert one.equations is not None
        return float(one.equations.normal.chi_square[0])

    def weigh(self, stars: Sequence[Star]) -> None:
        """Set the weights by flux errors and the model's error at the stars' labels."""
        labels = self.coordinates.labels(np.stack([star.place.labels for star in stars]))
        none = np.zeros(len(self.between.nodes))
        for star, parts in zip(stars, self.parts(labels, self.emulator.flux(labels)), strict=True):
            whole = np.sqrt(sum((one.deviation**2 for one in parts if one.length > 0.0), none))
            # What pixels are independent in, for want of better, all epochs share: they must not tell more than one,
            # and pixels of other widths than the model's must tell as much together.
            alone = np.sqrt(sum((one.deviation**2 for one in parts if one.length == 0.0), none))
            times = np.sqrt(star.stack.used.sum() * self._steps(star))[:, None]
            own = np.hypot(self.own_error(star, whole), times * self.own_error(star, alone))
            star.weight = 1.0 / np.hypot(star.stack.error, own)
            star.weighted = Weighted.of(star.stack, star.weight)

    def _steps(self, star: Star) -> NDArray[np.float64]:
        """Width of the model's pixels over that of each epoch's, (epochs,)."""
        step = float(np.median(np.diff(self.between.nodes)))
        apart = np.diff(star.stack.wavelength, axis=1)
        # Shorter spectra are filled up with pixels of one wavelength.
        return np.array([step / float(np.median(one[one > 0])) if (one > 0).any() else 1.0 for one in apart])

    def parts(self, labels: NDArray[np.float64], flux: NDArray[np.floating]) -> list[list[Part]]:
        """The parts of the model's error at labels (stars, labels) whose flux is (stars, pixels): each star's, with
        deviations on the model's axis, (pixels,). Those of the physics are the same in all epochs of a star."""
        nodes = np.broadcast_to(self.between.nodes, flux.shape)
        found = parts_of(self.model_error, self.emulator, labels, nodes, flux)
        return [[replace(one, deviation=one.deviation[star]) for one in found] for star in range(len(labels))]

    def own_error(self, star: Star, error: NDArray[np.floating]) -> NDArray[np.float64]:
        """The model's error, (pixels of its axis,), at a star's pixels, (epochs, pixels)."""
        rest = at_rest(star.stack.wavelength, star.place.velocity[:, None])
        own = np.interp(rest.ravel(), self.between.nodes, error).reshape(rest.shape)
        return np.asarray(own * np.abs(continuum_of(star.stack, star.place)))

    def advance(self, stars: Sequence[Star], labelled: bool = True) -> None:
        """Take steps until none promises to lower a chi-square any more; labelled: whether by labels too."""
        for star, equations in zip(stars, self._at(stars, [star.place for star in stars], labelled), strict=True):
            star.equations, star.damping, star.moving = equations, FIRST_DAMPING, True
        for _ in range(MOST_STEPS):
            active = [star for star in stars if star.moving]
            tried = [self._step(star) for star in active]
            active, places = (
                [one for one, place in zip(active, tried, strict=True) if place is not None],
                [place for place in tried if place is not None],
            )
            if not active:
                return
            for star, place, there in zip(active, places, self._at(active, places, labelled), strict=True):
                assert star.equations is not None
                if there.normal.chi_square[0] < star.equations.normal.chi_square[0]:
                    star.place, star.equations = place, there
                    star.damping = max(star.damping * EASED, LEAST_DAMPING)
                else:
                    star.damping *= RAISED
                    star.moving = star.damping < MOST_DAMPING

    def _step(self, star: Star) -> Place | None:
        """Where a damped step leads; None, and the star stays, if it promises nothing."""
        here = star.equations
        assert here is not None
        at = star.place.labels[None]
        ends = np.zeros_like(at), np.ones_like(at)
        step = bounded_step(here.normal, np.array([star.damping]), at, *ends, star.known.free[None])[0]
        normal = here.normal
        promised = here.gain - step @ (2.0 * normal.gradient[0] + normal.matrix[0] @ step)
        if promised <= SETTLED:
            star.moving = False
            return None
        own = -(here.pulled + here.coupled @ step)
        return Place(
            star.place.labels + step,
            star.place.velocity + own[:, 0] * self.VELOCITY_UNIT,
            star.place.continuum + own[:, 1:],
        )

    def _at(self, stars: Sequence[Star], places: Sequence[Place], labelled: bool = True) -> list[Equations]:
        labels = self.coordinates.labels(np.stack([place.labels for place in places]))
        made = (self._forward if labelled else self._plain).made(labels)
        return [
            self._equations(star, place, one, own)
            for star, place, one, own in zip(stars, places, made.transpose(1, 0, 2), labels, strict=True)
        ]

    def _equations(self, star: Star, place: Place, made: NDArray[np.float32], labels: NDArray[np.float64]) -> Equations:
        stack, weight, weighted = star.stack, star.weight, star.weighted
        assert weighted is not None
        rest = at_rest(stack.wavelength, place.velocity[:, None])
        shifted = (self.between.matrix(rest.reshape(1, -1)) @ made).reshape(*rest.shape, -1)
        scale = weighted.continuum(place)
        own = 1 + stack.basis.shape[2]
        slopes = np.empty((*rest.shape, own + made.shape[1] - 2), dtype=np.float32)
        nodes = self.between.nodes
        moving = (rest * (-self.VELOCITY_UNIT / (SPEED_OF_LIGHT + place.velocity[:, None]))).astype(np.float32)
        moving *= (rest >= nodes[0]) & (rest <= nodes[-1])
        np.multiply(shifted[..., 1] * moving, scale, out=slopes[..., 0])
        np.multiply(weighted.basis, shifted[..., :1], out=slopes[..., 1:own])
        np.multiply(shifted[..., 2:], scale[..., None], out=slopes[..., own:])
        predicted = shifted[..., 0] * scale
        residual = predicted - weighted.flux
        turned = slopes.transpose(0, 2, 1)
        matrix = (turned @ slopes).astype(np.float64)
        gradient = (turned @ residual[..., None])[..., 0].astype(np.float64)
        chi_square = float(np.einsum("ij,ij->", residual, residual, dtype=np.float64))
        if star.nearby is not None:
            middle, spread = star.nearby
            apart = (place.velocity - middle) / spread
            chi_square += float(np.sum(apart**2))
            matrix[:, 0, 0] += (self.VELOCITY_UNIT / spread) ** 2
            gradient[:, 0] += apart * self.VELOCITY_UNIT / spread
        mine = matrix[:, :own, :own]
        idle = np.einsum("ijj->ij", mine) <= 0
        mine = mine + idle[:, :, None] * np.eye(own)
        couples = matrix[:, :own, own:]
        size = 1.0 / np.sqrt(np.einsum("ijj->ij", mine))
        right = np.concatenate([couples, gradient[:, :own, None]], axis=2) * size[:, :, None]
        solved = np.linalg.solve(mine * size[:, :, None] * size[:, None, :], right) * size[:, :, None]
        coupled, pulled = solved[..., :-1], solved[..., -1]
        left, down = np.zeros((len(labels), len(labels))), np.zeros(len(labels))
        if couples.shape[2]:
            left = matrix[:, own:, own:].sum(axis=0) - np.einsum("eij,eik->jk", couples, coupled)
            down = gradient[:, own:].sum(axis=0) - np.einsum("eij,ei->j", couples, pulled)
        else:
            coupled = np.zeros((*pulled.shape, len(labels)))
        slope = self.coordinates.slopes(self.coordinates.inside(labels)) / star.known.error
        pull = (labels - star.known.value) / star.known.error
        normal = Normal(
            np.array([chi_square + np.sum(pull**2)]), (down + pull * slope)[None], (left + np.diag(slope**2))[None]
        )
        gain = float(np.sum(gradient[:, :own] * pulled))
        model = np.divide(predicted, weight, out=np.zeros_like(predicted), where=weight > 0)
        return Equations(normal, mine, coupled, pulled, gain, slopes, residual, model)


def continuum_of(stack: Stack, place: Place) -> NDArray[np.float64]:
    """Continua of a star's epochs, (epochs, pixels)."""
    if not stack.basis.shape[2]:
        return np.ones(stack.flux.shape)
    return np.asarray((stack.basis @ place.continuum[:, :, None])[..., 0])
