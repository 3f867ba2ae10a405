"""Presets of ours after the same minutes of training on the same runs: what learned broadening and the paper's give."""

import argparse
from pathlib import Path

from benchmarks.machine import table
from benchmarks.peers import COLUMNS, SPECTRA, preset_trained, read_data, row_of
from stellar_emulator.contract.contract import read_contract

BAR = ("bar", "", "the same", "`learned` <= 0.6 of `paper`", "", "", "", "")


def main() -> None:
    """Print the table for the embedded grid; an hour and a half with the defaults."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0, help="of training, for each")
    parser.add_argument("--presets", nargs="+", default=["default", "learned", "paper"])
    parser.add_argument("--scratch", type=Path, default=Path("output/peers"), help="folder of the broadened grid")
    options = parser.parse_args()
    data = read_data(read_contract("gaia_rvs"), options.scratch, SPECTRA)
    rows = [row_of(preset_trained(data, preset, 60.0 * options.minutes), data) for preset in options.presets]
    print(table(f"Presets, {options.minutes:g} minutes of training", [*rows, BAR], COLUMNS))


if __name__ == "__main__":
    main()
