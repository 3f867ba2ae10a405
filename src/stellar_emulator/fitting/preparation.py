"""From an observed spectrum to where a fit begins: overlap, masks, rough continuum, velocity, nearest spectra."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.axis import WavelengthAxis
from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import InputError
from stellar_emulator.fitting.sharpness import as_sharp_as
from stellar_emulator.observed.continuum import basis_of_pieces, continuum_over, upper_envelope
from stellar_emulator.observed.masks import masked
from stellar_emulator.observed.spectrum import ObservedSpectrum
from stellar_emulator.observed.velocity import FASTEST, Library, at_rest

NORMALISED = (0.5, 1.5)
"""Between which the upper flux of a normalised spectrum lies."""

UPPER_QUANTILE = 0.9
"""Of the flux, robust against spikes and near the continuum of all but the coolest stars."""

LEAST_SEEN = 0.15
"""Of the model's axis, that masks must leave."""

LEAST_GAIN = 50.0
"""Of chi-square by the best spectrum of the library over a featureless one, below which no star's lines are seen."""

FEATURELESS = 1.5
"""Reduced chi-square of a constant, below which there are no other lines either."""


@dataclass(frozen=True)
class Treatment:
    """How spectra are treated before labels are sought.

    velocity: km/s, None to measure it; degree: of the continuum, None for spectra that are normalised; masks: ranges
    at rest in the contract's medium; broaden: whether spectra sharper than the model can be are broadened.
    """

    velocity: float | None
    degree: int | None
    masks: tuple[tuple[float, float], ...] = ()
    broaden: bool = False


@dataclass(frozen=True)
class Beginning:
    """Where to begin with one spectrum, masks applied and cut to the model's axis.

    basis: of the continuum, (pixels, degree + 1), or (pixels, 0); continuum: its first coefficients; velocity: in
    km/s; labels: of the library's nearest spectra, nearest first, (starts, labels); share: of the model's axis that is
    covered.
    """

    spectrum: ObservedSpectrum
    basis: NDArray[np.float64]
    continuum: NDArray[np.float64]
    velocity: float
    labels: NDArray[np.float64]
    share: float


def begin(
    spectrum: ObservedSpectrum,
    contract: Contract,
    library: Library,
    treatment: Treatment,
    least_share: float,
    starts: int = 2,
) -> Beginning:
    """Prepare a spectrum that covers at least ``least_share`` of the model's axis.

    Raises
    ------
    InputError
        If it is sharper than the model can be, covers less, isn't normalised though it should be, or shows no lines.
    """
    axis = contract.wavelength
    spectrum = as_sharp_as(spectrum.on_medium_of(axis), contract, treatment.broaden)
    share = _covered(spectrum, contract, 0.0 if treatment.velocity is None else treatment.velocity, least_share)
    spectrum = _cut(spectrum, axis, *((-FASTEST, FASTEST) if treatment.velocity is None else (treatment.velocity,)))
    basis, rough = _continuum(spectrum, contract, treatment)
    flux, error = spectrum.flux / rough, spectrum.error / rough
    matches = library.matches(spectrum.wavelength, flux, error, starts)
    _require_lines(spectrum, flux, error, library, matches[0].chi_square)
    if treatment.velocity is None and (cut := _cut(spectrum, axis, matches[0].velocity)) is not spectrum:
        # Where the star is known, what lies beyond the model's axis must not weigh on its continuum.
        spectrum = cut
        basis, rough = _continuum(spectrum, contract, treatment)
        flux, error = spectrum.flux / rough, spectrum.error / rough
        matches = library.matches(spectrum.wavelength, flux, error, starts)
    # The mask moves with the star, so it takes a first velocity to place it.
    velocity = matches[0].velocity if treatment.velocity is None else treatment.velocity
    hidden = masked(at_rest(spectrum.wavelength, velocity), list(treatment.masks))
    if hidden.any():
        left = share * float(np.mean(~hidden[spectrum.usable]))
        if left < LEAST_SEEN:
            raise InputError(
                f"{spectrum.name}: the masks leave {left:.0%} of the model's axis, {LEAST_SEEN:.0%} are needed: mask "
                "less"
            )
        spectrum = spectrum.without(hidden)
        matches = library.matches(spectrum.wavelength, flux, np.where(hidden, np.inf, error), starts)
        velocity = matches[0].velocity if treatment.velocity is None else treatment.velocity
    nearest = library.labels[[match.row for match in matches]]
    continuum = np.empty(0)
    if treatment.degree is not None:
        template = np.interp(at_rest(spectrum.wavelength, velocity), axis.pixels, library.flux[matches[0].row])
        continuum = continuum_over(basis, template, spectrum.flux, spectrum.error)
    return Beginning(spectrum, basis, continuum, velocity, nearest, share)


