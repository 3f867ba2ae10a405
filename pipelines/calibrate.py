"""Calibrates line data on reference stars: ``python -m pipelines.calibrate FOLDER``, a few hours of one core.

Changes of log gf, and of van der Waals damping where the wings show, are found by Gauss-Newton with SYNSPEC's own
derivatives: lines far enough from each other are changed in one run. A ridge prior keeps lines that the stars do not
constrain as they were published. All stars count at once; labels of others than the Sun are free within the errors that
the literature gives. One factor a molecule comes with them.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from pipelines.calibration.lines import candidates
from pipelines.calibration.problem import Problem, State
from pipelines.calibration.references import Reference, references
from pipelines.calibration.solver import Solver
from stellar_emulator.errors import StellarEmulatorError
from stellar_emulator.grid.engines.synspec import line_changes
from stellar_emulator.grid.engines.synspec.line_changes import LineChanges
from stellar_emulator.system.files import write_file


def main() -> int:
    """Calibrate, print what changed, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "folder", type=Path, nargs="?", help="labels.csv and the spectra that it names; default: the Sun"
    )
    parser.add_argument("--stars", choices=("all", "sun"), default="all", help="of the folder, or its atlas of the Sun")
    parser.add_argument("--output", type=Path, default=line_changes.TABLE)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    try:
        changes = calibrate(references(options.folder, options.stars == "all"), options.rounds)
    except StellarEmulatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    write_file(options.output, changes.text)
    print(f"{options.output}: {len(changes.rows)} rows")
    return 0


def calibrate(stars: list[Reference], rounds: int) -> LineChanges:
    """The table of changes that some reference stars ask for."""
    lines = candidates()
    print(f"{len(lines)} candidates, {len(stars)} stars", flush=True)
    problem = Problem(lines, stars)
    state = State(np.zeros(len(lines)), np.zeros(len(lines)), dict.fromkeys(problem.wholes, 0.0))
    solver = Solver(problem)
    for number in range(rounds):
        state = solver.round(state, number)
    return solver.table(state)


if __name__ == "__main__":
    raise SystemExit(main())
