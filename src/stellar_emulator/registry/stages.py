"""Child runs of a training: one for each network, one after the other."""

from contextlib import ExitStack
from types import TracebackType
from typing import Self

from stellar_emulator.registry import tracking
from stellar_emulator.registry.epoch_log import EpochLog
from stellar_emulator.training.fit_network import Report


class Stages:
    """Opens a child run for each requested network, ends the previous one, and logs epochs as they end."""

    def __init__(self) -> None:
        self._open = ExitStack()

    def __call__(self, name: str) -> Report:
        self._open.close()
        child = self._open.enter_context(tracking.start_run(name))
        epochs = EpochLog(child)
        self._open.callback(epochs.flush)
        return epochs.add

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)
