"""Spectra broadened per second, with and without writing them to Parquet."""

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.machine import spread, table
from stellar_emulator.contract import read_contract
from stellar_emulator.grid.expand import expanded
from stellar_emulator.grid.shards import read_intrinsic_grid
from stellar_emulator.grid.source import broaden, embedded_folder

REALISATIONS = 8


def main() -> None:
    """Print the table for the embedded grid."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    contract = read_contract("data_contracts/gaia_rvs.yaml")
    intrinsic = read_intrinsic_grid(embedded_folder(contract), contract)
    spectra = REALISATIONS * len(intrinsic.run_id)
    alone, written = [], []
    for _ in range(5):
        start = time.perf_counter()
        for _rows in expanded(contract, intrinsic, contract.sampling.seed, REALISATIONS):
            pass
        alone.append(spectra / (time.perf_counter() - start))
    with tempfile.TemporaryDirectory() as scratch:
        for repeat in range(3):
            start = time.perf_counter()
            broaden(intrinsic, contract, REALISATIONS, Path(scratch) / f"{repeat}.parquet")
            written.append(spectra / (time.perf_counter() - start))
    rows = [
        (f"broadening {spectra:,} spectra (spectra/s)", spread(alone, 0), ">= 3,000"),
        ("broadening and writing to Parquet (spectra/s)", spread(written, 0), ">= 3,000"),
    ]
    print(table("Expanding intrinsic spectra into a grid", rows))


if __name__ == "__main__":
    main()
