"""Computed spectra laid over observed ones: instrument, velocity and continuum fitted, labels given or fitted."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from benchmarks.star_files import Star
from stellar_emulator.contract.axis import SPEED_OF_LIGHT, IntrinsicAxis
from stellar_emulator.grid.engines.intrinsic import bin_averages, synthesis_range
from stellar_emulator.grid.engines.synspec import linelist, run
from stellar_emulator.grid.engines.synspec.engine import stellar_of
from stellar_emulator.grid.engines.synspec.line_data import LineData
from stellar_emulator.observed.continuum import chebyshev_basis
from stellar_emulator.system.cache import cache_folder
from stellar_emulator.system.files import new_file

AXIS = IntrinsicAxis(start=8367.0, stop=8893.0, velocity_step=1.0, flux_per_count=1e-4)
"""Finer than a grid's, since solar atlases are."""

SHORTEST, LONGEST = 8380.0, 8880.0

CA_II = (8498.02, 8542.09, 8662.14)

WING_SIGMA = 100.0
"""Standard deviation in km/s of a profile's wings, where it has some."""

WINGS = (0.05, 0.05)
"""Share of the light in them before a spectrum is looked at, and its standard deviation."""

MOST_WINGS = 0.3

STEPS = {"teff": 60.0, "logg": 0.1, "m_h": 0.08, "vmicro": 0.15, "alpha_m": 0.08, "n_m": 0.15}
"""Of differences that make derivatives."""

BOUNDS = {
    "teff": (3500.0, 8000.0),
    "logg": (0.0, 5.2),
    "m_h": (-4.0, 0.5),
    "vmicro": (0.3, 4.0),
    "alpha_m": (-0.2, 0.6),
    "n_m": (-0.5, 1.2),
}


@dataclass(frozen=True)
class Computer:
    """SYNSPEC with some line data; what it computed lies in the cache, by labels and data.

    atoms: in place of the data's own atomic lines; without them spectra of the data are kept from call to call.
    """

    lines: LineData
    atoms: tuple[linelist.AtomicLine, ...] | None = None

    def __call__(self, labels: Mapping[str, float]) -> NDArray[np.float64]:
        """Intrinsic flux on `AXIS`, shape (bins,), for labels by name."""
        rounded = {name: round(float(labels[name]), 4) for name in BOUNDS if name in labels}
        key = hashlib.sha256(json.dumps([rounded, self._key, AXIS.model_dump()], sort_keys=True).encode()).hexdigest()
        path = cache_folder() / "computed-stars" / f"{key[:24]}.npy"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            flux = self._computed(rounded)
            with new_file(path) as partial, partial.open("wb") as stream:
                np.save(stream, flux.astype(np.float32))
        return np.asarray(np.load(path), dtype=np.float64)

    @cached_property
    def _key(self) -> str:
        text = f"{self.lines.name}{self.lines.changes.digest}"
        if self.atoms is not None:
            text += "".join(line.synspec_record() for line in self.atoms)
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def _installation(self) -> run.Installation:
        installed = run.install(*synthesis_range(AXIS), self.lines)
        if self.atoms is None:
            return installed
        path = cache_folder() / "computed-stars" / f"{self._key[:24]}.lin"
        path.parent.mkdir(parents=True, exist_ok=True)
        linelist.write_lines(path, self.atoms)
        return replace(installed, atomic=path)

    def _computed(self, labels: Mapping[str, float]) -> NDArray[np.float64]:
        done = run.synthesise(self._installation, stellar_of(labels), *synthesis_range(AXIS))
        return bin_averages(done.wavelength, done.flux / done.continuum, AXIS.edges)


@dataclass(frozen=True)
class Nuisance:
    """What lies between a star and its spectrum: velocity and the instrument's standard deviation, both in km/s.

    scale: by which velocity the wavelength scale is off, as coefficients in km/s of Chebyshev's polynomials from the
    first degree on: arcs leave some spectra stretched, or bent. wings: share of the light in a wide Gaussian beside.
    """

    velocity: float
    sigma: float
    scale: tuple[float, ...] = ()
    wings: float = 0.0

    def rest(self, wavelength: NDArray[np.float64]) -> NDArray[np.float64]:
        """Wavelengths at rest from observed ones, both in Angstrom, shape (pixels,)."""
        offset = np.polynomial.chebyshev.chebval(_place(wavelength), (0.0, *self.scale))
        return wavelength / (1.0 + (self.velocity + offset) / SPEED_OF_LIGHT)


