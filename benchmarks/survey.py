"""A simulated survey: computed spectra of unseen runs with noise and velocities, in Parquet, fitted by the command.

Prints the rate from Parquet to Parquet, the memory that it took, and for each signal-to-noise ratio how often the 68 %
intervals hold the truth, and how far labels are off. Noise is that of Gaia DR3, interpolated from wider pixels, or
independent; the error of the pair's physics may be drawn into the spectra, as large as labels feel it.
"""

import argparse
import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from benchmarks.machine import Row, table
from benchmarks.usage import measured
from stellar_emulator import Emulator, Validator
from stellar_emulator.cli.evaluate import unseen_rows
from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import InputError
from stellar_emulator.evaluation.evaluation import read_part
from stellar_emulator.fitting.interpolation import interpolation_on
from stellar_emulator.fitting.model_error import model_error_of
from stellar_emulator.grid.source import open_source
from stellar_emulator.grid.store import Rows
from stellar_emulator.observed.gaia_archive import DETECTOR
from stellar_emulator.observed.velocity import at_rest
from stellar_emulator.survey.flags import counts

RATIOS = (20.0, 50.0, 100.0)
VELOCITY_SPREAD = 50.0
"""km/s."""

TILT = 0.02
VISITS = 12
"""Spectra that make a mean one."""

FGK = 7500.0
"""K, the hottest of these stars."""

ROWS_AT_ONCE = 1024
INSIDE = 2.0
"""Errors by which labels must lie within the box to be counted for coverage."""


def main() -> None:
    """Simulate, fit, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stars", type=int, default=1000)
    parser.add_argument("--model", default="gaia_dr3_rvs")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--noise", choices=("dr3", "white"), default="dr3", help="of neighbouring pixels")
    parser.add_argument("--model_error", choices=("none", "emulator", "stars"), default="none", help="of the fit")
    parser.add_argument("--drawn", action="store_true", help="draw the error of the pair's physics into the spectra")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        stars, output = Path(folder) / "stars.parquet", Path(folder) / "fits"
        contract = simulate(stars, options.model, options.stars, options.seed, options.noise, options.drawn)
        words = [sys.executable, "-m", "stellar_emulator", "fit", str(stars), "--output", str(output)]
        words += ["--model", options.model, "--workers", str(options.workers)]
        words += ["--model_error", options.model_error, *(["--detector", "0"] if options.noise == "white" else [])]
        began = time.perf_counter()
        used = measured(words)
        seconds = time.perf_counter() - began
        found = pq.read_table(sorted(output.glob("part-*.parquet")))
    rows: list[Row] = [
        ("rate, Parquet to Parquet, start included", f"{options.stars / seconds:.1f} spectra/s", ">= 150"),
        (
            "CPU of the command and its workers, start included",
            f"{1e3 * used.cpu / options.stars:.1f} ms a spectrum",
            "",
        ),
        ("workers", f"{options.workers}", ""),
        *used.rows(),
    ]
    rows += judged(contract, found)
    how = f"{options.noise} noise, model error {options.model_error}{', drawn' if options.drawn else ''}"
    print(table(f"A survey of {options.stars:,} simulated stars, {options.model}, {how}", rows))


def unseen_spectra(model: str, stars: int, seed: int) -> tuple[Contract, Rows]:
    """Computed spectra of runs that neither model has seen, as many as there are or are wanted."""
    emulator, validator = Emulator.load(model), Validator.load(model)
    contract = emulator.contract
    grid = open_source("embedded", contract, Path("output/survey")).grid
    unseen = unseen_rows(grid, contract, emulator, validator)
    chosen = np.sort(np.random.default_rng(seed).choice(unseen, min(stars, len(unseen)), replace=False))
    return contract, read_part(grid, chosen, seed)


def simulate(path: Path, model: str, stars: int, seed: int, noise: str = "dr3", drawn: bool = False) -> Contract:
    """Write stars, a row each: identifier, flux and error on the model's axis, true labels and velocity.

    noise: ``dr3`` or ``white``; drawn: whether the error of the pair's physics is drawn into the spectra.
    """
    contract, part = unseen_spectra(model, stars, seed)
    random = np.random.default_rng(seed)
    axis = contract.wavelength.pixels
    writer = None
    for first in range(0, stars, ROWS_AT_ONCE):
        rows = np.arange(first, min(first + ROWS_AT_ONCE, stars))
        own = rows % len(part.flux)
        ratio, velocity = random.choice(RATIOS, len(rows)), random.normal(0.0, VELOCITY_SPREAD, len(rows))
        matrix = interpolation_on(contract.wavelength).matrix(at_rest(axis, velocity[:, None]))
        made = part.flux[own].astype(np.float64)
        made += _physics(contract, made, random) if drawn else 0.0
        flux = (matrix @ made.ravel()).reshape(len(rows), -1)
        continuum = 1.0 + random.normal(0.0, TILT, len(rows))[:, None] * np.linspace(-1.0, 1.0, len(axis))
        error = continuum / ratio[:, None]
        shared = noise == "dr3"
        drawn_noise = _interpolated(axis, len(rows), random) if shared else random.standard_normal(flux.shape)
        seen = flux * continuum + error * drawn_noise
        columns = {"source_id": rows + 10**18, "flux": list(seen), "flux_error": list(error)}
        columns |= {f"true_{name}": part.labels[own, i] for i, name in enumerate(contract.label_names)}
        block = pa.table(columns | {"true_velocity": velocity, "true_snr": ratio})
        writer = writer or pq.ParquetWriter(path, block.schema)
        writer.write_table(block)
    if writer is not None:
        writer.close()
    return contract


def _interpolated(axis: NDArray[np.float64], stars: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Unit noise on the pixels of an axis, (stars, pixels): the mean of many spectra, each interpolated linearly from a
    detector's pixels of a phase of its own."""
    found = np.zeros((stars, len(axis)))
    count = int((axis[-1] - axis[0]) / DETECTOR) + 3
    for _ in range(VISITS):
        place = (axis - axis[0]) / DETECTOR + random.random((stars, 1))
        first = place.astype(np.int64)
        share, seen = place - first, random.standard_normal((stars, count + 1))
        found += (1.0 - share) * np.take_along_axis(seen, first, 1) + share * np.take_along_axis(seen, first + 1, 1)
    # Linear interpolation leaves two thirds of the variance in the mean over phases.
    return np.asarray(found / np.sqrt(VISITS * 2.0 / 3.0))


