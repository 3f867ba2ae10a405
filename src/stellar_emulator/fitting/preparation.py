"""Prepares a fit of an observed spectrum: overlap, masks, rough continuum, velocity, nearest spectra."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.axis import SPEED_OF_LIGHT, WavelengthAxis
from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import InputError
from stellar_emulator.fitting.model_error import EMULATOR_ALONE, ModelError
from stellar_emulator.fitting.sharpness import as_sharp_as
from stellar_emulator.fitting.spikes import impossible
from stellar_emulator.observed.continuum import basis_of_pieces, continuum_over, upper_envelope
from stellar_emulator.observed.masks import masked
from stellar_emulator.observed.spectrum import ObservedSpectrum
from stellar_emulator.observed.velocity import FASTEST, Library, Match, Seen, at_rest

NORMALISED = (0.5, 1.5)
"""Bounds of the upper flux of a normalised spectrum."""

UPPER_QUANTILE = 0.9
"""Quantile of the flux that is robust against spikes and near the continuum of all but the coolest stars."""

LEAST_SEEN = 0.15
"""Smallest share of the model's axis that masks must leave."""

LEAST_GAIN = 50.0
"""Gain in chi-square of the library's best spectrum over a featureless one, below which no stellar lines are
detected."""

FEW = 0.03
"""Share of a spectrum's pixels beyond the model's axis that a rough continuum bears."""

FEATURELESS = 1.5
"""Reduced chi-square of a constant below which the spectrum has no other lines either."""


@dataclass(frozen=True)
class Treatment:
    """Treatment of spectra before labels are inferred.

    velocity: in km/s, None to measure it; degree: that of the continuum, None for normalised spectra; masks: ranges
    at rest in the contract's medium; broaden: whether spectra sharper than the model can be are broadened; error: what
    counts as the model's error; detector: width in Angstrom of the pixels whose noise is shared, None as the spectrum
    states it; stretched: whether the wavelength scale's stretch is fitted; observed_masks: ranges in the observer's
    frame, in the contract's medium.
    """

    velocity: float | None
    degree: int | None
    masks: tuple[tuple[float, float], ...] = ()
    broaden: bool = False
    error: ModelError = EMULATOR_ALONE
    detector: float | None = None
    stretched: bool = False
    observed_masks: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Beginning:
    """Start of a fit of one spectrum, which is masked and cut to the model's axis.

    basis: that of the continuum, (pixels, degree + 1), or (pixels, 0); continuum: its first coefficients; velocity: in
    km/s; labels: those of the library's nearest spectra, nearest first, (starts, labels); velocities: theirs,
    (starts,); share: covered share of the model's axis; spikes: number of pixels that were left out since no star has
    such flux.
    """

    spectrum: ObservedSpectrum
    basis: NDArray[np.float64]
    continuum: NDArray[np.float64]
    velocity: float
    labels: NDArray[np.float64]
    velocities: NDArray[np.float64]
    share: float
    spikes: int = 0


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
    (begun,) = begin_all([spectrum], contract, library, treatment, least_share, starts)
    if isinstance(begun, InputError):
        raise begun
    return begun


def begin_all(
    spectra: Sequence[ObservedSpectrum],
    contract: Contract,
    library: Library,
    treatment: Treatment,
    least_share: float,
    starts: int = 2,
) -> list[Beginning | InputError]:
    """Prepare spectra as `begin` does, all together; one that can't be used comes as the error that says why."""
    drafts: list[_Draft | InputError] = []
    for spectrum in spectra:
        try:
            drafts.append(_drafted(spectrum, contract, treatment, least_share))
        except InputError as error:
            drafts.append(error)
    step = _Step(contract, library, treatment, starts)
    drafts = step.changed(drafts, step.possible, again=False)
    drafts = step.matched(drafts)
    drafts = step.changed(drafts, step.with_lines, again=False)
    drafts = step.changed(drafts, step.cut, again=True)
    drafts = step.changed(drafts, step.masked, again=True)
    return [one if isinstance(one, InputError) else step.begun(one) for one in drafts]


