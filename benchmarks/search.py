"""How much of a search is spent outside of training."""

import argparse
import csv
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import table

BAR = 0.10
_COMMAND = "import sys; from stellar_emulator.cli import main; sys.exit(main(sys.argv[1:]))"


def main() -> None:
    """Search in a fresh folder and print the table; the defaults are those of the documented run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--trial_minutes", type=float, default=2.0)
    parser.add_argument("--options", default="", help="further options of tune, in one string")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wall, trials = _search(Path(folder), arguments)
    print(table(f"Search of {len(trials)} trials", _rows(wall, trials)))


def _search(folder: Path, arguments: argparse.Namespace) -> tuple[float, list[dict[str, str]]]:
    """Seconds of the command once its grid was prepared, and the rows of its table."""
    words = [
        *("tune", "--algorithm", "random", "--output", str(folder / "tune")),
        *("--trials", str(arguments.trials), "--trial_minutes", str(arguments.trial_minutes)),
        *("--minutes", str(10 * arguments.trials * arguments.trial_minutes), *shlex.split(arguments.options)),
    ]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"}
    process = subprocess.Popen([sys.executable, "-c", _COMMAND, *words], env=environment)
    while not list(folder.glob("tune/searches/*/search.json")) and process.poll() is None:
        time.sleep(0.05)
    began = time.monotonic()
    if process.wait() != 0:
        raise SystemExit(process.returncode)
    with (folder / "tune" / "trials.csv").open() as stream:
        return time.monotonic() - began, list(csv.DictReader(stream))


def _rows(wall: float, trials: list[dict[str, str]]) -> list[tuple[str, str, str]]:
    fits = sum(float(trial["fit_seconds"]) for trial in trials)
    inside = sum(float(trial["seconds"]) for trial in trials)
    failed = sum(trial["verdict"] == "failed" for trial in trials)
    return [
        ("the search (s), from the checked grid to its tables and figure", f"{wall:.0f}", ""),
        ("inside fits (s)", f"{fits:.0f}", ""),
        ("outside fits", f"{1.0 - fits / wall:.1%}", f"<= {BAR:.0%}"),
        ("of that: building, measuring and costing the trials", f"{(inside - fits) / wall:.1%}", ""),
        ("failed trials", str(failed), ""),
    ]


if __name__ == "__main__":
    main()
