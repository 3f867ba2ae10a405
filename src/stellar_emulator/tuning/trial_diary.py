"""Logs a search's trials to MLflow: one child run each, under the run of the search."""

from collections.abc import Mapping
from typing import Self

from stellar_emulator.networks.preset import Preset
from stellar_emulator.registry import tracking
from stellar_emulator.registry.epoch_log import EpochLog
from stellar_emulator.registry.tracking import TrackedRun
from stellar_emulator.registry.tracking_store import reachable
from stellar_emulator.training.fit_network import Report
from stellar_emulator.training.train_emulator import StageReport
from stellar_emulator.tuning.hypermodel import Value
from stellar_emulator.tuning.trial import TrialResult, figures_of

TRIAL = "trial"
VERDICT = "verdict"
REASON = "reason"
"""Tags of a trial's run."""


class TrialDiary:
    """Keeps each trial's hyperparameters, epochs, figures and verdict; a trial that was killed continues in its run."""

    def __init__(self, parent: str) -> None:
        self.parent = parent
        self.run: TrackedRun | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """End the run of a trial that was interrupted."""
        if self.run is not None:
            self.run.end("KILLED")

    def begin(self, trial: str, preset: Preset, values: Mapping[str, Value]) -> StageReport:
        """Open a trial's run and return the function that logs its networks' epochs, as ``NETWORK.loss`` and so on."""
        with reachable():
            self.run = run = tracking.take_up_child(self.parent, f"trial {trial}", {TRIAL: trial})
            run.log_settings({**values, "family": preset.family})
            self.known = run.last_steps()
        self.epochs = EpochLog(run)
        return self._report

    def end(self, result: TrialResult) -> None:
        """Log a trial's figures, times, preset and verdict and end its run."""
        assert self.run is not None
        run, self.run = self.run, None
        with reachable():
            self.epochs.flush()
            times = {"seconds": result.seconds, "fit_seconds": result.fit_seconds}
            run.log_metrics({**figures_of(result), **times})
            run.log_json(result.preset.model_dump(mode="json"), "preset.json")
            run.set_tags({VERDICT: result.verdict, **({REASON: result.reason} if result.reason else {})})
            run.end("FAILED" if result.figures is None else "FINISHED")

    def _report(self, network: str) -> Report:
        def report(epoch: int, metrics: Mapping[str, float]) -> None:
            named = {f"{network}.{name}": value for name, value in metrics.items()}
            new = {name: value for name, value in named.items() if epoch > self.known.get(name, -1)}
            with reachable():
                self.epochs.add(epoch, new)

        return report
