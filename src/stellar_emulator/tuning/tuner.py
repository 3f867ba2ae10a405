"""The tuner: runs each trial that Keras Tuner's oracle requests, and keeps its result."""

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import keras_tuner
from keras_tuner.engine.trial import TrialStatus
from keras_tuner.errors import FailedTrialError

from stellar_emulator.errors import SetupError
from stellar_emulator.networks.preset import Preset
from stellar_emulator.system.files import write_file
from stellar_emulator.training.train_emulator import Fitting, StageReport
from stellar_emulator.tuning.hypermodel import (
    SearchSpace,
    Value,
    last_fit,
    planned_epochs,
    with_epochs,
    with_run_epochs,
)
from stellar_emulator.tuning.oracles import OBJECTIVE
from stellar_emulator.tuning.plan import Plan
from stellar_emulator.tuning.targets import Workshop
from stellar_emulator.tuning.trial import TrialResult, read_result, write_result
from stellar_emulator.tuning.trial_figures import measure

NETWORKS = "networks"
"""Folder of a trial's fits, inside the trial's folder."""

STARTS = 5
"""Number of times that a trial is begun: one whose process ends each time (for lack of memory, say) has failed."""

ORIGIN = "origin"
"""Key of the name of a given trial's preset, among its hyperparameters."""


class Diary(Protocol):
    """The log of trials: `begin` is called before each (again after a kill), `end` after it."""

    def begin(self, trial: str, preset: Preset, values: Mapping[str, Value]) -> StageReport: ...

    def end(self, result: TrialResult) -> None: ...


@dataclass(frozen=True)
class _Task:
    """The task of one trial. earlier: trial from which it continues; share: part of a whole trial's epochs and time."""

    trial: str
    values: Mapping[str, Value]
    preset: Preset
    earlier: str | None
    share: float
    ends: bool


