"""How often the 68 % intervals of `fit` hold the true labels: noisy test spectra, which the models never saw.

Each spectrum gets a velocity of its own, normal noise of one S/N and a tilted continuum, and is fitted with velocity,
continuum and all labels free.
"""

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

# Each process fits on its own core: the threads of linear algebra would only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import table
from stellar_emulator import Emulator, Validator
from stellar_emulator.cli.evaluate import unseen_rows
from stellar_emulator.errors import InputError
from stellar_emulator.evaluation.evaluation import read_part
from stellar_emulator.fitting.estimate import Pair, fit
from stellar_emulator.fitting.preparation import Treatment
from stellar_emulator.fitting.protocols import library
from stellar_emulator.grid.source import open_source
from stellar_emulator.observed.spectrum import ObservedSpectrum
from stellar_emulator.observed.velocity import observed_at

VELOCITY_SPREAD = 50.0
"""km/s."""

BAR = (0.60, 0.76)


def main() -> None:
    """Print the share of intervals that hold the truth, by label, and the velocities' errors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=None, help="folder of a pair; default: the one that comes with the package")
    parser.add_argument("--grid", default="embedded")
    parser.add_argument("--spectra", type=int, default=1000)
    parser.add_argument("--snr", type=float, default=100.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    contract = _pair(options.model).emulator.contract
    spectra = _test_spectra(options)
    with ProcessPoolExecutor(options.workers) as pool:
        found = list(pool.map(_covered, *zip(*spectra, strict=True), chunksize=8))
    used = np.array([one for one in found if one is not None])
    bar = f"{BAR[0]:.2f} to {BAR[1]:.2f}"
    rows = [("spectra fitted", f"{len(used)} of {len(found)}", "all")]
    for i, label in enumerate(contract.labels):
        inside, deviation, error = used[:, i].T
        typical = f"median error {np.median(np.abs(deviation)):.3g}, half interval {np.median(error):.3g}"
        rows.append((f"intervals of {label.name} that hold the truth", f"{inside.mean():.3f} ({typical})", bar))
    inside, deviation, _ = used[:, -1].T
    shown = f"{np.median(np.abs(deviation)):.3f} km/s, {inside.mean():.3f} within the error"
    rows.append(("median error of the radial velocity", shown, ""))
    print(table(f"Coverage of 68 % intervals at S/N {options.snr:g}, {_pair(options.model).emulator.version}", rows))


@cache
def _pair(where: str | None) -> Pair:
    emulator = Emulator.load(where)
    return Pair(emulator, Validator.load(where), library(emulator))


def _test_spectra(
    options: argparse.Namespace,
) -> list[tuple[str | None, float, int, NDArray[np.float64], NDArray[np.float32]]]:
    """Arguments of `_covered` for each spectrum."""
    emulator, validator = Emulator.load(options.model), Validator.load(options.model)
    grid = open_source(options.grid, emulator.contract, Path("output/coverage")).grid
    rows = unseen_rows(grid, emulator.contract, emulator, validator)
    chosen = np.random.default_rng(options.seed).choice(rows, min(options.spectra, len(rows)), replace=False)
    part = read_part(grid, np.sort(chosen), options.seed)
    return [
        (options.model, options.snr, options.seed + number, labels, flux)
        for number, (labels, flux) in enumerate(zip(part.labels, part.flux, strict=True))
    ]


def _covered(
    where: str | None, snr: float, seed: int, labels: NDArray[np.float64], flux: NDArray[np.float32]
) -> NDArray[np.float64] | None:
    """For each label and, last, the velocity: whether the interval holds the truth, error, half the interval."""
    pair, random = _pair(where), np.random.default_rng(seed)
    axis = pair.emulator.contract.wavelength
    velocity, tilt = random.normal(0.0, VELOCITY_SPREAD), random.normal(0.0, 0.1)
    continuum = 1.0 + tilt * np.linspace(-1.0, 1.0, axis.count)
    seen = (flux + random.normal(0.0, 1.0 / snr, axis.count)) * continuum
    spectrum = ObservedSpectrum("", observed_at(axis.pixels, velocity), axis.medium, seen, continuum / snr)
    try:
        solution = fit(spectrum, pair, Treatment(None, 3), {}).solution
    except InputError as error:
        print(f"not fitted: {error}")
        return None
    inside = (solution.lower <= labels) & (labels <= solution.upper)
    by_label = np.stack([inside, solution.parameters.labels - labels, solution.error], axis=1)
    shift = solution.parameters.velocity - velocity
    return np.vstack([by_label, [abs(shift) <= solution.velocity_error, shift, solution.velocity_error]])


if __name__ == "__main__":
    main()
