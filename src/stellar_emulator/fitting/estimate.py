"""The labels of one observed spectrum: inferred by the validator, or fitted by least squares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.axis import WavelengthAxis
from stellar_emulator.contract.checks import NOISE_WIDTHS
from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.roles import RESOLUTION
from stellar_emulator.errors import InputError
from stellar_emulator.fitting import warn
from stellar_emulator.fitting.batch import Start, fit_batch
from stellar_emulator.fitting.forward import Parameters
from stellar_emulator.fitting.leaps import Leap, all_in, leaps_of, pixels_of
from stellar_emulator.fitting.preparation import Beginning, Treatment, begin, begin_all
from stellar_emulator.fitting.protocols import EmulatorLike, ValidatorLike
from stellar_emulator.fitting.sharpness import about_bluntness
from stellar_emulator.fitting.solution import Solution
from stellar_emulator.observed.resampling import resampled
from stellar_emulator.observed.spectrum import ObservedSpectrum
from stellar_emulator.observed.velocity import APART, Library, at_rest

INFER_SHARE, FIT_SHARE = 0.9, 0.15
"""Smallest shares of the model's axis that a spectrum must cover."""

STARTS, NEAREST = 2, 5
"""Spectra of the library from which a fit begins, and those that are tried where it is poor. The validator's labels
count as one start."""

LEAP_ROUNDS = 3
"""Fits without parts that have leapt, each of which may show others."""

ROUNDS = 3
"""Rounds of inferring labels and generating their spectrum, which sets velocity, continuum and missing pixels."""


@dataclass(frozen=True)
class Pair:
    """An emulator, its validator, and the library of spectra from which fits begin."""

    emulator: EmulatorLike
    validator: ValidatorLike
    library: Library


@dataclass(frozen=True)
class Inferred:
    """Labels by the validator, (labels,), with their errors on test spectra of the same noise.

    velocity, velocity_error: in km/s, the error 0 if the velocity was given; noise: that of one pixel; flux: the
    validator's input, (pixels of its axis,); warnings: for the user.
    """

    labels: NDArray[np.float64]
    uncertainty: NDArray[np.float64]
    velocity: float
    velocity_error: float
    noise: float
    reconstruction_error: float
    flux: NDArray[np.float32]
    warnings: tuple[str, ...]


MOST_BEYOND = (0.01, 0.1)
"""Share of pixels beyond the contract's range of flux that are noise or fringes, and left out: without a continuum that
is fitted, and with one, which leaves no tilt."""


@dataclass(frozen=True)
class Fitted:
    """Labels by least squares: the solution, the spectrum as it was fitted, and warnings for the user.

    rejected: number of pixels that count for nothing since they are spikes; leaps: parts that are left out since their
    wavelengths lie elsewhere than those of the rest.
    """

    solution: Solution
    spectrum: ObservedSpectrum
    warnings: tuple[str, ...]
    rejected: int = 0
    leaps: tuple[Leap, ...] = ()


def infer(spectrum: ObservedSpectrum, pair: Pair, treatment: Treatment) -> Inferred:
    """Let the validator infer labels from a spectrum, brought to rest, normalised and resampled.

    Missing and masked pixels are filled with the emulator's flux at the labels inferred in the round before.

    Raises
    ------
    InputError
        If the spectrum covers too little of the axis, isn't normalised or shows no lines, or if the validator refuses
        it.
    """
    found = _inferred(_near(spectrum, pair, replace(treatment, velocity=None)), pair, None)
    contract = pair.emulator.contract
    warnings = warn.about_velocity(contract.wavelength, found.velocity, found.velocity_error, treatment.velocity)
    if treatment.velocity is not None:
        found = _inferred(_near(spectrum, pair, treatment), pair, treatment.velocity)
    return replace(found, warnings=(*warnings, *found.warnings))


def fit(spectrum: ObservedSpectrum, pair: Pair, treatment: Treatment, known: Mapping[str, float]) -> Fitted:
    """Fit one spectrum as `fit_all` fits many.

    Raises
    ------
    InputError
        As `infer`, but a smaller part of the axis is enough.
    """
    (found,) = fit_all([spectrum], pair, treatment, known)
    if isinstance(found, InputError):
        raise found
    return found


