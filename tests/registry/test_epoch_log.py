"""Epochs reach the tracking store some seconds' worth at once, and none is lost where a fit ends otherwise."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import pytest

from stellar_emulator.registry import tracking
from stellar_emulator.registry.epoch_log import FLUSH, EpochLog
from stellar_emulator.registry.stages import Stages
from stellar_emulator.registry.tracking import TrackedRun
from stellar_emulator.system.job_clock import JobClock


@dataclass(frozen=True)
class Written(TrackedRun):
    """A run that keeps what it is told, write by write."""

    run_id: str = "a run"
    writes: list[list[int]] = field(default_factory=list)

    def log_steps(self, steps: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        self.writes.append([step for step, _ in steps])


def test_epochs_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    run, now = Written(), 0.0
    monkeypatch.setattr("stellar_emulator.registry.epoch_log.time.monotonic", lambda: now)
    log = EpochLog(run)
    for epoch, now in enumerate((0.1, 1.0, FLUSH + 1.0, FLUSH + 1.1)):  # noqa: B007
        log.add(epoch, {"loss": 1.0})
    log.flush()
    assert run.writes == [[0, 1, 2], [3]]


def test_a_stage_writes_its_epochs_before_its_run_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = {name: Written() for name in ("first", "second")}

    @contextmanager
    def started(name: str) -> Iterator[Written]:
        yield runs[name]
        assert runs[name].writes

    monkeypatch.setattr(tracking, "start_run", started)
    with Stages(JobClock()) as stages:
        report = stages("first")
        for epoch in range(3):
            report(epoch, {"loss": 1.0})
    with suppress(ZeroDivisionError), Stages(JobClock()) as stages:
        stages("second")(0, {"loss": 1.0})
        raise ZeroDivisionError
    assert {name: run.writes for name, run in runs.items()} == {"first": [[0, 1, 2]], "second": [[0]]}
