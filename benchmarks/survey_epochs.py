"""A simulated survey like Gaia DR4's: stars with epoch spectra each, in Parquet, fitted together by the command.

Computed spectra of unseen runs are seen by three detectors whose pixels lie anywhere, with white noise, interpolated to
the archive's axis and averaged, as the archive does it: noise of neighbouring pixels is shared. Of the stars one in
five moves about a companion, and one in twenty shows the companion's lines too. Prints the rate from Parquet to
Parquet, and how true labels, velocities and their tests are.
"""

import argparse
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.machine import Row, table
from benchmarks.survey import INSIDE, RATIOS, VELOCITY_SPREAD, unseen_spectra
from benchmarks.usage import measured
from stellar_emulator.contract.contract import Contract
from stellar_emulator.fitting.interpolation import interpolation_on
from stellar_emulator.observed.gaia_archive import EPOCHS
from stellar_emulator.observed.velocity import at_rest
from stellar_emulator.survey.flags import Flag, counts

NATIVE = 0.245
"""Width of a detector's pixel in Angstrom."""

DETECTORS = 3
MOVING, DOUBLE = 0.2, 0.05
"""Shares of stars that move about a companion, and that show its lines."""

AMPLITUDE = (5.0, 60.0)
DOUBLE_AMPLITUDE = (60.0, 120.0)
LIGHT = (0.25, 0.5)
"""Bounds of velocity amplitudes in km/s, and of the companion's share of the light."""

LEVEL = (0.5, 2.0)
TILT = 0.02
MEDIAN = 3
"""Value of the archive's column for spectra that are normalised by their median."""

STARS_AT_ONCE = 64
SURE = 1e-3
"""p-value below which a velocity counts as changing."""


def main() -> None:
    """Simulate, fit, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stars", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=22)
    parser.add_argument("--model", default="gaia_dr3_rvs")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder in which dataset and labels stay")
    options = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = options.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        stars, output = folder / "epochs.parquet", folder / "labels"
        contract, truth = simulate(stars, options.model, options.stars, options.epochs, options.seed)
        words = [sys.executable, "-m", "stellar_emulator", "fit", str(stars), "--output", str(output)]
        words += ["--model", options.model, "--workers", str(options.workers)]
        begun = time.perf_counter()
        used = measured(words)
        seconds = time.perf_counter() - begun
        found = pq.read_table(output)
    rows: list[Row] = [
        ("rate, Parquet to Parquet, start included", f"{options.stars / seconds:.1f} stars/s", ">= 60"),
        ("CPU of the command and its workers, start included", f"{1e3 * used.cpu / options.stars:.1f} ms a star", ""),
        ("workers", f"{options.workers}", ""),
        *used.rows(),
        *judged(contract, found, truth),
    ]
    print(table(f"A survey of {options.stars:,} simulated stars with {options.epochs} epochs, {options.model}", rows))


@dataclass(frozen=True)
class Detectors:
    """How a spectrum at rest becomes one of the archive's epochs."""

    random: np.random.Generator

    def seen(
        self, contract: Contract, flux: NDArray[np.float64], velocities: NDArray[np.float64], noise: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Flux and error of each velocity's epoch on the archive's axis, (epochs, pixels) each; NaN at the ends.

        noise: of one native pixel of one detector.
        """
        axis = EPOCHS.wavelengths() * 10.0
        between = interpolation_on(contract.wavelength)
        total, variance = np.zeros((2, len(velocities), len(axis)))
        native = np.arange(axis[0] - 1.0, axis[-1] + 1.0, NATIVE)
        for _ in range(DETECTORS):
            phase = self.random.random(len(velocities)) * NATIVE
            pixels = native + phase[:, None]
            rest = at_rest(pixels, velocities[:, None])
            own = (between.matrix(rest.reshape(1, -1)) @ flux[:, None].astype(np.float32)).reshape(rest.shape)
            own = own + noise * self.random.standard_normal(own.shape)
            place = (axis - pixels[:, :1]) / NATIVE
            first = place.astype(int)
            part = place - first
            rows = np.arange(len(velocities))[:, None]
            total += (1.0 - part) * own[rows, first] + part * own[rows, first + 1]
            variance += ((1.0 - part) ** 2 + part**2) * noise**2
        return total / DETECTORS, np.sqrt(variance) / DETECTORS


def simulate(path: Path, model: str, stars: int, epochs: int, seed: int) -> tuple[Contract, pa.Table]:
    """Write epochs, a row each, and return the stars' true labels, mean velocities and kinds, a row each."""
    contract, part = unseen_spectra(model, stars, seed)
    random = np.random.default_rng(seed)
    detectors = Detectors(random)
    axis = EPOCHS.wavelengths()
    slope = np.linspace(-1.0, 1.0, len(axis))
    kind = random.choice(3, stars, p=[1.0 - MOVING - DOUBLE, MOVING, DOUBLE])
    ratio, mean = random.choice(RATIOS, stars), random.normal(0.0, VELOCITY_SPREAD, stars)
    writer = None
    for first in range(0, stars, STARS_AT_ONCE):
        columns: dict[str, list[object]] = {
            name: []
            for name in ("source_id", "transit_id", "flux", "flux_error", "normalisation_method", "true_velocity")
        }
        for number in range(first, min(first + STARS_AT_ONCE, stars)):
            own = number % len(part.flux)
            phase = 2.0 * np.pi * random.random(epochs)
            bounds = (0.0, 0.0) if kind[number] == 0 else AMPLITUDE if kind[number] == 1 else DOUBLE_AMPLITUDE
            swing = random.uniform(*bounds) * np.sin(phase)
            velocity = mean[number] + swing
            noise = np.sqrt(epochs) * np.sqrt(DETECTORS) / ratio[number] * 1.22
            flux, error = detectors.seen(contract, part.flux[own].astype(float), velocity, noise)
            if kind[number] == 2:
                light = random.uniform(*LIGHT)
                other = part.flux[(own + 1) % len(part.flux)].astype(float)
                second, _ = detectors.seen(contract, other, mean[number] - swing, 0.0)
                flux += light * (second - detectors.seen(contract, part.flux[own].astype(float), velocity, 0.0)[0])
            level = random.uniform(*LEVEL)
            continuum = level * (1.0 + random.normal(0.0, TILT, epochs)[:, None] * slope)
            flux, error = flux * continuum, error * continuum
            for row in range(epochs):
                missing = random.integers(0, 8, 2)
                flux[row, : missing[0]] = flux[row, len(axis) - missing[1] :] = np.nan
            columns["source_id"] += [number + 10**18] * epochs
            columns["transit_id"] += list(range(number * epochs + 10**16, (number + 1) * epochs + 10**16))
            columns["flux"] += list(flux.astype(np.float32))
            columns["flux_error"] += list(error.astype(np.float32))
            columns["normalisation_method"] += [MEDIAN] * epochs
            columns["true_velocity"] += velocity.tolist()
        block = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, block.schema)
        writer.write_table(block)
    if writer is not None:
        writer.close()
    labels = {
        f"true_{name}": part.labels[np.arange(stars) % len(part.flux), i] for i, name in enumerate(contract.label_names)
    }
    truth = {"source_id": np.arange(stars) + 10**18, "kind": kind, "snr_of_all": ratio, "mean_velocity": mean, **labels}
    return contract, pa.table(truth)