def fit_all(
    spectra: Sequence[ObservedSpectrum],
    pair: Pair,
    treatment: Treatment,
    known: Mapping[str, float],
    priors: Mapping[str, tuple[float, float]] | None = None,
) -> list[Fitted | InputError]:
    """Fit labels, velocity and continuum of each spectrum together, starting from the library's nearest spectra.

    ``known``: labels to hold fixed, by name; a velocity given in ``treatment`` is also held fixed. ``priors``: values
    of labels and their errors, by name. A spectrum that can't be used comes as the error that says why.
    """
    contract = pair.emulator.contract
    priors = priors or {}
    begun = begin_all(spectra, contract, pair.library, replace(treatment, velocity=None), FIT_SHARE, NEAREST)
    fixed = [fixed_labels(one, contract, treatment, known) for one in begun]
    task = Task(pair, priors, treatment)
    found = solved(begun, fixed, task, True)
    begun, found, leaps = _without_leaps(begun, fixed, found, task)
    expected = treatment.velocity
    told = [
        warn.about_velocity(contract.wavelength, one.parameters.velocity, one.velocity_error, expected) if one else []
        for one in found
    ]
    if expected is not None:
        again = begin_all(spectra, contract, pair.library, treatment, FIT_SHARE, NEAREST)
        begun = [
            _without(second, parts) if isinstance(first, Beginning) and isinstance(second, Beginning) else first
            for first, second, parts in zip(begun, again, leaps, strict=True)
        ]
        found = solved(begun, fixed, task, False, [one.parameters.labels if one else None for one in found])
    return [
        _told(first, one, [*warnings, *warn.about_leaps(parts)], contract, np.isnan(held), parts)
        for first, one, warnings, held, parts in zip(begun, found, told, fixed, leaps, strict=True)
    ]


def _without_leaps(
    begun: list[Beginning | InputError],
    fixed: Sequence[NDArray[np.float64]],
    found: list[Solution | None],
    task: "Task",
) -> tuple[list[Beginning | InputError], list[Solution | None], list[list[Leap]]]:
    """Poor fits again without the parts whose wavelengths have leapt, where the fit to the rest says so too; and which
    parts these are, of each spectrum."""
    found, leaps, refused = list(found), [list[Leap]() for _ in begun], set[int]()
    whole = {place: one for place, one in enumerate(begun) if isinstance(one, Beginning)}
    last = dict(whole)
    unmoved = replace(task.treatment, velocity=None)
    for _ in range(LEAP_ROUNDS):
        tried: dict[int, list[Leap]] = {}
        for place, one in whole.items():
            solution = found[place]
            if place not in refused and solution is not None and (leaps[place] or warn.is_poor(solution)):
                parts = leaps_of(one.spectrum, last[place].spectrum, solution)
                if parts and parts != leaps[place]:
                    tried[place] = parts
        if not tried:
            break
        left = [_without(whole[place], parts).spectrum for place, parts in tried.items()]
        cut = begin_all(left, task.pair.emulator.contract, task.pair.library, unmoved, FIT_SHARE, NEAREST)
        again = solved(cut, [fixed[place] for place in tried], task, True)
        for (place, parts), other, solution in zip(tried.items(), cut, again, strict=True):
            one, before = whole[place], found[place]
            if isinstance(other, Beginning) and solution is not None and before is not None:
                held = leaps_of(one.spectrum, other.spectrum, solution)
                if solution.reduced < before.reduced and all_in(parts, held):
                    last[place], found[place] = replace(other, spikes=one.spikes + other.spikes), solution
                    leaps[place] = parts
                    continue
            refused.add(place)
    return [last.get(place, one) for place, one in enumerate(begun)], found, leaps


def _without(begun: Beginning, leaps: Sequence[Leap]) -> Beginning:
    """Without the pixels of parts that have leapt."""
    spectrum = begun.spectrum
    return replace(begun, spectrum=spectrum.without(pixels_of(leaps, spectrum.wavelength))) if leaps else begun


def _told(
    begun: Beginning | InputError,
    solution: Solution | None,
    warnings: Sequence[str],
    contract: Contract,
    free: NDArray[np.bool_],
    leaps: Sequence[Leap],
) -> Fitted | InputError:
    """The fit with its warnings."""
    if isinstance(begun, InputError):
        return begun
    assert solution is not None
    free = free & warn.at_telling_edges(contract, solution)
    labels = warn.about_labels(contract, solution.parameters.labels, free)
    warnings = (*about_bluntness(begun.spectrum.resolution, contract), *warnings)
    spectrum = begun.spectrum.without(solution.rejected)
    rejected = begun.spikes + int(solution.rejected.sum())
    told = (*warnings, *labels, *warn.about_fit(solution, rejected))
    return Fitted(solution, spectrum, told, rejected, tuple(leaps))


