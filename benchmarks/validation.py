"""Validation of a grid: false alarms on fresh draws of the embedded grid, seconds and memory of a large one."""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.machine import REPEATS, Row, spread, table
from stellar_emulator.contract.contract import Contract, read_contract
from stellar_emulator.grid import store
from stellar_emulator.grid.expand import expanded
from stellar_emulator.grid.shards import IntrinsicGrid, read_intrinsic_grid
from stellar_emulator.grid.source import embedded_folder
from stellar_emulator.validation.check import check, check_summaries
from stellar_emulator.validation.summaries import summaries
from stellar_emulator.validation.verdict import require_passed

SPECTRA = 100_000
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
    contract = read_contract("gaia_rvs")
    if options.grid:
        print(json.dumps(_checked(contract, options.grid)))
        return
    print(table("Validation of a grid", measured(options.draws, options.spectra)))


def measured(draws: int = 0, spectra: int = SPECTRA) -> list[Row]:
    """False alarms on some draws, and the check of one grid in fresh processes."""
    contract = read_contract("gaia_rvs")
    rows = []
    with tempfile.TemporaryDirectory(dir=".") as scratch:
        runs = read_intrinsic_grid(embedded_folder(contract), contract)
        if draws:
            rows.append(_false_alarms(contract, runs, draws, Path(scratch)))
        path = Path(scratch) / "grid.parquet"
        _write_large_grid(contract, runs, spectra, path)
        results = [_in_fresh_process(path) for _ in range(REPEATS)]
    seconds = [result["seconds"] for result in results]
    shares = [100.0 * result["reading"] / result["seconds"] for result in results]
    count = f"{results[0]['spectra']:,} spectra of {contract.wavelength.count:,} pixels"
    return [
        *rows,
        (f"checking {count} on {os.cpu_count()} cores (s)", spread(seconds, 1), "<= 60"),
        ("share of it that reading alone takes (%)", spread(shares, 0), ""),
        ("peak resident (GB)", spread([result["gigabytes"] for result in results]), "<= 1.5"),
    ]


def _in_fresh_process(path: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.validation", "--grid", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def _false_alarms(contract: Contract, runs: IntrinsicGrid, draws: int, scratch: Path) -> tuple[str, str, str]:
    """Check fresh draws of a good grid by their summaries: other broadenings of all runs, of them some runs or rows."""
    tables = [_draw(contract, runs, seed, scratch / f"draw-{seed}.parquet") for seed in range(1, 1 + SEEDS)]
    random = np.random.default_rng(1)
    alarms = 0
    for draw in range(draws):
        _, found = check_summaries(_part(tables[draw % SEEDS], random), contract)
        alarms += bool(found.faults)
        for fault in found.faults:
            print(f"draw {draw}: {fault.message}", file=sys.stderr)
    return f"false alarms on {draws} fresh draws of the embedded grid", str(alarms), "0"


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


def _write_large_grid(contract: Contract, runs: IntrinsicGrid, spectra: int, path: Path) -> None:
    """As many broadenings of every run as give the wanted number of spectra."""
    realisations = -(-spectra // len(runs.run_id))
    few = runs.take(np.arange(spectra // realisations))
    axis = contract.wavelength
    batches = expanded(contract, few, contract.sampling.seed, realisations)
    store.write_grid(path, contract, batches, axis.pixels, axis.medium, {})


def _checked(contract: Contract, path: Path) -> dict[str, float]:
    grid = store.open_parquet(path, contract)
    start = time.perf_counter()
    for _ in grid.batches():
        pass
    reading = time.perf_counter() - start
    start = time.perf_counter()
    verdict = check(store.open_parquet(path, contract), contract).verdict
    seconds = time.perf_counter() - start
    require_passed(verdict, grid)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"spectra": verdict.rows, "seconds": seconds, "reading": reading, "gigabytes": peak / 1e9}


if __name__ == "__main__":
    main()