def _place(wavelength: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where a wavelength lies between `SHORTEST` and `LONGEST`, from -1 to 1."""
    return (wavelength - 0.5 * (SHORTEST + LONGEST)) / (0.5 * (LONGEST - SHORTEST))


def smoothed(intrinsic: NDArray[np.float64], sigma: float, wings: float = 0.0) -> NDArray[np.float64]:
    """Intrinsic flux on `AXIS`, shape (..., bins), through a Gaussian of a standard deviation in km/s, with wings."""
    bins = intrinsic.shape[-1]
    frequency = np.arange(bins // 2 + 1) / (bins * AXIS.velocity_step)
    core, wide = (np.exp(-2.0 * (np.pi * width * frequency) ** 2) for width in (sigma, WING_SIGMA))
    passed = (1.0 - wings) * core + wings * wide
    return np.asarray(np.fft.irfft(np.fft.rfft(intrinsic, axis=-1) * passed, bins, axis=-1))


def seen(intrinsic: NDArray[np.float64], wavelength: NDArray[np.float64], nuisance: Nuisance) -> NDArray[np.float64]:
    """Normalised flux at observed wavelengths in Angstrom, (bins,) to (pixels,)."""
    return np.interp(nuisance.rest(wavelength), AXIS.wavelength, smoothed(intrinsic, nuisance.sigma, nuisance.wings))


@dataclass(frozen=True)
class Overlay:
    """A computed spectrum over an observed one.

    model: normalised flux at the star's pixels; continuum: that the star's flux was divided by; used: pixels that
    counted; all of shape (pixels,).
    """

    star: Star
    nuisance: Nuisance
    model: NDArray[np.float64]
    continuum: NDArray[np.float64]
    used: NDArray[np.bool_]

    @cached_property
    def residual(self) -> NDArray[np.float64]:
        """Observed minus computed, normalised; nan where nothing counts."""
        return np.where(self.used, self.star.flux / self.continuum - self.model, np.nan)

    @property
    def rest(self) -> NDArray[np.float64]:
        return self.nuisance.rest(self.star.wavelength)

    def near_ca(self, half_width: float) -> NDArray[np.bool_]:
        return np.asarray(np.any([np.abs(self.rest - line) <= half_width for line in CA_II], axis=0))

    def at_ca(self, nearest: float, farthest: float) -> float:
        """Mean of observed minus computed at some distance in Angstrom from the Ca II lines, masked or not."""
        distance = np.min([np.abs(self.rest - line) for line in CA_II], axis=0)
        chosen = (distance >= nearest) & (distance <= farthest) & np.isfinite(self.star.error)
        return float(np.mean((self.star.flux / self.continuum - self.model)[chosen])) if chosen.any() else np.nan

    def rms(self, without_ca: float = 0.0) -> float:
        return float(np.sqrt(np.nanmean(self._outside(without_ca) ** 2)))

    def mae(self, without_ca: float = 0.0) -> float:
        return float(np.nanmean(np.abs(self._outside(without_ca))))

    def _outside(self, half_width: float) -> NDArray[np.float64]:
        return np.where(self.near_ca(half_width), np.nan, self.residual) if half_width else self.residual


@dataclass(frozen=True)
class Laying:
    """How spectra are laid over one another.

    degree: of the continuum's polynomial; ca_mask: half width in Angstrom left out round each Ca II line; noise_floor:
    error of the computed flux, added in quadrature to the observed one's; resolution: first guess; masked: ranges in
    Angstrom at rest; wings: whether the profile may have some; scale_degree: of the wavelength scale's error; longest:
    Angstrom from which on it is too large.
    """

    degree: int = 4
    ca_mask: float = 0.0
    noise_floor: float = 0.006
    resolution: float = 10000.0
    masked: tuple[tuple[float, float], ...] = ()
    outlier: float = 0.08
    wings: bool = False
    scale_degree: int = 0
    longest: float = LONGEST


@dataclass
class Laid:
    """A star with its usable pixels and weights, ready for any computed spectrum."""

    star: Star
    how: Laying
    basis: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.star = self.star.between(SHORTEST, self.how.longest)
        self.basis = chebyshev_basis(self.star.wavelength, self.how.degree)

    def usable(self, nuisance: Nuisance) -> NDArray[np.bool_]:
        rest = nuisance.rest(self.star.wavelength)
        usable = np.isfinite(self.star.error)
        for line in CA_II if self.how.ca_mask else ():
            usable &= np.abs(rest - line) > self.how.ca_mask
        for shortest, longest in self.how.masked:
            usable &= (rest < shortest) | (rest > longest)
        return usable

    def over(self, intrinsic: NDArray[np.float64], nuisance: Nuisance) -> Overlay:
        """The continuum fitted: linear least squares, outliers left out in a second round."""
        model, usable = seen(intrinsic, self.star.wavelength, nuisance), self.usable(nuisance)
        scale = float(np.median(self.star.flux[usable]))
        for _ in range(2):
            spread = np.hypot(self.star.error[usable] / scale, self.how.noise_floor)
            columns = (model[:, None] * self.basis)[usable]
            found, *_ = np.linalg.lstsq(columns / spread[:, None], self.star.flux[usable] / spread, rcond=None)
            continuum = self.basis @ found
            left = (self.star.flux / continuum - model)[usable]
            keep = np.abs(left) < np.maximum(8.0 * 1.4826 * np.median(np.abs(left)), self.how.outlier)
            usable[np.flatnonzero(usable)[~keep]] = False
        return Overlay(self.star, nuisance, model, continuum, usable)

    def spread(self, overlay: Overlay) -> NDArray[np.float64]:
        """Standard deviation of each pixel of `Overlay.residual`, noise and computed flux together."""
        return np.hypot(self.star.error / overlay.continuum, self.how.noise_floor)

    def nuisance(self, intrinsic: NDArray[np.float64], first: Nuisance | None = None) -> Nuisance:
        """Velocity and instrument that fit best."""
        first = first or self._first(intrinsic)

        winged = [first.wings or WINGS[0]] if self.how.wings else []

        def residual(values: NDArray[np.float64]) -> NDArray[np.float64]:
            found = self.over(intrinsic, _nuisance(values, bool(winged)))
            prior = [(values[-1] - WINGS[0]) / WINGS[1]] if winged else []
            return np.append(np.where(found.used, found.residual / self.spread(found), 0.0), prior)

        degree = self.how.scale_degree
        start = [first.velocity, first.sigma, *(first.scale or degree * (0.0,)), *winged]
        sizes = [5.0, 3.0, *degree * [5.0], *len(winged) * [0.05]]
        found = least_squares(residual, start, diff_step=len(start) * [1e-3], x_scale=sizes)
        return _nuisance(found.x, bool(winged))

    def _first(self, intrinsic: NDArray[np.float64]) -> Nuisance:
        sigma = SPEED_OF_LIGHT / self.how.resolution / 2.3548
        velocities = np.arange(-120.0, 121.0, 4.0)
        misfit = [self.misfit(intrinsic, Nuisance(v, sigma)) for v in velocities]
        return Nuisance(float(velocities[int(np.argmin(misfit))]), sigma)

    def misfit(self, intrinsic: NDArray[np.float64], nuisance: Nuisance) -> float:
        """Mean absolute residual, that of single pixels bounded."""
        found = self.over(intrinsic, nuisance)
        left = (found.star.flux / found.continuum - found.model)[self.usable(nuisance)]
        return float(np.mean(np.minimum(np.abs(left), 0.2)))


def _nuisance(values: NDArray[np.float64], winged: bool) -> Nuisance:
    velocity, sigma, *others = values.tolist()
    wings = float(np.clip(others.pop(), 0.0, MOST_WINGS)) if winged else 0.0
    return Nuisance(velocity, abs(sigma), tuple(others), wings)


def nearest(star: Star, computer: Computer, starts: Sequence[Mapping[str, float]], how: Laying) -> Mapping[str, float]:
    """Of some labels to begin with, those whose computed spectrum resembles the star's most."""
    laid = Laid(star, how)

    def misfit(labels: Mapping[str, float]) -> float:
        intrinsic = computer(labels)
        return laid.misfit(intrinsic, laid.nuisance(intrinsic))

    return min(starts, key=misfit)


@dataclass(frozen=True)
class Fitted:
    """Labels that fit a star best, their errors, and the computed spectrum there."""

    labels: dict[str, float]
    errors: dict[str, float]
    overlay: Overlay


def fitted(
    star: Star,
    computer: Computer,
    free: Sequence[str],
    start: Mapping[str, float],
    how: Laying,
    priors: Mapping[str, tuple[float, float]] | None = None,
    rounds: int = 4,
) -> Fitted:
    """Fit labels by Gauss-Newton; derivatives by differences, improved by Broyden's formula after the first round.

    priors: mean and standard deviation by label. Labels stay within `BOUNDS`.
    """
    laid, labels, priors = Laid(star, how), {**start}, priors or {}
    intrinsic = computer(labels)
    nuisance = laid.nuisance(intrinsic)
    slopes = np.stack([_slope(computer, labels, intrinsic, name) for name in free])
    best: tuple[float, dict[str, float], NDArray[np.float64], Nuisance] | None = None
    covariance = np.eye(len(free))
    for number in range(rounds + 1):
        nuisance = laid.nuisance(intrinsic, nuisance)
        overlay = laid.over(intrinsic, nuisance)
        cost = _cost(laid, overlay, labels, priors)
        if best is None or cost < best[0]:
            best = (cost, dict(labels), intrinsic, nuisance)
        if number == rounds:
            break
        step, covariance = _step(laid, overlay, intrinsic, slopes, free, labels, priors)
        moved = {
            name: _bounded(name, labels[name] + _damped(name, value)) for name, value in zip(free, step, strict=True)
        }
        change = np.array([moved[name] - labels[name] for name in free])
        labels = {**labels, **moved}
        following = computer(labels)
        scaled = change / np.array([STEPS[name] for name in free])
        if scaled @ scaled > 1e-6:
            missed = following - intrinsic - change @ slopes
            weight = scaled / np.array([STEPS[name] for name in free]) / (scaled @ scaled)
            slopes = slopes + np.outer(weight, missed)
        intrinsic = following
    assert best is not None
    _, labels, intrinsic, nuisance = best
    errors = dict(zip(free, np.sqrt(np.diag(covariance)), strict=True))
    return Fitted(labels, errors, laid.over(intrinsic, nuisance))


_LARGEST_STEP = {"teff": 400.0, "logg": 0.7, "m_h": 0.5, "vmicro": 0.6, "alpha_m": 0.3, "n_m": 0.5}


def _damped(name: str, step: float) -> float:
    return float(np.clip(step, -_LARGEST_STEP[name], _LARGEST_STEP[name]))


def _bounded(name: str, value: float) -> float:
    return float(np.clip(value, *BOUNDS[name]))


def _slope(
    computer: Computer, labels: Mapping[str, float], intrinsic: NDArray[np.float64], name: str
) -> NDArray[np.float64]:
    step = STEPS[name] if labels[name] + STEPS[name] <= BOUNDS[name][1] else -STEPS[name]
    return (computer({**labels, name: labels[name] + step}) - intrinsic) / step


def _cost(
    laid: Laid, overlay: Overlay, labels: Mapping[str, float], priors: Mapping[str, tuple[float, float]]
) -> float:
    pulls = np.where(overlay.used, overlay.residual / laid.spread(overlay), 0.0)
    capped = np.minimum(pulls**2, 36.0)
    return float(capped.sum() + sum(((labels[name] - mean) / error) ** 2 for name, (mean, error) in priors.items()))


def _step(
    laid: Laid,
    overlay: Overlay,
    intrinsic: NDArray[np.float64],
    slopes: NDArray[np.float64],
    free: Sequence[str],
    labels: Mapping[str, float],
    priors: Mapping[str, tuple[float, float]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Change of the free labels, and their covariance, continuum, velocity and instrument free beside them."""
    used, nuisance = overlay.used, overlay.nuisance
    columns = [seen(slope, overlay.star.wavelength, nuisance) for slope in slopes]
    nuisances = [overlay.model * column for column in laid.basis.T]
    nuisances += nuisance_columns(overlay)
    if laid.how.wings:
        with_wings, without = (
            seen(intrinsic, overlay.star.wavelength, replace(nuisance, wings=share)) for share in (1.0, 0.0)
        )
        nuisances.append(with_wings - without)
    weight = 1.0 / laid.spread(overlay)[used]
    design = np.stack([*columns, *nuisances], axis=1)[used] * weight[:, None]
    target = overlay.residual[used] * weight
    normal, right = design.T @ design, design.T @ target
    if laid.how.wings:
        normal[-1, -1] += 1.0 / WINGS[1] ** 2
        right[-1] += (WINGS[0] - nuisance.wings) / WINGS[1] ** 2
    for place, name in enumerate(free):
        if name in priors:
            mean, error = priors[name]
            normal[place, place] += 1.0 / error**2
            right[place] += (mean - labels[name]) / error**2
    inverse = np.asarray(np.linalg.pinv(normal, rcond=1e-12, hermitian=True), dtype=np.float64)
    return np.asarray((inverse @ right)[: len(free)]), inverse[: len(free), : len(free)]


def nuisance_columns(overlay: Overlay) -> list[NDArray[np.float64]]:
    """Derivatives of the computed flux by velocity, by the instrument's width and by the scale, per km/s."""
    velocity = np.gradient(overlay.model, overlay.star.wavelength) * overlay.star.wavelength / SPEED_OF_LIGHT
    width = np.gradient(velocity, overlay.star.wavelength) * overlay.star.wavelength / SPEED_OF_LIGHT
    offsets = np.polynomial.chebyshev.chebvander(_place(overlay.star.wavelength), len(overlay.nuisance.scale))
    return [overlay.nuisance.sigma * width, *(-velocity[:, None] * offsets).T]
