"""Prepares a fit of an observed spectrum: overlap, masks, rough continuum, velocity, nearest spectra."""

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
"""Bounds of the upper flux of a normalised spectrum."""

UPPER_QUANTILE = 0.9
"""Quantile of the flux that is robust against spikes and near the continuum of all but the coolest stars."""

LEAST_SEEN = 0.15
"""Smallest share of the model's axis that masks must leave."""

LEAST_GAIN = 50.0
"""Gain in chi-square of the library's best spectrum over a featureless one, below which no stellar lines are
detected."""

FEATURELESS = 1.5
"""Reduced chi-square of a constant below which the spectrum has no other lines either."""


@dataclass(frozen=True)
class Treatment:
    """Treatment of spectra before labels are inferred.

    velocity: in km/s, None to measure it; degree: that of the continuum, None for normalised spectra; masks: ranges
    at rest in the contract's medium; broaden: whether spectra sharper than the model can be are broadened.
    """

    velocity: float | None
    degree: int | None
    masks: tuple[tuple[float, float], ...] = ()
    broaden: bool = False


@dataclass(frozen=True)
class Beginning:
    """Start of a fit of one spectrum, which is masked and cut to the model's axis.

    basis: that of the continuum, (pixels, degree + 1), or (pixels, 0); continuum: its first coefficients; velocity: in
    km/s; labels: those of the library's nearest spectra, nearest first, (starts, labels); share: covered share of the
    model's axis.
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
    # The mask moves with the star, so a first velocity is needed to place it.
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
        # The basis is in the flux's own unit, so that coefficients are about 1 in any unit of flux.
        basis[piece, columns] *= _upper(spectrum.flux[piece], spectrum.error[piece])
        own = basis[piece, columns]
        rough[piece] = own @ upper_envelope(own, spectrum.flux[piece], spectrum.error[piece])
    if not (rough > 0).all():
        raise InputError(f"{spectrum.name}: no continuum above 0 can be fitted: check the flux, or --continuum")
    return basis, rough


def _covered(spectrum: ObservedSpectrum, contract: Contract, velocity: float, least_share: float) -> float:
    """Share of the axis with usable pixels, which must reach a minimum."""
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
    # The spectrum may show a line that no star has; the fit then warns.
    if featureless - best < LEAST_GAIN and featureless < FEATURELESS * np.isfinite(error).sum():
        raise InputError(
            f"{spectrum.name} shows no absorption lines (no Ca II triplet): its flux is as near to a constant as to "
            "any star's, within its errors"
        )
