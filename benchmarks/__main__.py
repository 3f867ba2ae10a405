"""All measurements beside each other: one run, one table, half an hour on two idle cores.

Coverage and power of the statistics, memory of large grids and the judges of the gate have pages of their own.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from benchmarks import expansion, generation, inference, peers, serving, toolkit, training, validation
from benchmarks.machine import Row, table

EMULATOR = Path("models/gaia_rvs/emulator")
COLUMNS = ("benchmark", "measure", "median (range)", "bar")


def main() -> None:
    """Print the table for the emulator that comes with the package."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.5, help="of training, for each of the peers and ours")
    options = parser.parse_args()
    toolkit.require_toolkit()
    began = time.monotonic()
    rows = [row for name, measure in _benchmarks(options.minutes) for row in _alone(name, measure)]
    taken = (time.monotonic() - began) / 60.0
    rows.append(("all", "the whole table (minutes)", f"{taken:.1f}", "<= 30"))
    print(table("Everything in one run", rows, COLUMNS))


def _benchmarks(minutes: float) -> Iterator[tuple[str, Callable[[], list[Row]]]]:
    yield "training", training.measured
    yield "generation", generation.measured
    yield "loading, one spectrum", partial(inference.measured, EMULATOR)
    yield "broadening, reading", expansion.measured
    yield "validation", validation.measured
    yield "serving", partial(serving.measured, EMULATOR, 60.0)
    yield f"peers, {minutes:g} minutes of training each", partial(peers.measured, minutes)


def _alone(name: str, measure: Callable[[], list[Row]]) -> list[tuple[str, ...]]:
    """Measure in a process of its own, so that threads and memory of one benchmark don't weigh on the next."""
    print(f"benchmarks: {name}", file=sys.stderr, flush=True)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return [(name, *row) for row in process.submit(measure).result()]


if __name__ == "__main__":
    main()
