"""All epochs of a star as one fit: one set of labels, a velocity of each epoch, and what these tell of a companion.

The labels begin where the mean of the epochs fits best: first as they are, then each moved to rest by its velocity
against a template. From there all epochs are fitted jointly (`fitting.joint`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import InputError
from stellar_emulator.fitting import warn
from stellar_emulator.fitting.epoch_stack import Stack, mean_at_rest, repeated, stacked
from stellar_emulator.fitting.epoch_velocities import Template, double_lined, epoch_velocities
from stellar_emulator.fitting.estimate import FIT_SHARE, NEAREST, Fitted, Pair, Task, fixed_labels, solved
from stellar_emulator.fitting.forward import Parameters
from stellar_emulator.fitting.joint import Joint, Known, Place, Star, continuum_of
from stellar_emulator.fitting.joint_errors import (
    Constancy,
    constancy,
    joint_errors,
    spread_of,
    velocity_errors,
    weighted_mean,
)
from stellar_emulator.fitting.model_error import Part
from stellar_emulator.fitting.preparation import Beginning, Treatment, begin_all
from stellar_emulator.fitting.sharpness import about_bluntness, as_sharp_as, largest_resolution
from stellar_emulator.fitting.sifting import spikes_of
from stellar_emulator.fitting.solution import Solution
from stellar_emulator.observed.continuum import basis_of_pieces, flat
from stellar_emulator.observed.masks import masked
from stellar_emulator.observed.spectrum import ObservedSpectrum
from stellar_emulator.observed.velocity import at_rest

TOGETHER = 32
"""Stars that are fitted side by side."""

FAINT = 3.0
"""km/s: median error of an epoch's velocity from which its likelihood is no parabola."""

DOUBTFUL_FIT, DOUBTFUL_VELOCITY = 3.0, 0.01
"""Standard deviations of chi-square above its mean, and p-value of one velocity, from which a second star is looked
for."""


@dataclass(frozen=True)
class StarFit:
    """A joint fit of a star's epochs.

    fitted: labels and errors, with the epochs' mean, moved to their mean velocity, as the spectrum; velocity,
    velocity_error: in km/s, and chi_square of each epoch, (epochs,), NaN for one that was left out; shared_error: what
    the velocities' errors have in common, as the labels are uncertain; constancy: whether the velocities are one;
    double_lined: whether there are lines of a second star; noise: factor of variances by noise that neighbouring pixels
    share; pixels: of each epoch.
    """

    fitted: Fitted
    velocity: NDArray[np.float64]
    velocity_error: NDArray[np.float64]
    shared_error: float
    chi_square: NDArray[np.float64]
    constancy: Constancy
    double_lined: bool
    noise: float
    pixels: NDArray[np.int64]


def fit_stars(
    stars: Sequence[tuple[str, Sequence[ObservedSpectrum]]],
    pair: Pair,
    treatment: Treatment,
    known: Mapping[str, float],
    priors: Mapping[str, tuple[float, float]] | None = None,
) -> list[StarFit | InputError]:
    """Fit each star's labels to all its epochs, given with its name; one that can't be used comes as its error.

    ``known``: labels to hold fixed, by name. ``priors``: values of labels and their errors, by name. What
    ``treatment`` says of velocity is not heeded: each epoch has its own.
    """
    treatment = replace(treatment, velocity=None)
    found: list[StarFit | InputError] = []
    for first in range(0, len(stars), TOGETHER):
        found += _Batch(pair, treatment, known, priors or {}).fitted(stars[first : first + TOGETHER])
    return found


@dataclass(frozen=True)
class _Draft:
    """A star's epochs, its labels' start from the mean as it is, and the velocity of that."""

    stack: Stack
    begun: Beginning
    fixed: NDArray[np.float64]


