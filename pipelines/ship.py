"""Puts the registry's champion pair into ``models/``, where it comes with the package: ``make models/gaia_rvs``."""

import argparse
import sys
from pathlib import Path

from stellar_emulator.cli.ship import ship
from stellar_emulator.contract.contract import read_contract
from stellar_emulator.errors import StellarEmulatorError


def main() -> int:
    """Copy the pair and print its size; the exit codes are those of the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contract", type=Path, help="data contract, a YAML file")
    parser.add_argument("folder", type=Path, help="folder to fill")
    options = parser.parse_args()
    try:
        pair = ship(read_contract(options.contract), options.folder)
    except StellarEmulatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    size = sum(path.stat().st_size for path in options.folder.rglob("*") if path.is_file())
    print(f"{options.folder}: {pair}, {size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
