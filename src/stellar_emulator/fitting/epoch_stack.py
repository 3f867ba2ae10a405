"""Epoch spectra of one star side by side, and their mean, each moved by a velocity of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.axis import WavelengthAxis
from stellar_emulator.errors import InputError
from stellar_emulator.observed.continuum import basis_of_pieces, chebyshev_basis, flat
from stellar_emulator.observed.interpret import FEWEST
from stellar_emulator.observed.spectrum import ObservedSpectrum
from stellar_emulator.observed.velocity import at_rest


@dataclass(frozen=True)
class Stack:
    """Spectra of one star, (epochs, pixels) each, in units of their median flux.

    wavelength: in the contract's medium, ascending; error: infinite where there is no flux, as beyond the ends of
    shorter spectra; basis: of each continuum, (epochs, pixels, coefficients); used: epochs that hold a spectrum; ends:
    of each epoch's orders, as of `ObservedSpectrum`; flat: coefficients of the continuum 1; resolution, bluntest: the
    largest resolution and the smallest, None where nobody states it.
    """

    name: str
    wavelength: NDArray[np.float64]
    flux: NDArray[np.float64]
    error: NDArray[np.float64]
    basis: NDArray[np.float64]
    used: NDArray[np.bool_]
    notes: tuple[str, ...] = ()
    ends: tuple[tuple[int, ...], ...] = ()
    flat: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    resolution: float | None = None
    bluntest: float | None = None

    @property
    def usable(self) -> NDArray[np.bool_]:
        return np.isfinite(self.error)

    def without(self, pixels: NDArray[np.bool_]) -> "Stack":
        return replace(self, error=np.where(pixels, np.inf, self.error))


@dataclass(frozen=True)
class Mean:
    """Weighted mean of epochs, (pixels,) each: flux over the continuum, its error, and that of a model."""

    flux: NDArray[np.float64]
    error: NDArray[np.float64]
    model: NDArray[np.float64] | None = None


def stacked(spectra: Sequence[ObservedSpectrum], name: str, axis: WavelengthAxis, degree: int | None) -> Stack:
    """Put epochs of one star side by side; ``degree`` of the continua of their orders, None for normalised spectra.

    Raises
    ------
    InputError
        If no epoch has a flux above 0.
    """
    moved = [spectrum.on_medium_of(axis) for spectrum in spectra]
    stated = [one.resolution for one in moved if one.resolution is not None]
    longest = max(len(one.flux) for one in moved)
    shape = (len(moved), longest)
    wavelength, flux, error = np.empty(shape), np.zeros(shape), np.full(shape, np.inf)
    for row, one in enumerate(moved):
        length = len(one.flux)
        wavelength[row, :length], wavelength[row, length:] = one.wavelength, one.wavelength[-1]
        flux[row, :length], error[row, :length] = one.flux, one.error
    level, known = _medians(flux, np.isfinite(error))
    used = (level > 0) & (known >= FEWEST)
    if not used.any():
        raise InputError(f"{name}: none of its {len(moved)} epochs has a flux above 0")
    notes = tuple(dict.fromkeys(note for one in moved for note in one.notes if "no flux and" not in note))
    if not used.all():
        notes = (*notes, f"{int((~used).sum())} of {len(moved)} epochs have no flux above 0 and are left out")
    scale = np.where(used, level, 1.0)[:, None] if degree is not None else np.ones((len(moved), 1))
    basis, level_one = np.empty((*shape, 0)), np.empty(0)
    if degree is not None:
        several = max(len(one.orders) for one in moved)
        basis = _over_all(wavelength, degree) if several == 1 else _of_orders(moved, shape, degree, several)
        level_one = flat(several, degree)
    error = np.where(used[:, None], error / scale, np.inf)
    ends = tuple(one.ends for one in moved)
    extremes = (max(stated), min(stated)) if stated else (None, None)
    return Stack(name, wavelength, flux / scale, error, basis, used, notes, ends, level_one, *extremes)


def _over_all(wavelength: NDArray[np.float64], degree: int) -> NDArray[np.float64]:
    """Polynomials over the range of all epochs (epochs, pixels), (epochs, pixels, degree + 1)."""
    ends = np.concatenate([[wavelength.min()], wavelength.ravel(), [wavelength.max()]])
    return chebyshev_basis(ends, degree)[1:-1].reshape(*wavelength.shape, degree + 1)


def _of_orders(
    spectra: Sequence[ObservedSpectrum], shape: tuple[int, int], degree: int, most: int
) -> NDArray[np.float64]:
    """Polynomials of each epoch's orders, (epochs, pixels, most * (degree + 1)); none where an epoch has fewer."""
    basis = np.zeros((*shape, most * (degree + 1)))
    for row, one in enumerate(spectra):
        own = basis_of_pieces(one.wavelength, one.orders, degree)
        basis[row, : len(own), : own.shape[1]] = own
        basis[row, len(own) :, : own.shape[1]] = own[-1]
    return basis


