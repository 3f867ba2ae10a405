"""The validation of a grid: false alarms on fresh draws of the embedded grid, then seconds and memory of a large one."""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.machine import table
from stellar_emulator.contract import Contract, read_contract
from stellar_emulator.grid import sampling, store
from stellar_emulator.grid.expand import assemble_labels, expanded
from stellar_emulator.grid.shards import IntrinsicGrid, read_intrinsic_grid
from stellar_emulator.grid.source import embedded_folder
from stellar_emulator.validation.check import check, check_summaries
from stellar_emulator.validation.summaries import summaries

SPECTRA = 100_000
RUNS = 512
REALISATIONS = 8
SEEDS = 4
DRAWS = 200


def main() -> None:
    """Run both in fresh processes and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spectra", type=int, default=SPECTRA)
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--grid", type=Path, help="check this grid and print seconds and bytes")
    options = parser.parse_args()
    contract = read_contract("data_contracts/gaia_rvs.yaml")
    if options.grid:
        print(json.dumps(_checked(contract, options.grid)))
        return
    rows = []
    with tempfile.TemporaryDirectory(dir=".") as scratch:
        runs = read_intrinsic_grid(embedded_folder(contract), contract)
        if options.draws:
            rows.append(_false_alarms(contract, runs, options.draws, Path(scratch)))
        grid = _large_grid(contract, runs, options.spectra, Path(scratch) / "grid.parquet")
        command = [sys.executable, "-m", "benchmarks.validation", "--grid", str(grid.path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        result = json.loads(done.stdout.strip().splitlines()[-1])
    count = f"{grid.rows:,} spectra of {grid.pixels:,} pixels"
    share = result["reading"] / result["seconds"]
    cores = f"{os.cpu_count()} cores"
    rows.append((f"checking {count} on {cores} (s)", f"{result['seconds']:.1f}", "<= 60"))
    rows.append(("share of it that reading alone takes", f"{share:.0%}", ""))
    rows.append(("peak resident (GB)", f"{result['gigabytes']:.2f}", "<= 1.5"))
    print(table("Validation of a grid", rows))


def _false_alarms(contract: Contract, runs: IntrinsicGrid, draws: int, scratch: Path) -> tuple[str, str, str]:
    """Check fresh draws of a good grid by their summaries: other broadenings of all runs, of them some runs or rows."""
    tables = [_draw(contract, runs, seed, scratch / f"draw-{seed}.parquet") for seed in range(1, 1 + SEEDS)]
    random = np.random.default_rng(1)
    alarms, extremes = [], []
    for draw in range(draws):
        chosen = _part(tables[draw % SEEDS], random)
        faults = check_summaries(chosen, contract)
        alarms += [fault.message for fault in faults]
        extremes.append(faults)
    for message in alarms:
        print(message, file=sys.stderr)
    broken = sum(bool(faults) for faults in extremes)
    return f"false alarms on {draws} fresh draws of the embedded grid", str(broken), "0"


def _draw(contract: Contract, runs: IntrinsicGrid, seed: int, path: Path) -> pd.DataFrame:
    """Summaries of one broadening of all runs."""
    batches = expanded(contract, runs, contract.sampling.seed + seed, REALISATIONS)
    axis = contract.wavelength
    grid = store.write_grid(path, contract, batches, axis.pixels, axis.medium, {})
    found, _ = summaries(grid, contract)
    path.unlink()
    return found


def _part(summarised: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    """Some runs with all their rows, or some rows of all runs: 1,000 spectra or more."""
    if random.random() < 0.5:
        names = np.unique(summarised["run_id"])
        chosen = random.choice(names, random.integers(125, len(names)), replace=False)
        return summarised[summarised["run_id"].isin(chosen)].reset_index(drop=True)
    rows = np.sort(random.choice(len(summarised), random.integers(1000, 8000), replace=False))
    return summarised.iloc[rows].reset_index(drop=True)


def _large_grid(contract: Contract, runs: IntrinsicGrid, spectra: int, path: Path) -> store.Grid:
    """Many broadenings of a few runs, their labels jittered to be unique: what they cost doesn't depend on physics."""
    few = runs.take(np.arange(0, len(runs.run_id), len(runs.run_id) // RUNS)[:RUNS])
    first = list(expanded(contract, few, contract.sampling.seed, REALISATIONS))
    flux = np.concatenate([rows.flux for rows in first])
    random = np.random.default_rng(1)

    def batches() -> Iterator[store.Rows]:
        for start in range(0, spectra, len(flux)):
            count = min(len(flux), spectra - start)
            own = sampling.run_labels(contract, contract.sampling.seed, start, count)
            drawn = sampling.broadening_labels(contract, 1, start + np.arange(count), 1).reshape(count, -1)
            noise = random.normal(0.0, 1e-5, (count, flux.shape[1])).astype(np.float32)
            labels = assemble_labels(contract, own, drawn)
            yield store.Rows(start + np.arange(count), labels, np.ones(count), flux[:count] + noise)

    return store.write_grid(path, contract, batches(), contract.wavelength.pixels, contract.wavelength.medium, {})


def _checked(contract: Contract, path: Path) -> dict[str, float]:
    grid = store.open_parquet(path, contract)
    start = time.perf_counter()
    for _ in grid.batches():
        pass
    reading = time.perf_counter() - start
    start = time.perf_counter()
    check(store.open_parquet(path, contract), contract)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": seconds, "reading": reading, "gigabytes": peak / 1e9}


if __name__ == "__main__":
    main()
