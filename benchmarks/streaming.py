"""Peak memory of training from a Parquet grid of 6 GB: on pixels, and in a basis of principal components."""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.machine import table
from stellar_emulator.contract.contract import Contract, read_contract
from stellar_emulator.grid import sampling, store
from stellar_emulator.grid.expand import drawn_labels
from stellar_emulator.grid.split import split_rows
from stellar_emulator.networks.preset import Preset, read_preset
from stellar_emulator.training.train_emulator import train_emulator

GIGABYTES = 6.0
ROWS = 4096


def main() -> None:
    """Write the grid, train from it in a fresh process for each space, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", choices=["pixels", "basis"], help="train from --grid and print the peak in bytes")
    parser.add_argument("--grid", type=Path)
    options = parser.parse_args()
    contract = read_contract("gaia_rvs")
    if options.train:
        print(json.dumps(_train(contract, options.grid, options.train)))
        return
    with tempfile.TemporaryDirectory(dir=".") as scratch:
        grid = _noise_grid(contract, Path(scratch) / "grid.parquet")
        size = grid.path.stat().st_size / 1e9
        rows = []
        for space in ("pixels", "basis"):
            command = [sys.executable, "-m", "benchmarks.streaming", "--train", space, "--grid", str(grid.path)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            result = json.loads(done.stdout.strip().splitlines()[-1])
            measure = (
                f"one epoch of each network on {space}, {grid.rows:,} spectra in {size:.1f} GB, peak resident (GB)"
            )
            rows.append((measure, f"{result['gigabytes']:.2f} after {result['seconds']:.0f} s", "<= 2.5"))
    print(table("Training from a grid larger than memory allows", rows))


def _noise_grid(contract: Contract, path: Path) -> store.Grid:
    """A grid of the wanted size whose flux is noise, which doesn't compress; memory doesn't care what it learns."""
    random = np.random.default_rng(1)

    def batches() -> Iterator[store.Rows]:
        written = 0.0
        while written < GIGABYTES * 1e9:
            first = int(written) % 2**31
            run = sampling.run_labels(contract, first + 1, 0, ROWS)
            flux = random.random((ROWS, contract.wavelength.count), dtype=np.float32)
            labels = drawn_labels(contract, 1, np.arange(ROWS), run, 1)
            yield store.Rows(first + np.arange(ROWS), labels, np.ones(ROWS), flux)
            written += 0.875 * flux.nbytes  # what noise compresses to

    return store.write_grid(path, contract, batches(), contract.wavelength.pixels, "air", {})


def _train(contract: Contract, path: Path, space: str) -> dict[str, float]:
    start = time.perf_counter()
    grid = store.open_parquet(path, contract)
    split = split_rows(contract, store.run_hashes(grid, contract))
    with tempfile.TemporaryDirectory(dir=".") as folder:
        train_emulator(
            grid, None, split, contract, _preset(space), 1, Path(folder), lambda name: lambda epoch, metrics: None
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"gigabytes": peak / 1e9, "seconds": time.perf_counter() - start}


def _preset(space: str) -> Preset:
    """The learned family with one epoch for each stage."""
    preset = read_preset("learned").model_dump()
    if space == "pixels":
        preset["basis"] = None
    for part in (preset["autoencoder"]["training"], preset["label_network"]["training"], preset["fine_tuning"]):
        part.update(epochs=1, patience=1)
    return Preset.model_validate(preset)


if __name__ == "__main__":
    main()