def nearest_pixels(
    wavelength: NDArray[np.float64], grid: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The pixel of ascending wavelengths (pixels,) that is nearest to each place of a grid, and places within them."""
    nearest = np.searchsorted((wavelength[1:] + wavelength[:-1]) / 2.0, grid)
    return nearest, (grid >= wavelength[0]) & (grid <= wavelength[-1])


def _medians(flux: NDArray[np.float64], usable: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Median flux of each epoch's usable pixels, and their number, (epochs,) each; 0 of none."""
    count = usable.sum(axis=1)
    ordered = np.sort(np.where(usable, flux, np.inf), axis=1)
    middle = ordered[np.arange(len(flux)), np.minimum(count // 2, flux.shape[1] - 1)]
    return np.where(count > 0, middle, 0.0), count


def mean_at_rest(
    stack: Stack,
    velocities: NDArray[np.float64],
    continuum: NDArray[np.float64],
    grid: NDArray[np.float64],
    model: NDArray[np.float64] | None = None,
) -> Mean:
    """Mean of epochs moved to rest, on a grid (places,), over continua (epochs, pixels).

    Of each epoch the nearest pixel is taken, so that the noise of neighbours is no more correlated than it was. model:
    that of each epoch, (epochs, pixels), to be averaged in the same way.
    """
    weight = (continuum / stack.error) ** 2
    weighted = weight * stack.flux / continuum
    rest = at_rest(stack.wavelength, velocities[:, None])
    sums = np.zeros((3, len(grid)))
    for row in np.flatnonzero(stack.used):
        nearest, inside = nearest_pixels(rest[row], grid)
        own = np.where(inside, weight[row, nearest], 0.0)
        sums[0] += own
        sums[1] += np.where(inside, weighted[row, nearest], 0.0)
        if model is not None:
            sums[2] += own * model[row, nearest] / continuum[row, nearest]
    there = sums[0] > 0
    safe = np.where(there, sums[0], 1.0)
    error = np.where(there, 1.0 / np.sqrt(safe), np.inf)
    return Mean(sums[1] / safe, error, None if model is None else sums[2] / safe)


def repeated(rest: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """What epochs show alike at rest wavelengths, (epochs, pixels) each, as the star does and a cosmic ray does not.

    Of the values at one place, NaN where an epoch has none, the lower median by size counts; it is 0 where fewer than
    two epochs have one.
    """
    grid = rest[int(np.isfinite(values).sum(axis=1).argmax())]
    there = np.stack([np.interp(grid, at, one, np.nan, np.nan) for at, one in zip(rest, values, strict=True)])
    count = np.isfinite(there).sum(axis=0)
    order = np.argsort(np.abs(there), axis=0, kind="stable")
    middle = np.take_along_axis(order, np.maximum(count - 1, 0)[None] // 2, axis=0)
    common = np.where(count > 1, np.take_along_axis(there, middle, axis=0)[0], 0.0)
    return np.asarray(np.interp(rest.ravel(), grid, common).reshape(rest.shape))