def fixed_labels(
    begun: Beginning | InputError, contract: Contract, treatment: Treatment, known: Mapping[str, float]
) -> NDArray[np.float64]:
    """Labels that are held, (labels,), NaN for those to fit; broadened spectra have the model's largest resolution."""
    sharpest = contract.of_role(RESOLUTION)
    broadened = begun.spectrum.resolution if isinstance(begun, Beginning) and treatment.broaden else None
    if sharpest is not None and broadened == sharpest.upper:
        known = {sharpest.name: sharpest.upper, **known}
    return np.array([known.get(name, np.nan) for name in contract.label_names])


@dataclass(frozen=True)
class Task:
    """What all fits of a call have in common."""

    pair: Pair
    priors: Mapping[str, tuple[float, float]]
    treatment: Treatment

    def fitted(self, starts: Sequence[Start], free_velocity: bool) -> list[Solution]:
        emulator, treated = self.pair.emulator, self.treatment
        return fit_batch(starts, emulator, self.priors, free_velocity, treated.error, treated.stretched)


def solved(
    begun: Sequence[Beginning | InputError],
    fixed: Sequence[NDArray[np.float64]],
    task: Task,
    free_velocity: bool,
    further: Sequence[NDArray[np.float64] | None] | None = None,
) -> list[Solution | None]:
    """Best fits; None for spectra that can't be used. further: labels of one more start of each, to be tried first."""
    starts = []
    guesses = further or _guessed(begun, task.pair)
    for one, held, guess in zip(begun, fixed, guesses, strict=True):
        if isinstance(one, Beginning):
            start = _start(one, held, STARTS if guess is None else 1)
            starts.append(start if guess is None else replace(start.after(guess), first=start.first + 1))
    found = iter(task.fitted(starts, free_velocity))
    return [next(found) if isinstance(one, Beginning) else None for one in begun]


def _start(begun: Beginning, fixed: NDArray[np.float64], near: int) -> Start:
    """Starts at the ``near`` nearest spectra and at those of other velocities, then, where they fail, at the others."""
    elsewhere = np.abs(begun.velocities - begun.velocity) > APART / 2.0
    order = np.argsort(np.where(elsewhere, near - 0.5, np.arange(len(elsewhere))), kind="stable")
    first = min(near, len(order)) + int(elsewhere.sum())
    return Start(begun, fixed, begun.labels[order], begun.velocities[order], first)


def _guessed(begun: Sequence[Beginning | InputError], pair: Pair) -> list[NDArray[np.float64] | None]:
    """The validator's labels, (labels,), of each spectrum that covers enough of the axis: where a fit may begin."""
    axis, allowed = pair.emulator.contract.wavelength.pixels, pair.emulator.contract.flux
    found: list[NDArray[np.float64] | None] = [None] * len(begun)
    places, rows = [], []
    for place, one in enumerate(begun):
        if isinstance(one, Beginning) and one.share >= INFER_SHARE:
            spectrum, kept = one.spectrum, one.spectrum.usable
            continuum = one.basis @ one.continuum if one.basis.shape[1] else np.ones(len(kept))
            rest = at_rest(spectrum.wavelength[kept], one.velocity)
            places.append(place)
            rows.append(np.interp(axis, rest, spectrum.flux[kept] / continuum[kept]))
    if rows:
        # Spikes, which the validator would refuse, must not prevent a guess.
        flux = np.clip(np.nan_to_num(np.stack(rows)), allowed.lower, allowed.upper).astype(np.float32)
        labels = np.clip(pair.validator.labels(flux), pair.emulator.contract.lower, pair.emulator.contract.upper)
        for place, guess in zip(places, labels.astype(np.float64), strict=True):
            found[place] = guess
    return found


def _fitted(
    beginning: Beginning,
    emulator: EmulatorLike,
    fixed: NDArray[np.float64],
    labels: NDArray[np.float64],
    velocity: float | None,
) -> Solution:
    """Best fit from labels (starts, labels); ``fixed``: NaN for labels to fit; velocity: None to fit it too."""
    places = np.full(len(labels), beginning.velocity)
    (found,) = fit_batch([Start(beginning, fixed, labels, places, len(labels))], emulator, {}, velocity is None)
    return found