def _cut(spectrum: ObservedSpectrum, axis: WavelengthAxis, *velocities: float) -> ObservedSpectrum:
    """The pixels that lie on the axis at any velocity between some; the spectrum itself if all do, or none."""
    rest = [at_rest(spectrum.wavelength, velocity) for velocity in velocities]
    inside = (np.min(rest, axis=0) <= axis.edges[-1]) & (np.max(rest, axis=0) >= axis.edges[0])
    return spectrum if inside.all() or not (inside & spectrum.usable).any() else spectrum.only(inside)


def _continuum(
    spectrum: ObservedSpectrum, contract: Contract, treatment: Treatment
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The continuum's basis, (pixels, coefficients), none for normalised spectra, and a first guess at it (pixels,)."""
    if treatment.degree is None:
        _require_normalised(spectrum, contract)
        return np.empty((len(spectrum.wavelength), 0)), np.ones(len(spectrum.wavelength))
    pieces = spectrum.orders
    basis = basis_of_pieces(spectrum.wavelength, pieces, treatment.degree)
    rough = np.empty(len(spectrum.wavelength))
    for number, piece in enumerate(pieces):
        columns = slice(number * (treatment.degree + 1), (number + 1) * (treatment.degree + 1))
        # In the flux's own unit, so that coefficients are about 1 whether it counts photons or ergs.
        basis[piece, columns] *= _upper(spectrum.flux[piece], spectrum.error[piece])
        own = basis[piece, columns]
        rough[piece] = own @ upper_envelope(own, spectrum.flux[piece], spectrum.error[piece])
    if not (rough > 0).all():
        raise InputError(f"{spectrum.name}: no continuum above 0 can be fitted: check the flux, or --continuum")
    return basis, rough


def _covered(spectrum: ObservedSpectrum, contract: Contract, velocity: float, least_share: float) -> float:
    """Share of the axis with usable pixels, which must be at least some."""
    axis = contract.wavelength
    rest = at_rest(spectrum.wavelength[spectrum.usable], velocity)
    inside = rest[(rest >= axis.start) & (rest <= axis.stop)]
    gaps = np.diff(inside)
    # Gaps count as missing; a pixel is about as wide as the median distance.
    covered = float(np.minimum(gaps, 3.0 * np.median(gaps)).sum()) if len(gaps) else 0.0
    share = covered / (axis.stop - axis.start)
    if share < least_share:
        raise InputError(
            f"{spectrum.name} covers {share:.0%} of the model's axis ({rest[0]:.1f} to {rest[-1]:.1f} against "
            f"{axis.start:g} to {axis.stop:g} {axis.unit}, {axis.medium}), {least_share:.0%} are needed: take "
            "a --model of the spectrum's own axis, or the verb fit, which needs less"
        )
    return share


def _upper(flux: NDArray[np.float64], error: NDArray[np.float64]) -> float:
    usable = np.isfinite(error)
    return float(np.quantile(flux[usable], UPPER_QUANTILE)) if usable.any() else 1.0


def _require_normalised(spectrum: ObservedSpectrum, contract: Contract) -> None:
    """Refuse flux on another scale than the model's: about 1, or the contract's range if that is wider."""
    upper, allowed = _upper(spectrum.flux, spectrum.error), contract.flux
    if allowed.upper > NORMALISED[1]:
        if not allowed.lower <= upper <= allowed.upper:
            raise InputError(
                f"{spectrum.name}: {UPPER_QUANTILE:.0%} of its flux lie below {upper:.4g}, not in the model's "
                f"{allowed.lower:g} to {allowed.upper:g}: give it in the model's unit, or let --continuum fit it"
            )
    elif not NORMALISED[0] <= upper <= NORMALISED[1]:
        raise InputError(
            f"{spectrum.name} is not normalised: {UPPER_QUANTILE:.0%} of its flux lie below {upper:.4g}, not about 1: "
            "let --continuum fit it"
        )


def _require_lines(
    spectrum: ObservedSpectrum, flux: NDArray[np.float64], error: NDArray[np.float64], library: Library, best: float
) -> None:
    """Refuse a spectrum that a constant fits as well as the library's best does, whose chi-square is ``best``."""
    featureless = library.featureless(spectrum.wavelength, flux, error)
    # A line that no star has may be there: that is for the fit to warn of.
    if featureless - best < LEAST_GAIN and featureless < FEATURELESS * np.isfinite(error).sum():
        raise InputError(
            f"{spectrum.name} shows no absorption lines (no Ca II triplet): its flux is as near to a constant as to "
            "any star's, within its errors"
        )
