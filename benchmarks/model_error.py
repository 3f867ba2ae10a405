"""The error of a pair's physics, from stars whose labels are known: ``python -m benchmarks.model_error FOLDER``.

Stars of use ``calibrate`` are fitted with Teff, log g and [M/H] held at the literature's; what is left beside the cores
of Ca II is told by two numbers (of the greatest likelihood), and by the length over which it is correlated; what is
left of the cores, by an equivalent width. Then the same stars are fitted
with all labels free, and the factor is found for which their deviations are as large as the errors say. The numbers go
into ``data_contracts/NAME.physics.yaml``; the pulls of all other stars are printed to be judged.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize

from benchmarks.machine import table
from benchmarks.star_files import Star, read_folder
from stellar_emulator import Emulator, Validator
from stellar_emulator.fitting.estimate import Fitted, Pair, fit
from stellar_emulator.fitting.model_error import ModelError, PhysicsError, calcium_cores
from stellar_emulator.fitting.preparation import Treatment
from stellar_emulator.fitting.protocols import library
from stellar_emulator.observed.spectrum import ObservedSpectrum
from stellar_emulator.observed.velocity import at_rest

NAMES = ("teff", "logg", "m_h")
SETS = ("gaia_dr3", "indo_us", "deimos", "tres", "sun")
SHARP = {"tres": 44000.0, "sun": 50000.0}
"""Resolutions above the model's, by set."""

SUN_USED = (8525.0, 8748.0)
"""Angstrom of the solar atlas without many telluric lines, and bad blocks of it."""
SUN_BAD = ((8527.0, 8531.0), (8740.0, 8743.0))

FIRST = PhysicsError(0.007, 0.06, 0.8, 1.0, 0.06)
"""What the first fits take for it."""

PIXEL = 0.2
"""Angstrom of the pixels on which residuals are looked at, where a spectrum has finer ones."""

BESIDE, INNER, WHOLE = 2.0, 1.0, 0.9
"""Half widths in Angstrom round the lines of Ca II that count as cores, and over which what is left of them is summed;
share of the latter that must be seen."""

LAGS = np.arange(0.25, 1.6, 0.25)


@dataclass(frozen=True)
class Residuals:
    """Of one star over its continuum, with the error of each and computed depths, (pixels,) each; step in Angstrom;
    cores: whether a pixel is beside one of Ca II's, (pixels,); inner: which pixels each core has."""

    residual: NDArray[np.float64]
    noise: NDArray[np.float64]
    depth: NDArray[np.float64]
    step: float
    cores: NDArray[np.bool_]
    inner: list[NDArray[np.bool_]]

    @property
    def widths(self) -> NDArray[np.float64]:
        """What is left of each core, in Angstrom, (cores,)."""
        return np.array([self.residual[own].sum() * self.step for own in self.inner])