@dataclass(frozen=True)
class _Draft:
    """A spectrum on its way: its continuum's basis, a first guess at it (pixels,), and the library's matches."""

    spectrum: ObservedSpectrum
    basis: NDArray[np.float64]
    rough: NDArray[np.float64]
    share: float
    matches: tuple[Match, ...] = ()
    spikes: int = 0

    @property
    def seen(self) -> Seen:
        """As a library sees it."""
        one = self.spectrum
        return Seen(one.wavelength, one.flux / self.rough, one.error / self.rough)


@dataclass(frozen=True)
class _Step:
    """What each step of the preparation needs."""

    contract: Contract
    library: Library
    treatment: Treatment
    starts: int

    def matched(self, drafts: Sequence[_Draft | InputError]) -> list[_Draft | InputError]:
        """With the library's matches, of all drafts in one go."""
        places = [i for i, one in enumerate(drafts) if isinstance(one, _Draft)]
        found = self.library.matches([one.seen for one in drafts if isinstance(one, _Draft)], self.starts)
        out = list(drafts)
        for i, matches in zip(places, found, strict=True):
            one = out[i]
            assert isinstance(one, _Draft)
            out[i] = replace(one, matches=tuple(matches))
        return out

    def changed(
        self, drafts: Sequence[_Draft | InputError], change: Callable[[_Draft], _Draft], again: bool
    ) -> list[_Draft | InputError]:
        """After a change of each draft; those that it changed are matched ``again``."""
        out: list[_Draft | InputError] = []
        for one in drafts:
            try:
                out.append(one if isinstance(one, InputError) else change(one))
            except InputError as error:
                out.append(error)
        moved = [i for i, (old, new) in enumerate(zip(drafts, out, strict=True)) if _rematch(old, new)]
        if again and moved:
            for i, one in zip(moved, self.matched([out[i] for i in moved]), strict=True):
                out[i] = one
        return out

    def possible(self, draft: _Draft) -> _Draft:
        """Without pixels that are no star's, and those of the observer's masks."""
        spectrum, seen = draft.spectrum, draft.seen
        spiked = impossible(seen.flux, seen.error)
        hidden = spiked | masked(spectrum.wavelength, list(self.treatment.observed_masks))
        if not hidden.any():
            return draft
        return replace(draft, spectrum=spectrum.without(hidden), spikes=int(spiked.sum()))

    def with_lines(self, draft: _Draft) -> _Draft:
        """Refuse a draft without lines."""
        _require_lines(draft.spectrum, draft.seen, self.library, draft.matches[0].chi_square)
        return draft

    def cut(self, draft: _Draft) -> _Draft:
        """Where the star is known, what lies beyond the model's axis must not weigh on its continuum."""
        if self.treatment.velocity is not None:
            return draft
        inside = _inside(draft.spectrum, self.contract.wavelength, draft.matches[0].velocity)
        if inside is None:
            return draft
        cut = draft.spectrum.only(inside)
        if np.mean(~inside) < FEW:
            return replace(draft, spectrum=cut, basis=draft.basis[inside], rough=draft.rough[inside])
        basis, rough = _continuum(cut, self.contract, self.treatment)
        return _Draft(cut, basis, rough, draft.share, (), draft.spikes)

    def masked(self, draft: _Draft) -> _Draft:
        """The mask moves with the star, so a first velocity is needed to place it."""
        spectrum = draft.spectrum
        rest = at_rest(spectrum.wavelength, self.velocity(draft))
        hidden = masked(rest, list(self.treatment.masks))
        if not hidden.any():
            return draft
        left = draft.share * float(np.mean(~hidden[spectrum.usable]))
        if left < LEAST_SEEN:
            raise InputError(
                f"{spectrum.name}: the masks leave {left:.0%} of the model's axis, {LEAST_SEEN:.0%} are needed: mask "
                "less"
            )
        return replace(draft, spectrum=spectrum.without(hidden), matches=())

    def velocity(self, draft: _Draft) -> float:
        return draft.matches[0].velocity if self.treatment.velocity is None else self.treatment.velocity

    def begun(self, draft: _Draft) -> Beginning:
        spectrum, velocity = draft.spectrum, self.velocity(draft)
        rows = [match.row for match in draft.matches]
        continuum = np.empty(0)
        if self.treatment.degree is not None:
            axis = self.contract.wavelength.pixels
            template = np.interp(at_rest(spectrum.wavelength, velocity), axis, self.library.flux[rows[0]])
            continuum = continuum_over(draft.basis, template, spectrum.flux, spectrum.error)
        velocities = np.array([match.velocity for match in draft.matches])
        if self.treatment.velocity is not None:
            velocities[:] = velocity
        labels = self.library.labels[rows]
        return Beginning(spectrum, draft.basis, continuum, velocity, labels, velocities, draft.share, draft.spikes)


