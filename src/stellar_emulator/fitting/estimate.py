"""The labels of one observed spectrum: inferred by the validator, or fitted by least squares."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.axis import WavelengthAxis
from stellar_emulator.contract.roles import RESOLUTION
from stellar_emulator.errors import InputError
from stellar_emulator.fitting import warn
from stellar_emulator.fitting.forward import Forward, Parameters
from stellar_emulator.fitting.least_squares import Solution, fit_spectrum
from stellar_emulator.fitting.preparation import Beginning, Treatment, begin
from stellar_emulator.fitting.protocols import EmulatorLike, ValidatorLike
from stellar_emulator.observed.resampling import resampled
from stellar_emulator.observed.spectrum import ObservedSpectrum
from stellar_emulator.observed.velocity import Library, at_rest

INFER_SHARE, FIT_SHARE = 0.9, 0.15
"""Smallest shares of the model's axis that a spectrum must cover."""

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


@dataclass(frozen=True)
class Fitted:
    """Labels by least squares: the solution, the spectrum as it was fitted, and warnings for the user."""

    solution: Solution
    spectrum: ObservedSpectrum
    warnings: tuple[str, ...]


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
    """Fit labels, velocity and continuum together, starting from the library's nearest spectra and the validator's
    labels.

    ``known``: labels to hold fixed, by name; a velocity given in ``treatment`` is also held fixed.

    Raises
    ------
    InputError
        As `infer`, but a smaller part of the axis is enough.
    """
    contract = pair.emulator.contract
    beginning = begin(spectrum, contract, pair.library, replace(treatment, velocity=None), FIT_SHARE)
    sharpest = contract.of_role(RESOLUTION)
    if sharpest is not None and treatment.broaden and beginning.spectrum.resolution == sharpest.upper:
        known = {sharpest.name: sharpest.upper, **known}
    fixed = np.array([known.get(name, np.nan) for name in contract.label_names])
    starts = list(beginning.labels)
    if beginning.share >= INFER_SHARE:
        # A spike that the validator refuses prevents its inference, but not a fit.
        with suppress(InputError):
            starts.insert(0, _inferred(beginning, pair, None).labels)
    found = _fitted(beginning, pair.emulator, fixed, starts, None)
    warnings = warn.about_velocity(
        contract.wavelength, found.parameters.velocity, found.velocity_error, treatment.velocity
    )
    if treatment.velocity is not None:
        beginning = begin(spectrum, contract, pair.library, treatment, FIT_SHARE)
        starts = [found.parameters.labels, *beginning.labels]
        found = _fitted(beginning, pair.emulator, fixed, starts, treatment.velocity)
    warnings += warn.about_labels(contract, found.parameters.labels, np.isnan(fixed))
    warnings += warn.about_chi_square(found.chi_square, found.degrees_of_freedom)
    return Fitted(found, beginning.spectrum, tuple(warnings))


def _fitted(
    beginning: Beginning,
    emulator: EmulatorLike,
    fixed: NDArray[np.float64],
    starts: Sequence[NDArray[np.float64]],
    velocity: float | None,
) -> Solution:
    """Best fit from starting labels (labels,) each; ``fixed``: NaN for labels to fit; velocity: None to fit it too."""
    free = np.isnan(fixed)
    spectrum = beginning.spectrum
    forward = Forward(emulator, spectrum.wavelength, beginning.basis, free, velocity is None)
    parameters = [Parameters(np.where(free, one, fixed), beginning.velocity, beginning.continuum) for one in starts]
    return fit_spectrum(forward, spectrum.flux, spectrum.error, parameters)


def _near(spectrum: ObservedSpectrum, pair: Pair, treatment: Treatment) -> Beginning:
    """Begin from the best-fitting spectrum if a continuum is to be derived from it.

    A continuum from the library's nearest spectrum is wrong by a percent, which moves the validator's labels by three
    errors.
    """
    beginning = begin(spectrum, pair.emulator.contract, pair.library, treatment, INFER_SHARE)
    if not beginning.basis.shape[1]:
        return beginning
    unknown = np.full(len(pair.emulator.contract.labels), np.nan)
    best = _fitted(beginning, pair.emulator, unknown, list(beginning.labels), treatment.velocity).parameters
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
                frames[one.tobytes()] = _fitted(beginning, pair.emulator, one, [one], velocity)
        frame = min(frames[labels.tobytes()], frames[nearest.tobytes()], key=lambda one: one.chi_square)
        seen, error = _at_rest(beginning, frame.parameters, contract.wavelength)
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
    warnings = [
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


def _at_rest(
    beginning: Beginning, parameters: Parameters, axis: WavelengthAxis
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Normalised flux and its error on a contract's pixels, (pixels,) each; infinite error where there is none."""
    spectrum, basis = beginning.spectrum, beginning.basis
    continuum = basis @ parameters.continuum if basis.shape[1] else np.ones(len(spectrum.flux))
    rest = at_rest(spectrum.wavelength, parameters.velocity)
    return resampled(rest, spectrum.flux / continuum, spectrum.error / np.abs(continuum), axis.pixels)