@dataclass(frozen=True)
class _Batch:
    """What stars of a call have in common."""

    pair: Pair
    treatment: Treatment
    known: Mapping[str, float]
    priors: Mapping[str, tuple[float, float]]

    @property
    def contract(self) -> Contract:
        return self.pair.emulator.contract

    def fitted(self, stars: Sequence[tuple[str, Sequence[ObservedSpectrum]]]) -> list[StarFit | InputError]:
        drafts = self._drafts(stars)
        places = [place for place, one in enumerate(drafts) if isinstance(one, _Draft)]
        own = [one for one in drafts if isinstance(one, _Draft)]
        out: list[StarFit | InputError] = [one for one in drafts if isinstance(one, InputError)]
        if not own:
            return out
        joint = Joint(self.pair.emulator, self.treatment.error)
        begun = self._begun(own, joint)
        joint.fit(begun)
        self._sifted(joint, begun)
        self._shrunk(joint, begun)
        joint.released(begun)
        labels = joint.coordinates.labels(np.stack([star.place.labels for star in begun]))
        flux = self.pair.emulator.flux(labels)
        parts = joint.parts(labels, flux)
        fits = iter([self._told(joint, *one) for one in zip(begun, own, labels, parts, flux, strict=True)])
        return [next(fits) if place in places else drafts[place] for place in range(len(drafts))]  # type: ignore[misc]

    def _sifted(self, joint: Joint, stars: Sequence[Star]) -> None:
        """Fit stars once more without pixels that are spikes in one epoch, if any are; what epochs share stays."""
        sharpest = largest_resolution(self.contract)
        spiked = []
        for star in stars:
            stack, equations = star.stack, star.equations
            assert equations is not None
            level = np.maximum(np.abs(continuum_of(stack, star.place)), np.finfo(np.float64).tiny)
            rest = at_rest(stack.wavelength, star.place.velocity[:, None])
            share = np.where(star.weight > 0, (stack.flux - equations.model) / level, np.nan)
            apart = (share - repeated(rest, share)) * level
            rows = zip(stack.wavelength, apart, level, star.weight, strict=True)
            found = np.stack([spikes_of(*row, sharpest) for row in rows])
            if found.any():
                star.stack, star.rejected = stack.without(found), int(found.sum())
                spiked.append(star)
        if spiked:
            joint.fit(spiked, 1)

    def _shrunk(self, joint: Joint, stars: Sequence[Star]) -> None:
        """Fit stars of faint epochs once more, with velocities drawn to each other by as much as they really differ.

        Velocities that are free follow the noise where an epoch hardly shows any line, and labels follow them.
        """
        faint = []
        for star in stars:
            used = star.stack.used
            error = velocity_errors(joint, star)[used]
            if np.median(error) > FAINT and used.sum() > 2:
                star.nearby = spread_of(star.place.velocity[used], error)
                star.place = replace(star.place, velocity=np.where(used, star.place.velocity, star.nearby[0]))
                faint.append(star)
        if faint:
            joint.fit(faint, 1)

    def _drafts(self, stars: Sequence[tuple[str, Sequence[ObservedSpectrum]]]) -> list[_Draft | InputError]:
        """Stars with the labels and the velocity at which the mean of their epochs, as they are, fits best."""
        stacks: list[Stack | InputError] = []
        for name, spectra in stars:
            try:
                own = [self._unmasked(one) for one in spectra]
                sharp = [as_sharp_as(one, self.contract, self.treatment.broaden) for one in own]
                stacks.append(stacked(sharp, name, self.contract.wavelength, self.treatment.degree))
            except InputError as error:
                stacks.append(error)
        means = [self._mean(one) for one in stacks if isinstance(one, Stack)]
        ready = iter(begin_all(means, self.contract, self.pair.library, self.treatment, FIT_SHARE, NEAREST))
        begun = [next(ready) if isinstance(one, Stack) else one for one in stacks]
        return [
            _Draft(stack, one, fixed_labels(one, self.contract, self.treatment, self.known))
            if isinstance(one, Beginning) and isinstance(stack, Stack)
            else InputError(str(one))
            for stack, one in zip(stacks, begun, strict=True)
        ]

    def _unmasked(self, spectrum: ObservedSpectrum) -> ObservedSpectrum:
        """An epoch without pixels that are masked in the observer's frame."""
        moved = spectrum.on_medium_of(self.contract.wavelength)
        hidden = masked(moved.wavelength, list(self.treatment.observed_masks))
        return moved.without(hidden) if hidden.any() else moved

    def _mean(self, stack: Stack) -> ObservedSpectrum:
        grid = _grid_of(stack)
        mean = mean_at_rest(stack, np.zeros(len(stack.flux)), np.ones(stack.flux.shape), grid)
        return _spectrum(stack, self.contract, grid, mean.flux, mean.error)

    def _begun(self, drafts: Sequence[_Draft], joint: Joint) -> list[Star]:
        """Stars at the best fits of their means at rest."""
        axis = joint.between.nodes
        templates = [Template(axis, 1.0 - np.asarray(flux, dtype=np.float64)) for flux in self._templates(drafts)]
        stacks, velocities, begun = [], [], []
        for draft, template in zip(drafts, templates, strict=True):
            velocity = epoch_velocities(draft.stack, template, draft.begun.velocity)
            rest = at_rest(draft.stack.wavelength, velocity[:, None])
            edges = self.contract.wavelength.edges
            beyond = (rest < edges[0]) | (rest > edges[-1])
            stack = draft.stack.without(beyond | masked(rest, list(self.treatment.masks)))
            continuum, _ = _continua(stack, rest, template)
            grid = at_rest(_grid_of(stack), float(np.median(velocity[stack.used])))
            mean = mean_at_rest(stack, velocity, continuum, grid)
            stacks.append(stack)
            velocities.append(velocity)
            begun.append(self._beginning(draft, _spectrum(stack, self.contract, grid, mean.flux, mean.error)))
        fixed = [draft.fixed for draft in drafts]
        found = solved(begun, fixed, Task(self.pair, self.priors, self.treatment), True)
        return [
            self._star(joint, stack, held, velocity, one)
            for stack, held, velocity, one in zip(stacks, fixed, velocities, found, strict=True)
            if one is not None
        ]

    def _templates(self, drafts: Sequence[_Draft]) -> NDArray[np.floating]:
        """Flux of the nearest spectra of the library, (stars, pixels)."""
        labels = np.stack([draft.begun.labels[0] for draft in drafts])
        flux: NDArray[np.floating] = self.pair.emulator.flux(labels)
        return flux

    def _beginning(self, draft: _Draft, spectrum: ObservedSpectrum) -> Beginning:
        """The start of a fit of the mean at rest, from the library's spectra that were found for it before."""
        degree, length = self.treatment.degree, len(spectrum.flux)
        basis, continuum = np.empty((length, 0)), np.empty(0)
        if degree is not None:
            basis = basis_of_pieces(spectrum.wavelength, spectrum.orders, degree)
            continuum = flat(len(spectrum.orders), degree)
        begun = draft.begun
        rest = np.zeros(len(begun.velocities))
        return Beginning(spectrum, basis, continuum, 0.0, begun.labels, rest, begun.share)

    def _star(
        self, joint: Joint, stack: Stack, fixed: NDArray[np.float64], velocity: NDArray[np.float64], found: Solution
    ) -> Star:
        labels = found.parameters.labels
        moved = velocity + found.parameters.velocity
        made = np.asarray(self.pair.emulator.flux(labels[None])[0], dtype=np.float64)
        template = Template(joint.between.nodes, 1.0 - made)
        _, coefficients = _continua(stack, at_rest(stack.wavelength, moved[:, None]), template)
        given = np.array([self.priors.get(name, (0.0, np.inf)) for name in self.contract.label_names])
        known = Known(np.isnan(fixed), given[:, 0], given[:, 1])
        place = Place(joint.coordinates.of(labels), moved, coefficients)
        return Star(stack, known, place, np.empty(0))

    def _told(
        self,
        joint: Joint,
        star: Star,
        draft: _Draft,
        labels: NDArray[np.float64],
        parts: Sequence[Part],
        flux: NDArray[np.floating],
    ) -> StarFit:
        """The star's fit with its errors and tests."""
        stack, equations, place = star.stack, star.equations, star.place
        assert equations is not None
        errors = joint_errors(joint, star, parts)
        held = np.where(star.known.free, labels, draft.fixed)
        used = stack.used
        common, _ = weighted_mean(place.velocity[used], errors.velocity[used])
        gain = joint.at_one_velocity(star, common) - float(equations.normal.chi_square[0])
        test = constancy(place.velocity[used], errors.velocity[used], max(gain, 0.0) / errors.noise)
        each = np.sum(equations.residual.astype(np.float64) ** 2, axis=1)
        own = int(used.sum()) + int((stack.basis[used] != 0).any(axis=1).sum())
        freedom = int(stack.usable.sum()) - int(star.known.free.sum()) - own
        continuum = continuum_of(stack, place)
        seen = _grid_of(stack)
        grid = at_rest(seen, test.mean)
        mean = mean_at_rest(stack, place.velocity, continuum, grid, equations.model.astype(np.float64))
        total = float(each.sum())
        solution = Solution(
            Parameters(held, test.mean, np.empty(0)),
            np.where(star.known.free, errors.lower, held),
            np.where(star.known.free, errors.upper, held),
            errors.covariance,
            float(np.hypot(test.error, errors.shared)),
            total,
            freedom,
            np.asarray(mean.model),
            errors.raw,
            independent=freedom / errors.noise,
            stretch=float("nan"),
            stretch_error=float("nan"),
            detector=float("nan"),
            rejected=np.zeros(len(grid), dtype=bool),
        )
        # In the frame of the mean velocity, as observed spectra are.
        spectrum = _spectrum(stack, self.contract, seen, mean.flux, mean.error)
        poor = total > freedom + DOUBTFUL_FIT * np.sqrt(2.0 * max(freedom, 1))
        moving = test.p_value < DOUBTFUL_VELOCITY
        double = (poor or moving) and self._double(
            stack, star, continuum, mean.flux - np.asarray(mean.model), grid, flux
        )
        warnings = [
            *about_bluntness(stack.bluntest, self.contract),
            *warn.about_labels(self.contract, held, star.known.free),
            *warn.about_fit(solution, star.rejected),
        ]
        return StarFit(
            Fitted(solution, spectrum, tuple(warnings), star.rejected),
            np.where(used, place.velocity, np.nan),
            errors.velocity,
            errors.shared,
            np.where(used, each, np.nan),
            test,
            double,
            errors.noise,
            stack.usable.sum(axis=1),
        )

    def _double(
        self,
        stack: Stack,
        star: Star,
        continuum: NDArray[np.float64],
        common: NDArray[np.float64],
        grid: NDArray[np.float64],
        flux: NDArray[np.floating],
    ) -> bool:
        equations, velocity = star.equations, star.place.velocity
        assert equations is not None
        rest = at_rest(stack.wavelength, velocity[:, None])
        everywhere = np.interp(rest.ravel(), grid, common).reshape(rest.shape)
        residual = (stack.flux - equations.model) / continuum - everywhere
        error = np.where(star.weight > 0, 1.0 / np.where(star.weight > 0, star.weight, 1.0), np.inf) / continuum
        template = Template(self.contract.wavelength.pixels, 1.0 - np.asarray(flux, dtype=np.float64))
        return double_lined(stack, residual, error, velocity, template)


