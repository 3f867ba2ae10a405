"""Memory of an import of many long spectra, which is killed once and goes on with nothing twice.

    python -m benchmarks.importing --spectra 10000 --pixels 200000

One file of Turbospectrum's form is written and linked under as many names, each with labels of its own.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.machine import Row, table
from stellar_emulator.contract.contract import read_contract
from stellar_emulator.grid.importing.parts import STATE
from stellar_emulator.grid.shards import read_provenance, read_shard
from stellar_emulator.grid.source import INTRINSIC

BAR = 2.0
"""Largest resident memory in GB."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spectra", type=int, default=10_000)
    parser.add_argument("--pixels", type=int, default=200_000)
    options = parser.parse_args()
    title = f"Import of {options.spectra:,} spectra of {options.pixels:,} pixels"
    print(table(title, measured(options.spectra, options.pixels)))


def measured(spectra: int, pixels: int) -> list[Row]:
    """Resident memory, and what a kill in the middle costs."""
    with tempfile.TemporaryDirectory(dir=".") as scratch:
        files, output = Path(scratch) / "files", Path(scratch) / "imported"
        write_files(files, spectra, pixels)
        begun = subprocess.Popen(command(files, output), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        done = _until_part(output, begun)
        begun.send_signal(signal.SIGKILL)
        begun.wait()
        subprocess.run(command(files, output), check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
        runs = run_numbers(output)
    twice = len(runs) - len(set(runs))
    return [
        ("largest resident memory (GB)", f"{largest:.2f}", f"<= {BAR:g}"),
        ("spectra in parts when it was killed", f"{done:,}", ""),
        ("spectra after the same command again", f"{len(runs):,}", f"{spectra:,}"),
        ("spectra there twice", f"{twice}", "0"),
    ]


def write_files(folder: Path, spectra: int, pixels: int) -> None:
    """One file under many names: a temperature and a gravity for each."""
    folder.mkdir(parents=True)
    wavelength = 5000.0 * np.exp(2e-6 * np.arange(pixels))
    flux = 1.0 - 0.5 * np.abs(np.sin(wavelength)) ** 20
    first = folder / "first"
    np.savetxt(first, np.stack([wavelength, flux, 1e6 * flux], axis=1), fmt="%12.5f %10.6f %12.5E")
    for number in range(spectra):
        teff, logg = 4000 + 10 * (number % 400), 1.0 + 0.1 * (number // 400)
        os.link(first, folder / f"{teff}g{logg:.2f}z+0.00a+0.00t01_xit1.0.spec")
    first.unlink()


def command(files: Path, output: Path) -> list[str]:
    """The words of the import."""
    return [sys.executable, "-m", "stellar_emulator", "import", str(files), "--output", str(output)]


def run_numbers(output: Path) -> list[int]:
    """Numbers of all runs in the shards, read one at a time."""
    contract = read_contract(output / "contract.yaml")
    names = read_provenance(output / INTRINSIC)["shards"]
    assert isinstance(names, dict)
    return [int(run) for name in names for run in read_shard(output / INTRINSIC / name, contract).run_id]


def _until_part(output: Path, begun: subprocess.Popen[bytes]) -> int:
    """Wait until two parts are written; how many spectra they hold."""
    while begun.poll() is None:
        if (output / STATE).is_file():
            state = json.loads((output / STATE).read_text())
            if len(state["parts"]) >= 2:
                return int(state["next"])
        time.sleep(0.2)
    raise RuntimeError("the import ended before it could be killed: give more --spectra")


if __name__ == "__main__":
    main()
