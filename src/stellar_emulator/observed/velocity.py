"""Radial velocities: Doppler shifts, and the velocity at which a library of spectra best matches an observed one."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from stellar_emulator.contract.axis import SPEED_OF_LIGHT, WavelengthAxis

FASTEST = 600.0
"""Largest velocity in km/s that is tried; few stars of the Galaxy are faster."""

APART = 60.0
"""Difference in km/s from which two velocities are two answers: more than the width of a sharp star's lines."""

DOUBTFUL = 0.3
"""Share of the best spectrum's gain over a constant by which one at another velocity may be worse."""

ROUGH = 3e-4
"""Error of absorption, as a root mean square, that the components of a library may have."""


def observed_at(rest: NDArray[np.float64], velocity: float) -> NDArray[np.float64]:
    """Observed wavelengths of ``rest``, for a radial velocity in km/s (positive if receding)."""
    return rest * (1.0 + velocity / SPEED_OF_LIGHT)


def at_rest(observed: NDArray[np.float64], velocity: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Wavelengths at rest from observed ones: the inverse of `observed_at`; velocities broadcast."""
    return np.asarray(observed / (1.0 + velocity / SPEED_OF_LIGHT))


@dataclass(frozen=True)
class Match:
    """One of a library's spectra for an observed one: its row, its best velocity in km/s, and chi-square there."""

    row: int
    velocity: float
    chi_square: float


@dataclass(frozen=True)
class Seen:
    """A normalised observed spectrum to compare with a library, (pixels,) each; infinite errors count nothing."""

    wavelength: NDArray[np.float64]
    flux: NDArray[np.float64]
    error: NDArray[np.float64]


@dataclass(frozen=True)
class _Components:
    """What chi-square is made of: loadings (rows, components), and conjugated transforms of the components of
    absorption and of its square, (components, frequencies) each.

    A few components make all of a library's spectra, so that few correlations are taken, not one a spectrum.
    absorption, squares: of all spectra on the steps, (rows, steps); the components are those of the first rows.
    """

    absorption: NDArray[np.float32]
    squares: NDArray[np.float32]
    loadings: NDArray[np.float32]
    linear: NDArray[np.complex64]
    square: NDArray[np.complex64]


@dataclass(frozen=True)
class _OnSteps:
    """An observed spectrum on a library's steps: weight and mean absorption, 1 - flux, of each, (steps,).

    least: the weighted sum of the absorption's squares, over pixels.
    """

    share: NDArray[np.float64]
    absorption: NDArray[np.float64]
    least: float

    @property
    def featureless(self) -> float:
        """Chi-square of the best constant."""
        whole = float(self.share.sum())
        return float(self.least - np.sum(self.share * self.absorption) ** 2 / whole) if whole > 0 else 0.0

    def chi_square(self, absorption: NDArray[np.floating], steps: int) -> float:
        """Chi-square but for ``least`` of a library's absorption, (steps,), moved by some steps; 0 beyond its ends."""
        moved = _moved(absorption, steps)
        return float(np.sum(self.share * moved * (moved - 2.0 * self.absorption)))


@dataclass(frozen=True)
class _Place:
    """A row of a library and a velocity in whole steps, and in km/s."""

    row: int
    step: int
    velocity: float


@dataclass(frozen=True)
class Library:
    """Normalised spectra from which fits begin.

    labels: (rows, labels); flux: (rows, pixels) on ``axis``; coarse: pixels of the axis that are compared as one, few
    enough that lines stay apart; scanned: the first rows, which are compared at all velocities, the others only at
    the best of these.
    """

    axis: WavelengthAxis
    labels: NDArray[np.float64]
    flux: NDArray[np.float32]
    coarse: int = 1
    scanned: int = 512

    @cached_property
    def step(self) -> float:
        """Step in km/s of the logarithmic axis on which shifts are tried."""
        return self.axis.finest_velocity * self.coarse

    @cached_property
    def grid(self) -> NDArray[np.float64]:
        """A logarithmic axis in Angstrom, as wide as the contract's; ``coarse`` of its points make one of a step."""
        points = int(np.log(self.axis.stop / self.axis.start) / (self.axis.finest_velocity / SPEED_OF_LIGHT))
        whole = max(1, points // self.coarse) * self.coarse
        return np.asarray(self.axis.start * np.exp(np.arange(whole) * self.axis.finest_velocity / SPEED_OF_LIGHT))

    @cached_property
    def length(self) -> int:
        """Length of the Fourier transforms: no shift up to `FASTEST` wraps round."""
        return int(next_fast_len(len(self.grid) // self.coarse + self.most_steps, real=True))

    @property
    def most_steps(self) -> int:
        return int(np.ceil(FASTEST / self.step))

    @cached_property
    def _components(self) -> _Components:
        fine = np.stack([np.interp(self.grid, self.axis.pixels, 1.0 - flux) for flux in self.flux])
        absorption = fine.reshape(len(fine), -1, self.coarse).mean(axis=2)
        first = absorption[: self.scanned]
        parts = [_principal(values) for values in (first, first**2)]
        loadings = np.concatenate([-2.0 * parts[0][0], parts[1][0]], axis=1).astype(np.float32)
        transforms = (rfft(part[1], self.length).conj().astype(np.complex64) for part in parts)
        return _Components(absorption.astype(np.float32), (absorption**2).astype(np.float32), loadings, *transforms)

    def matches(self, spectra: Sequence[Seen], count: int = 1) -> list[list[Match]]:
        """The ``count`` best library spectra for each of several, best first, at the velocity that suits it best.

        Velocities lie between -`FASTEST` and `FASTEST`, and what lies beyond the contract's axis counts as continuum.
        One more follows if it is nearly as good at another velocity, more than `APART` from the first's, so that a fit
        may try both.
        """
        seen = [self._on_steps(one) for one in spectra]
        scans = [self._scanned(one) for one in seen]
        compared = self._compared(seen, [scan[0].step for scan in scans])
        found = []
        for one, (best, other), chi_square in zip(seen, scans, compared.T, strict=True):
            nearest = np.argpartition(chi_square, min(count, len(chi_square)) - 1)[:count]
            rows = nearest[np.argsort(chi_square[nearest], kind="stable")]
            matches = [Match(int(row), best.velocity, one.least + float(chi_square[row])) for row in rows]
            if count > 1 and other is not None:
                exact = one.least + one.chi_square(self._components.absorption[other.row], other.step)
                if exact - matches[0].chi_square < DOUBTFUL * (one.featureless - matches[0].chi_square):
                    matches.append(Match(other.row, other.velocity, exact))
            found.append(matches)
        return found

    def _scanned(self, seen: _OnSteps) -> tuple[_Place, _Place | None]:
        """Best place of the first rows at any velocity, and the best far from it, from the components' correlations."""
        steps, parts = np.arange(-self.most_steps, self.most_steps + 1), self._components
        linear = irfft(rfft((seen.share * seen.absorption).astype(np.float32), self.length) * parts.linear, self.length)
        square = irfft(rfft(seen.share.astype(np.float32), self.length) * parts.square, self.length)
        # Negative steps lie at the end of a transform, as Python's indices do.
        chi_square = parts.loadings @ np.concatenate([linear[:, steps], square[:, steps]])
        best = self._place(chi_square, steps)
        others = np.abs(steps - best.step) * self.step > APART
        if not others.any():
            return best, None
        return best, self._place(np.where(others, chi_square, np.inf), steps)

    def _place(self, chi_square: NDArray[np.floating], steps: NDArray[np.int64]) -> _Place:
        row, column = (int(one) for one in np.unravel_index(chi_square.argmin(), chi_square.shape))
        moved = 0.0
        if 0 < column < len(steps) - 1:
            before, here, after = chi_square[row, column - 1 : column + 2].astype(np.float64)
            curvature = before - 2.0 * here + after
            moved = float(0.5 * (before - after) / curvature) if 0 < curvature < np.inf else 0.0
        return _Place(row, int(steps[column]), float((steps[column] + moved) * self.step))

    def _compared(self, seen: Sequence[_OnSteps], steps: Sequence[int]) -> NDArray[np.float64]:
        """Chi-square but for `_OnSteps.least` of all rows, each observed spectrum moved back by its step, (rows, n)."""
        share, both = (np.zeros((self._components.absorption.shape[1], len(seen)), np.float32) for _ in range(2))
        for column, (one, step) in enumerate(zip(seen, steps, strict=True)):
            share[:, column] = _moved(one.share, -step)
            both[:, column] = _moved(one.share * one.absorption, -step)
        absorption = self._components.absorption
        return np.asarray(self._components.squares @ share - 2.0 * (absorption @ both), dtype=np.float64)

    def featureless(self, spectrum: Seen) -> float:
        """Chi-square of the best constant, for comparison with that of `matches`."""
        return self._on_steps(spectrum).featureless

    def _on_steps(self, spectrum: Seen) -> _OnSteps:
        wavelength, weight = spectrum.wavelength, 1.0 / spectrum.error**2
        usable = weight > 0
        # The nearest pixel is used, so that a masked pixel stays masked and weights are not smeared.
        nearest = np.searchsorted((wavelength[1:] + wavelength[:-1]) / 2.0, self.grid)
        inside = (self.grid >= wavelength[0]) & (self.grid <= wavelength[-1])
        share = np.where(inside, weight[nearest], 0.0) * _pixels_per_point(wavelength, self.grid)
        absorption = np.interp(self.grid, wavelength[usable], 1.0 - spectrum.flux[usable])
        wide = share.reshape(-1, self.coarse).sum(axis=1)
        total = (share * absorption).reshape(-1, self.coarse).sum(axis=1)
        mean = np.divide(total, wide, out=np.zeros_like(total), where=wide > 0)
        return _OnSteps(wide, mean, float(np.sum(share * absorption**2)))


def _moved(values: NDArray[np.floating], steps: int) -> NDArray[np.floating]:
    """Values moved to the right by some steps, 0 where there were none."""
    found = np.zeros_like(values)
    if abs(steps) < len(values):
        found[max(0, steps) : len(values) + min(0, steps)] = values[max(0, -steps) : len(values) - max(0, steps)]
    return found


def _principal(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Loadings (rows, components) and components (components, points) that make values (rows, points) to `ROUGH`."""
    left, sizes, right = np.linalg.svd(values, full_matrices=False)
    lost = np.sqrt(np.cumsum(sizes[::-1] ** 2)[::-1] / values.size)
    kept = max(1, int(np.sum(lost > ROUGH)))
    return left[:, :kept] * sizes[:kept], right[:kept]


def _pixels_per_point(wavelength: NDArray[np.float64], grid: NDArray[np.float64]) -> float:
    """Observed pixels for each point of the grid, so that chi-square keeps its scale."""
    return float(np.median(np.diff(grid)) / np.median(np.diff(wavelength)))