def _grid_of(stack: Stack) -> NDArray[np.float64]:
    """The pixels of the epoch that has most, (pixels,)."""
    return np.asarray(stack.wavelength[_fullest(stack)])


def _fullest(stack: Stack) -> int:
    """Number of the epoch that has most pixels."""
    return int(stack.usable.sum(axis=1).argmax())


def _spectrum(
    stack: Stack, contract: Contract, grid: NDArray[np.float64], flux: NDArray[np.float64], error: NDArray[np.float64]
) -> ObservedSpectrum:
    """A mean of epochs as an observed spectrum."""
    flux = np.where(np.isfinite(error), flux, 0.0)
    ends = stack.ends[_fullest(stack)]
    medium = contract.wavelength.medium
    return ObservedSpectrum(stack.name, grid, medium, flux, error, stack.notes, ends=ends, resolution=stack.resolution)


def _continua(
    stack: Stack, rest: NDArray[np.float64], template: Template
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Continua, (epochs, pixels), for which they times a template are nearest to the epochs, and their coefficients."""
    count = stack.basis.shape[2]
    if not count:
        return np.ones(stack.flux.shape), np.empty((len(stack.flux), 0))
    weight = 1.0 / stack.error
    model = 1.0 - np.interp(rest.ravel(), template.wavelength, template.absorption).reshape(rest.shape)
    design = stack.basis * (model * weight)[..., None]
    turned = design.transpose(0, 2, 1)
    matrix = turned @ design + (~stack.used)[:, None, None] * np.eye(count)
    matrix = matrix + 1e-9 * np.einsum("ijj->i", matrix)[:, None, None] * np.eye(count)
    right = (turned @ (stack.flux * weight)[..., None])[..., 0]
    coefficients = np.asarray(np.linalg.solve(matrix, right[..., None])[..., 0], dtype=np.float64)
    idle = np.einsum("ijj->ij", turned @ design) <= 0
    coefficients = np.where(idle, stack.flat, coefficients)
    found = np.asarray((stack.basis @ coefficients[:, :, None])[..., 0], dtype=np.float64)
    bad = stack.used & (found <= 0).any(axis=1)
    coefficients[bad] = stack.flat
    found[bad] = 1.0
    return found, coefficients