class PresetTuner(keras_tuner.Tuner):
    """Trains presets under a time cap and measures the flux that they generate for validation runs.

    given: presets of the first trials, by name. Where Keras Tuner's environment variables name a chief, this tuner asks
    the chief's oracle for trials. All tuners of a search share ``folder``.
    """

    oracle: Any  # a `Budgeted` one, or what asks a chief's

    def __init__(
        self,
        plan: Plan,
        space: SearchSpace,
        given: Mapping[str, Preset],
        oracle: Any,
        workshop: Workshop,
        diary: Diary,
        folder: Path,
    ) -> None:
        self.plan, self.space, self.given, self.workshop, self.diary = plan, space, given, workshop, diary
        super().__init__(
            oracle=oracle, hypermodel=space.hypermodel(), directory=str(folder.parent), project_name=folder.name
        )

    def _populate_initial_space(self) -> None:
        """Fill the oracle's space, queue the given presets, and resume the state of an interrupted search."""
        super()._populate_initial_space()
        space = self.oracle.hyperparameters.space
        self.oracle.given = [{**self.space.values(preset, space), ORIGIN: name} for name, preset in self.given.items()]
        if not self._is_worker():
            self.oracle.resume()

    def save(self) -> None:  # type: ignore[override]  # Keras Tuner's tuners take no file either
        """Save only the oracle's state: the tuner has none, and `_populate_initial_space` finds it."""
        if not self._is_worker():
            self.oracle.save()

    def _try_run_and_update_trial(self, trial: Any, *fit_args: Any, **fit_kwargs: Any) -> None:
        """Like Keras Tuner's method, but an error that is not the trial's ends the search."""
        try:
            self._run_and_update_trial(trial)
            trial.status = TrialStatus.COMPLETED
        except FailedTrialError as error:
            trial.status, trial.message = TrialStatus.FAILED, str(error)

    def run_trial(self, trial: Any, *fit_args: Any, **fit_kwargs: Any) -> dict[str, float]:
        """Train and measure one trial; one that a killed search had ended is not trained again."""
        task, folder = self._task(trial), self._folder(trial.trial_id)
        result = read_result(folder)
        if result is not None and dict(result.values) != _drawn(task.values):  # of a search whose state was lost
            shutil.rmtree(folder / NETWORKS, ignore_errors=True)
            result = None
        if result is None:
            result = self._run(task, self.diary.begin(task.trial, task.preset, task.values))
            self.diary.end(result)
            write_result(folder, result)
        if self.plan.algorithm != "hyperband":  # later trials continue from these weights
            shutil.rmtree(folder / NETWORKS, ignore_errors=True)
        if result.figures is None:
            raise FailedTrialError(result.reason)
        return {OBJECTIVE: result.figures.mae}

    def _task(self, trial: Any) -> _Task:
        values = dict(trial.hyperparameters.values)
        origin = values.get(ORIGIN)
        if origin is not None:
            preset = self.given[str(origin)]
            epochs = min(self.plan.epochs, last_fit(preset, self.plan.target).epochs)
            return _Task(trial.trial_id, values, with_epochs(preset, self.plan.target, epochs), None, 1.0, True)
        last = int(values.get("tuner/epochs", self.plan.epochs))
        epochs = last - int(values.get("tuner/initial_epoch", 0))
        preset = with_epochs(self.space.preset(trial.hyperparameters), self.plan.target, epochs)
        earlier = values.get("tuner/trial_id")
        return _Task(trial.trial_id, values, preset, earlier, epochs / self.plan.epochs, last >= self.plan.epochs)

    def _run(self, task: _Task, report: StageReport) -> TrialResult:
        """Run a trial until it ends or fails."""
        began, folder = time.monotonic(), self._folder(task.trial)
        before = None if task.earlier is None else read_result(self._folder(task.earlier))
        target = self.plan.target
        planned = planned_epochs(task.preset, target) if before is None else last_fit(task.preset, target).epochs
        fitting = Fitting(folder / NETWORKS, report, planned, 60.0 * self.plan.trial_minutes * task.share)
        reason, figures = "", None
        try:
            _count_start(folder)
            start = None if task.earlier is None else self._folder(task.earlier) / NETWORKS
            figures = measure(self.workshop.materials, self.workshop.train(task.preset, fitting, start))
        except SetupError:
            raise
        except Exception as error:  # any error of Keras, its backend or the machine
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:500]
        return TrialResult(
            trial=task.trial,
            origin=str(task.values.get(ORIGIN, "searched")),
            earlier=task.earlier,
            values=_drawn(task.values),
            preset=self._as_run(task.preset, fitting, before),
            verdict="failed" if figures is None else "completed" if task.ends else "pruned",
            reason=reason,
            seconds=time.monotonic() - began + fitting.before,
            fit_seconds=sum(done.seconds for done in fitting.fits.values()),
            figures=figures,
        )

    def _as_run(self, preset: Preset, fitting: Fitting, before: TrialResult | None) -> Preset:
        """The preset with the epochs that were run, including those of the trial from which this one continued."""
        epochs = {name: done.epochs for name, done in fitting.fits.items()}
        if before is None:
            return with_run_epochs(preset, epochs)
        earlier = last_fit(before.preset, self.plan.target).epochs
        return with_run_epochs(before.preset, {name: earlier + count for name, count in epochs.items()})

    def _folder(self, trial: str) -> Path:
        return Path(self.get_trial_dir(trial))


def _drawn(values: Mapping[str, Value]) -> dict[str, Value]:
    """A trial's hyperparameters in the form of its result."""
    return {name: value for name, value in values.items() if name != ORIGIN}


def _count_start(folder: Path) -> None:
    """Count one more start of a trial. Raises `RuntimeError` after too many."""
    counter = folder / "starts"
    starts = 1 + (int(counter.read_text() or 0) if counter.is_file() else 0)
    write_file(counter, str(starts))
    if starts > STARTS:
        raise RuntimeError(f"its process ended {STARTS} times while it ran: it may take more memory than there is")
