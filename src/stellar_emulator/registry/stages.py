"""Child runs of a training: one for each network, one after the other, by the clock of the whole job."""

from contextlib import ExitStack
from types import TracebackType
from typing import Self

from stellar_emulator.registry import tracking
from stellar_emulator.registry.epoch_log import EpochLog
from stellar_emulator.system.job_clock import JobClock
from stellar_emulator.training.fit_network import Report


class Stages:
    """Opens a child run for each requested network, ends the previous one, and logs epochs as they end.

    clock: is told of each network and epoch, and says how long the whole job will take yet.
    """

    def __init__(self, clock: JobClock) -> None:
        self.clock = clock
        self._open = ExitStack()

    def __call__(self, name: str) -> Report:
        self._open.close()
        self.clock.begin(name)
        child = self._open.enter_context(tracking.start_run(name))
        epochs = EpochLog(child)
        self._open.callback(epochs.flush)

        def add(epoch: int, metrics: dict[str, float]) -> str:
            epochs.add(epoch, metrics)
            self.clock.advance(epoch)
            return self.clock.remark

        return add

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)