def judged(contract: Contract, found: pa.Table, truth: pa.Table) -> list[Row]:
    """Coverage and bias of labels, pulls of velocities, and what the tests say of each kind of star."""
    both = _beside(found, truth)
    ids = found.column("source_id").to_numpy()
    rows: list[Row] = [
        ("stars with a row, with two", f"{len(np.unique(ids)):,}, {len(ids) - len(np.unique(ids))}", "all, 0")
    ]
    kind, ratio = both["kind"], both["snr_of_all"]
    for label in contract.labels:
        names = (label.name, f"true_{label.name}", f"{label.name}_lower", f"{label.name}_upper", f"{label.name}_error")
        value, true, lower, upper, error = (both[name].astype(float) for name in names)
        inside = np.minimum(true - label.lower, label.upper - true) > INSIDE * error
        for snr in RATIOS:
            chosen = inside & (ratio == snr) & np.isfinite(value) & (kind < 2)
            held = np.mean((lower <= true)[chosen] & (true <= upper)[chosen])
            off = value[chosen] - true[chosen]
            told = f"{held:.3f}, bias {np.mean(off):+.3g}, median error {np.median(np.abs(off)):.3g} {label.unit}"
            rows.append(
                (f"{label.name}, S/N {snr:g} of all epochs: intervals that hold the truth", told, "0.62 to 0.74")
            )
    for snr in RATIOS:
        chosen = np.flatnonzero((ratio == snr) & (kind < 2))
        pulls = np.concatenate([_pulls(found, row) for row in both["row"][chosen]])
        core = np.abs(pulls) < 5.0
        told = f"{np.std(pulls[core]):.2f}, beyond 5: {np.mean(~core):.4f} of {len(pulls):,}"
        rows.append((f"epochs' velocities, S/N {snr:g} of all: scatter of error over stated error", told, "1"))
    p_value = both["velocity_p_value"].astype(float)
    single, moving, double = (kind == one for one in range(3))
    rows += [
        ("single stars with p < 0.01", f"{np.mean(p_value[single] < 0.01):.4f} of {single.sum()}", "0.01"),
        (f"moving stars with p < {SURE:g}", f"{np.mean(p_value[moving] < SURE):.3f} of {moving.sum()}", ""),
    ]
    flags = both["flags"].astype(np.int64)
    for name, chosen in (("single", single), ("moving", moving), ("double-lined", double)):
        share = np.mean((flags[chosen] & Flag.DOUBLE_LINED) != 0) if chosen.any() else float("nan")
        rows.append((f"{name} stars with the flag DOUBLE_LINED", f"{share:.3f} of {chosen.sum()}", ""))
    rows += [(f"flag {name}", f"{number}", "") for name, number in counts(flags, contract).items() if number]
    return rows


def _beside(found: pa.Table, truth: pa.Table) -> dict[str, Any]:
    """Columns of both tables by source, in the order of the truth; row: of the first table."""
    place = {int(one): row for row, one in enumerate(found.column("source_id").to_pylist())}
    rows = np.array([place[int(one)] for one in truth.column("source_id").to_pylist()])
    numbers = [
        field.name for field in found.schema if pa.types.is_floating(field.type) or pa.types.is_integer(field.type)
    ]
    columns = {name: found.column(name).to_numpy(zero_copy_only=False)[rows] for name in numbers}
    return columns | {name: truth.column(name).to_numpy() for name in truth.column_names} | {"row": rows}


def _pulls(found: pa.Table, row: int) -> NDArray[np.float64]:
    """Errors of a star's velocities about their mean, over the stated ones: the labels' part is shared by all."""
    value, error, true = (
        np.array(found.column(f"epoch_{name}")[int(row)].as_py(), dtype=float)
        for name in ("velocity", "velocity_error", "true_velocity")
    )
    off = value - true
    off = off - np.average(off, weights=error**-2.0)
    return np.asarray(off / error / np.sqrt(1.0 - 1.0 / max(len(off), 2)))


if __name__ == "__main__":
    main()
