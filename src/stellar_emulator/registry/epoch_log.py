"""Epochs of a fit, as a tracking store is told of them: some seconds' worth at once."""

import time
from collections.abc import Mapping

from stellar_emulator.registry.tracking import TrackedRun

FLUSH = 5.0
"""Seconds between two writes: networks of some epochs a second would wait for the store otherwise."""


class EpochLog:
    """Keeps the metrics of epochs until they are written to ``run``, together."""

    def __init__(self, run: TrackedRun) -> None:
        self.run, self.written = run, time.monotonic()
        self.waiting: list[tuple[int, Mapping[str, float]]] = []

    def add(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Take one epoch's metrics, and write what waits if the last write was `FLUSH` seconds ago."""
        self.waiting.append((epoch, metrics))
        if time.monotonic() - self.written > FLUSH:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        waiting, self.waiting = self.waiting, []
        self.run.log_steps(waiting)
        self.written = time.monotonic()