def main() -> None:
    """Print the numbers, and pulls by star."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="labels.csv and the spectra that it names")
    parser.add_argument("--model", default="gaia_rvs")
    options = parser.parse_args()
    emulator = Emulator.load(options.model)
    pair = Pair(emulator, Validator.load(options.model), library(emulator))
    stars = [star for star in read_folder(options.folder) if _inside(star, pair)]
    held = [_residuals(star, pair) for star in stars if star.use == "calibrate"]
    flat, lines = _sizes(held)
    length = _length(held, flat, lines)
    widths = np.concatenate([one.widths for one in held])
    expected = np.concatenate([_expected_widths(one, flat, lines) for one in held])
    cores = float(np.sqrt(max(0.0, np.mean(widths**2 - expected**2))))
    print(
        f"cores: {len(widths)}, mean {widths.mean():+.3f} A, RMS {np.sqrt(np.mean(widths**2)):.3f} A, "
        f"{np.sqrt(np.mean(expected**2)):.3f} A in the weights of pixels anyway"
    )
    physics = PhysicsError(float(flat), float(lines), length, 1.0, cores)
    pulls = {star.name: (star, _deviations(star, pair, physics)) for star in stars}
    calibrate = np.array([rows for star, rows in pulls.values() if star.use == "calibrate"])
    factor = _factor(calibrate)
    print(f"# {len(held)} stars\nflat: {flat:.4f}\nlines: {lines:.4f}\nlength: {length:.2f}\nlabels: {factor:.2f}")
    print(f"cores: {cores:.3f}")
    print(_judged(pulls, factor))


def _inside(star: Star, pair: Pair) -> bool:
    contract = pair.emulator.contract
    known = star.quality in ("good", "fair") and all(name in star.labels for name in NAMES)
    bounds = {label.name: label for label in contract.labels}
    return (
        star.group in SETS
        and known
        and all(bounds[name].lower <= star.labels[name] <= bounds[name].upper for name in NAMES)
    )


def _observed(star: Star) -> ObservedSpectrum:
    if star.group == "sun":
        star = star.between(*SUN_USED).without(list(SUN_BAD))
    guessed = star.group not in ("gaia_dr3", "tres")
    detector = 0.245 if star.group == "gaia_dr3" else None
    resolution = SHARP.get(star.group)
    flux = np.where(np.isfinite(star.error), star.flux, 0.0)
    return ObservedSpectrum(
        star.name, star.wavelength, "air", flux, star.error, resolution=resolution, detector=detector, guessed=guessed
    )


def _fitted(star: Star, pair: Pair, physics: PhysicsError, known: dict[str, float]) -> Fitted:
    treatment = Treatment(None, 3, broaden=True, error=ModelError(True, physics))
    return fit(_observed(star), pair, treatment, known)


def _residuals(star: Star, pair: Pair) -> Residuals:
    one = _fitted(star, pair, FIRST, {name: star.labels[name] for name in NAMES})
    spectrum, solution, axis = one.spectrum, one.solution, pair.emulator.contract.wavelength
    made = pair.emulator.flux(solution.parameters.labels[None])[0]
    computed = np.interp(at_rest(spectrum.wavelength, solution.parameters.velocity), axis.pixels, made)
    level, used = solution.model / computed, spectrum.usable
    parts = ((spectrum.flux / level - computed)[used], (spectrum.error / level)[used], 1.0 - computed[used])
    step = float(np.median(np.diff(spectrum.wavelength)))
    pixels = max(1, int(PIXEL / step))
    count = len(parts[0]) // pixels * pixels
    residual, noise, depth = (part[:count].reshape(-1, pixels).mean(axis=1) for part in parts)
    rest = at_rest(spectrum.wavelength, solution.parameters.velocity)[used][:count].reshape(-1, pixels).mean(axis=1)
    wide = step * pixels
    apart = np.abs(rest - np.array(calcium_cores(pair.emulator.contract))[:, None])
    inner = [own for own in apart <= INNER if own.sum() * wide >= WHOLE * 2.0 * INNER]
    cores = (apart <= BESIDE).any(axis=0)
    return Residuals(residual, noise / np.sqrt(pixels), np.maximum(depth, 0.0), wide, cores, inner)


def _sizes(held: list[Residuals]) -> tuple[float, float]:
    """Errors everywhere, and in units of the depth, of the greatest likelihood."""
    residual = np.concatenate([one.residual[~one.cores] for one in held])
    noise, depth = (np.concatenate([getattr(one, name)[~one.cores] for one in held]) for name in ("noise", "depth"))

    def unlikelihood(logs: NDArray[np.float64]) -> float:
        flat, lines = np.exp(logs)
        variance = noise**2 + flat**2 + (lines * depth) ** 2
        return float(np.sum(residual**2 / variance + np.log(variance)))

    flat, lines = np.exp(minimize(unlikelihood, np.log([0.005, 0.05]), method="Nelder-Mead").x)
    return float(flat), float(lines)


def _length(held: list[Residuals], flat: float, lines: float) -> float:
    """Standard deviation in Angstrom of the Gaussian that is nearest to the mean correlation of the residuals."""
    correlations = []
    for one in held:
        scaled = one.residual / np.sqrt(one.noise**2 + flat**2 + (lines * one.depth) ** 2)
        lags = np.arange(1, int(LAGS[-1] / one.step) + 2)
        other = ~one.cores
        own = [
            float(np.mean((scaled[lag:] * scaled[:-lag])[other[lag:] & other[:-lag]]) / np.mean(scaled[other] ** 2))
            for lag in lags
        ]
        correlations.append(np.interp(LAGS, np.concatenate([[0.0], lags * one.step]), [1.0, *own]))
    mean = np.mean(correlations, axis=0)
    lengths = np.arange(0.1, 5.0, 0.01)
    apart = [np.sum((np.exp(-0.5 * (LAGS / length) ** 2) - mean) ** 2) for length in lengths]
    return float(lengths[int(np.argmin(apart))])


def _expected_widths(one: Residuals, flat: float, lines: float) -> NDArray[np.float64]:
    """Standard deviations of the cores' widths in Angstrom, (cores,), that the weights of pixels hold without them: as
    if pixels were independent, since weights know of no correlation."""
    squares = [flat**2 + (lines * one.depth[own]) ** 2 + one.noise[own] ** 2 for own in one.inner]
    return np.array([np.sqrt(np.sum(own)) * one.step for own in squares])


def _deviations(star: Star, pair: Pair, physics: PhysicsError) -> list[tuple[float, float, float]]:
    """For each label: fitted minus literature, the literature's error, the fit's."""
    names = pair.emulator.contract.label_names
    solution = _fitted(star, pair, physics, {}).solution
    wide = np.sqrt(np.diag(solution.covariance))
    places = [names.index(name) for name in NAMES]
    return [
        (float(solution.parameters.labels[i] - star.labels[name]), star.errors[name], float(wide[i]))
        for i, name in zip(places, NAMES, strict=True)
    ]


def _factor(deviations: NDArray[np.float64]) -> float:
    """Factor of the fits' errors, (stars, labels, 3), for which the mean squared pull is 1."""

    def excess(factor: float) -> float:
        off, known, own = np.moveaxis(deviations, 2, 0)
        return float(np.mean(off**2 / (known**2 + (factor * own) ** 2)) - 1.0)

    return float(brentq(excess, 1.0, 100.0)) if excess(1.0) > 0 else 1.0


def _judged(pulls: dict[str, tuple[Star, list[tuple[float, float, float]]]], factor: float) -> str:
    rows: list[tuple[str, ...]] = []
    for star, deviations in pulls.values():
        cells = [f"{off:+.3g} ({off / np.hypot(known, factor * own):+.1f})" for off, known, own in deviations]
        rows.append((f"{star.name} ({star.group})", star.use, *cells))
    for use in ("calibrate", "test"):
        own_use = np.array([rows for star, rows in pulls.values() if star.use == use])
        off, known, own = np.moveaxis(own_use, 2, 0)
        rms = np.sqrt(np.mean(off**2 / (known**2 + (factor * own) ** 2), axis=0))
        rows.append((f"RMS of {len(own_use)} pulls", use, *(f"{value:.2f}" for value in rms)))
    return table("Stars against the literature: deviation (pull)", rows, ("star", "use", *NAMES))


if __name__ == "__main__":
    main()