def _physics(contract: Contract, flux: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Draws of the physics' error for computed fluxes, (stars, pixels) each, as large as labels feel it."""
    physics = model_error_of(contract, "stars").physics
    if physics is None:
        raise InputError(f"the physics of {contract.name} were not measured on stars: nothing can be drawn")
    steps = physics.length / float(np.median(np.diff(contract.wavelength.pixels)))
    # A white series smoothed by a Gaussian has a correlation wider by the root of two.
    smooth = gaussian_filter1d(random.standard_normal(flux.shape), steps / np.sqrt(2.0), axis=1)
    return np.asarray(physics.labels * physics.deviation(1.0 - flux) * smooth / np.std(smooth))


def judged(contract: Contract, found: pa.Table) -> list[Row]:
    """Coverage and bias of every label by signal-to-noise ratio, velocities, and the flags."""
    rows: list[Row] = []
    ids = found.column("source_id").to_numpy()
    rows.append(("stars with a row, with two", f"{len(np.unique(ids)):,}, {len(ids) - len(np.unique(ids))}", "all, 0"))
    ratio = found.column("true_snr").to_numpy()
    for label in contract.labels:
        value, true, lower, upper, error = (
            found.column(name).to_numpy().astype(np.float64)
            for name in (
                label.name,
                f"true_{label.name}",
                f"{label.name}_lower",
                f"{label.name}_upper",
                f"{label.name}_error",
            )
        )
        inside = np.minimum(true - label.lower, label.upper - true) > INSIDE * error
        for snr in RATIOS:
            chosen = inside & (ratio == snr) & np.isfinite(value)
            held = np.mean((lower <= true)[chosen] & (true <= upper)[chosen])
            off = value[chosen] - true[chosen]
            told = f"{held:.3f}, bias {np.mean(off):+.3g}, median error {np.median(np.abs(off)):.3g} {label.unit}"
            rows.append((f"{label.name} at S/N {snr:g}: intervals that hold the truth", told, "0.62 to 0.74"))
    moved = found.column("radial_velocity").to_numpy() - found.column("true_velocity").to_numpy()
    cool = found.column("true_teff").to_numpy() < FGK
    certain = found.column("radial_velocity_error").to_numpy()
    lost = np.abs(moved) > np.maximum(20.0, 5.0 * certain)
    for which, chosen in ((f"Teff below {FGK:g} K", cool), ("all", np.ones(len(cool), dtype=bool))):
        wide = int((np.abs(moved[chosen]) > 20.0).sum())
        told = f"{int(lost[chosen].sum())} of {int(chosen.sum()):,}; {wide} off by more than 20 km/s alone"
        rows.append((f"velocities off by more than 20 km/s and 5 errors, {which}", told, "0"))
    flags = counts(found.column("flags").to_numpy(), contract)
    rows += [(f"flag {name}", f"{number}", "") for name, number in flags.items() if number]
    return rows


if __name__ == "__main__":
    main()
