"""Spectra broadened per second, with and without writing them to Parquet, and read again."""

import argparse
import tempfile
from collections import deque
from pathlib import Path

from benchmarks.machine import Row, milliseconds, spread, table
from stellar_emulator.contract.contract import read_contract
from stellar_emulator.grid.expand import expanded
from stellar_emulator.grid.shards import read_intrinsic_grid
from stellar_emulator.grid.source import broaden, embedded_folder
from stellar_emulator.grid.store import open_parquet

REALISATIONS = 8


def main() -> None:
    """Print the table for the embedded grid."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    print(table("Expanding intrinsic spectra into a grid", measured()))


def measured() -> list[Row]:
    """Spectra a second of the embedded grid: broadened, broadened and written, read."""
    contract = read_contract("gaia_rvs")
    intrinsic = read_intrinsic_grid(embedded_folder(contract), contract)
    spectra = REALISATIONS * len(intrinsic.run_id)

    def expand() -> None:
        deque(expanded(contract, intrinsic, contract.sampling.seed, REALISATIONS), maxlen=0)

    with tempfile.TemporaryDirectory(dir=".") as scratch:
        path = Path(scratch) / "grid.parquet"
        alone = milliseconds(expand)
        written = milliseconds(lambda: broaden(intrinsic, contract, REALISATIONS, path))
        read = milliseconds(lambda: deque(open_parquet(path, contract).batches(), maxlen=0))
        size = path.stat().st_size / 1e9
    ways = {
        f"broadening {spectra:,} spectra (spectra/s)": (alone, ">= 3,000"),
        "broadening and writing to Parquet (spectra/s)": (written, ">= 3,000"),
        f"reading that file of {size:.2f} GB, which the system's cache holds (spectra/s)": (read, ""),
    }
    return [
        (measure, spread([1000.0 * spectra / taken for taken in times], 0), bar)
        for measure, (times, bar) in ways.items()
    ]


if __name__ == "__main__":
    main()
