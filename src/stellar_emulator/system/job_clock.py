"""How long the stages of a job take, and how long the rest of it will: one clock for the whole job."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

FASTEST = 50.0
"""A stage that takes a fiftieth of what was expected did no work: an earlier, killed job had done it."""


@dataclass(frozen=True)
class Expected:
    """What a stage takes on one machine, in seconds, and in how many equal steps; only proportions count."""

    seconds: float
    steps: int = 1


class JobClock:
    """Times the stages of a job, one after the other, and extrapolates from those behind it to those ahead."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        """Of each stage that has begun, in order."""
        self.expected: dict[str, Expected] = {}
        self._running = ""
        self._began = 0.0
        self._done = 0.0

    def expect(self, stages: Mapping[str, Expected]) -> None:
        """State the stages of the job, by name; others take a time that no one can tell."""
        self.expected = dict(stages)

    def begin(self, stage: str) -> None:
        """End the running stage and begin another; a stage that begins again goes on."""
        self.end()
        self._running, self._began, self._done = stage, time.monotonic(), 0.0

    def advance(self, step: int) -> None:
        """Note that the running stage has done its step of that number, counted from 0."""
        if self._running in self.expected:
            self._done = (step + 1) / self.expected[self._running].steps

    def end(self) -> None:
        """End the running stage."""
        if self._running:
            spent = time.monotonic() - self._began
            self.seconds[self._running] = self.seconds.get(self._running, 0.0) + spent
        self._running = ""

    @property
    def left(self) -> float | None:
        """Seconds until the job ends; None until something has been done that tells the machine's pace."""
        behind = [(self.expected[name].seconds, spent) for name, spent in self.seconds.items() if name in self.expected]
        ahead = [
            stage.seconds * (1.0 - self._done if name == self._running else 1.0)
            for name, stage in self.expected.items()
            if name not in self.seconds or name == self._running
        ]
        if self._running in self.expected:
            behind.append((self.expected[self._running].seconds * self._done, time.monotonic() - self._began))
        worked = [(expected, spent) for expected, spent in behind if spent * FASTEST > expected > 0.0]
        if not worked:
            return None
        pace = sum(spent for _, spent in worked) / sum(expected for expected, _ in worked)
        return pace * sum(ahead)

    @property
    def remark(self) -> str:
        """What a progress bar says beside its own stage."""
        left = self.left
        return "" if left is None else f"whole job {shown(left)} left"

    @property
    def table(self) -> str:
        """Where the time went: a line a stage, the longest first, and the sum."""
        total = sum(self.seconds.values())
        rows = sorted(self.seconds.items(), key=lambda one: -one[1])
        width = max((len(name) for name in self.seconds), default=5)
        lines = [f"{name:<{width}}  {spent:8.1f} s  {spent / total:4.0%}" for name, spent in rows if total]
        return "\n".join([f"{'where the time went':<{width}}", *lines, f"{'all':<{width}}  {total:8.1f} s"])


def shown(seconds: float) -> str:
    """A time as people say it: ``45 s``, ``6 min``, ``2 h 05 min``."""
    if seconds < 90.0:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60.0)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
