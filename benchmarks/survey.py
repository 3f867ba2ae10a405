"""A simulated survey: computed spectra of unseen runs with noise and velocities, in Parquet, fitted by the command.

Prints the rate from Parquet to Parquet, the memory that it took, and for each signal-to-noise ratio how often the 68 %
intervals hold the truth, and how far labels are off. The noise of neighbouring pixels is independent.
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

from benchmarks.machine import Row, table
from benchmarks.usage import measured
from stellar_emulator import Emulator, Validator
from stellar_emulator.cli.evaluate import unseen_rows
from stellar_emulator.contract.contract import Contract
from stellar_emulator.evaluation.evaluation import read_part
from stellar_emulator.fitting.interpolation import interpolation_on
from stellar_emulator.grid.source import open_source
from stellar_emulator.grid.store import Rows
from stellar_emulator.observed.velocity import at_rest
from stellar_emulator.survey.flags import counts

RATIOS = (20.0, 50.0, 100.0)
VELOCITY_SPREAD = 50.0
"""km/s."""

TILT = 0.02
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
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        stars, output = Path(folder) / "stars.parquet", Path(folder) / "fits"
        contract = simulate(stars, options.model, options.stars, options.seed)
        words = [sys.executable, "-m", "stellar_emulator", "fit", str(stars), "--output", str(output)]
        words += ["--model", options.model, "--workers", str(options.workers)]
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
    print(table(f"A survey of {options.stars:,} simulated stars, {options.model}", rows))


def unseen_spectra(model: str, stars: int, seed: int) -> tuple[Contract, Rows]:
    """Computed spectra of runs that neither model has seen, as many as there are or are wanted."""
    emulator, validator = Emulator.load(model), Validator.load(model)
    contract = emulator.contract
    grid = open_source("embedded", contract, Path("output/survey")).grid
    unseen = unseen_rows(grid, contract, emulator, validator)
    chosen = np.sort(np.random.default_rng(seed).choice(unseen, min(stars, len(unseen)), replace=False))
    return contract, read_part(grid, chosen, seed)


def simulate(path: Path, model: str, stars: int, seed: int) -> Contract:
    """Write stars, a row each: identifier, flux and error on the model's axis, true labels and velocity."""
    contract, part = unseen_spectra(model, stars, seed)
    random = np.random.default_rng(seed)
    axis = contract.wavelength.pixels
    writer = None
    for first in range(0, stars, ROWS_AT_ONCE):
        rows = np.arange(first, min(first + ROWS_AT_ONCE, stars))
        own = rows % len(part.flux)
        ratio, velocity = random.choice(RATIOS, len(rows)), random.normal(0.0, VELOCITY_SPREAD, len(rows))
        matrix = interpolation_on(contract.wavelength).matrix(at_rest(axis, velocity[:, None]))
        flux = (matrix @ part.flux[own].ravel()).reshape(len(rows), -1)
        continuum = 1.0 + random.normal(0.0, TILT, len(rows))[:, None] * np.linspace(-1.0, 1.0, len(axis))
        error = continuum / ratio[:, None]
        seen = flux * continuum + error * random.standard_normal(flux.shape)
        columns = {"source_id": rows + 10**18, "flux": list(seen), "flux_error": list(error)}
        columns |= {f"true_{name}": part.labels[own, i] for i, name in enumerate(contract.label_names)}
        block = pa.table(columns | {"true_velocity": velocity, "true_snr": ratio})
        writer = writer or pq.ParquetWriter(path, block.schema)
        writer.write_table(block)
    if writer is not None:
        writer.close()
    return contract


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
    within = np.abs(moved) < 20.0
    rows.append(("velocities off by more than 20 km/s", f"{int((~within).sum())}", "0"))
    flags = counts(found.column("flags").to_numpy(), contract)
    rows += [(f"flag {name}", f"{number}", "") for name, number in flags.items() if number]
    return rows


if __name__ == "__main__":
    main()