def _near(spectrum: ObservedSpectrum, pair: Pair, treatment: Treatment) -> Beginning:
    """Begin from the best-fitting spectrum if a continuum is to be derived from it.

    A continuum from the library's nearest spectrum is wrong by a percent, which moves the validator's labels by three
    errors.
    """
    beginning = begin(spectrum, pair.emulator.contract, pair.library, treatment, INFER_SHARE)
    if not beginning.basis.shape[1]:
        return beginning
    unknown = np.full(len(pair.emulator.contract.labels), np.nan)
    best = _fitted(beginning, pair.emulator, unknown, beginning.labels, treatment.velocity).parameters
    return replace(beginning, labels=best.labels[None], velocity=best.velocity, continuum=best.continuum)


def _inferred(beginning: Beginning, pair: Pair, velocity: float | None) -> Inferred:
    """Labels by the validator at a given velocity, or at the velocity that fits the spectrum generated from them."""
    contract = pair.emulator.contract
    labels = nearest = beginning.labels[0]
    frames: dict[bytes, Solution] = {}
    for _ in range(ROUNDS):
        # From a noisy spectrum the validator may infer labels that fit worse than the library's nearest.
        for one in (labels, nearest):
            if one.tobytes() not in frames:
                frames[one.tobytes()] = _fitted(beginning, pair.emulator, one, one[None], velocity)
        frame = min(frames[labels.tobytes()], frames[nearest.tobytes()], key=lambda one: one.chi_square)
        seen, error = _at_rest(beginning, frame.parameters, contract.wavelength)
        beyond = _few_beyond(contract, seen, error, MOST_BEYOND[beginning.basis.shape[1] > 0])
        error[beyond] = np.inf
        made = pair.emulator.flux(frame.parameters.labels[None])[0]
        flux = np.where(np.isfinite(error), seen, made).astype(np.float32)
        noise = float(np.median(error[np.isfinite(error)]))
        try:
            raw = pair.validator.labels(flux[None], noise)[0].astype(np.float64)
        except InputError as error:
            remedy = "" if beginning.basis.shape[1] else "; --continuum 3 fits a continuum as well"
            raise InputError(f"{beginning.spectrum.name}: {error}{remedy}") from error
        labels = np.clip(raw, contract.lower, contract.upper)
    distance = float(pair.validator.reconstruction_error(flux[None], noise)[0])
    last = frames.get(labels.tobytes()) or _fitted(beginning, pair.emulator, labels, labels[None], velocity)
    warnings = [
        *about_bluntness(beginning.spectrum.resolution, contract),
        *warn.about_inferred(last),
        *warn.about_few_beyond(int(beyond.sum())),
        *warn.about_reconstruction(distance, pair.validator.reconstruction_limit(noise)),
        *warn.about_labels(contract, labels, np.ones(len(labels), dtype=bool)),
    ]
    return Inferred(
        labels,
        pair.validator.uncertainty(labels[None], noise)[0].astype(np.float64),
        frame.parameters.velocity,
        frame.velocity_error,
        noise,
        distance,
        flux,
        tuple(warnings),
    )


def _few_beyond(
    contract: Contract, flux: NDArray[np.float64], error: NDArray[np.float64], most: float
) -> NDArray[np.bool_]:
    """Pixels whose flux no validator takes, (pixels,), if their share is ``most`` or less: of a tilted continuum they
    are many."""
    known = np.isfinite(error)
    margin = NOISE_WIDTHS * float(np.median(error[known]))
    beyond = known & ((flux < contract.flux.lower - margin) | (flux > contract.flux.upper + margin))
    return beyond if beyond.sum() <= most * known.sum() else np.zeros_like(beyond)


def _at_rest(
    beginning: Beginning, parameters: Parameters, axis: WavelengthAxis
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Normalised flux and its error on a contract's pixels, (pixels,) each; infinite error where there is none."""
    spectrum, basis = beginning.spectrum, beginning.basis
    continuum = basis @ parameters.continuum if basis.shape[1] else np.ones(len(spectrum.flux))
    rest = at_rest(spectrum.wavelength, parameters.velocity)
    return resampled(rest, spectrum.flux / continuum, spectrum.error / np.abs(continuum), axis.pixels)