def _rematch(old: _Draft | InputError, new: _Draft | InputError) -> bool:
    return new is not old and isinstance(new, _Draft) and not new.matches


def _drafted(spectrum: ObservedSpectrum, contract: Contract, treatment: Treatment, least_share: float) -> _Draft:
    axis = contract.wavelength
    spectrum = as_sharp_as(spectrum.on_medium_of(axis), contract, treatment.broaden)
    if treatment.detector is not None:
        spectrum = replace(spectrum, detector=treatment.detector)
    share = _required(spectrum, axis, 0.0 if treatment.velocity is None else treatment.velocity, least_share)
    inside = _inside(spectrum, axis, *((-FASTEST, FASTEST) if treatment.velocity is None else (treatment.velocity,)))
    if inside is not None:
        spectrum = spectrum.only(inside)
    return _Draft(spectrum, *_continuum(spectrum, contract, treatment), share)


def _inside(spectrum: ObservedSpectrum, axis: WavelengthAxis, *velocities: float) -> NDArray[np.bool_] | None:
    """The pixels that lie on the axis at any velocity between some; None if all do, or none."""
    edges = (
        axis.edges[0] * (1.0 + min(velocities) / SPEED_OF_LIGHT),
        axis.edges[-1] * (1.0 + max(velocities) / SPEED_OF_LIGHT),
    )
    inside = (spectrum.wavelength >= edges[0]) & (spectrum.wavelength <= edges[1])
    return None if inside.all() or not (inside & spectrum.usable).any() else inside


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


def covered(spectrum: ObservedSpectrum, axis: WavelengthAxis, velocity: float) -> float:
    """Share of an axis that has usable pixels, for a spectrum in its medium at a velocity in km/s."""
    rest = at_rest(spectrum.wavelength[spectrum.usable], velocity)
    inside = rest[(rest >= axis.start) & (rest <= axis.stop)]
    gaps = np.diff(inside)
    # Gaps count as missing; a pixel is about as wide as the median distance.
    seen = float(np.minimum(gaps, 3.0 * np.median(gaps)).sum()) if len(gaps) else 0.0
    return seen / (axis.stop - axis.start)


def _required(spectrum: ObservedSpectrum, axis: WavelengthAxis, velocity: float, least_share: float) -> float:
    """Share of the axis that is covered, which must reach a minimum."""
    share = covered(spectrum, axis, velocity)
    if share < least_share:
        rest = at_rest(spectrum.wavelength[spectrum.usable], velocity)
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


def _require_lines(spectrum: ObservedSpectrum, seen: Seen, library: Library, best: float) -> None:
    """Refuse a spectrum that a constant fits as well as the library's best does, whose chi-square is ``best``."""
    featureless = library.featureless(seen)
    # The spectrum may show a line that no star has; the fit then warns.
    if featureless - best < LEAST_GAIN and featureless < FEATURELESS * np.isfinite(seen.error).sum():
        raise InputError(
            f"{spectrum.name} shows no absorption lines (no Ca II triplet): its flux is as near to a constant as to "
            "any star's, within its errors"
        )
