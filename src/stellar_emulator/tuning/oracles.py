"""Keras Tuner's oracles with a budget in trials and time, given first trials, and a state that survives a kill."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner.engine.trial import Trial, TrialStatus
from keras_tuner.oracles import BayesianOptimizationOracle, HyperbandOracle, RandomSearchOracle
from numpy.typing import NDArray

from stellar_emulator.system.files import read_json, write_file
from stellar_emulator.system.say import say
from stellar_emulator.tuning.hypermodel import Value
from stellar_emulator.tuning.plan import Plan
from stellar_emulator.tuning.trial import RESULT, read_result

FACTOR = 3
"""Factor by which Hyperband divides trials, and multiplies epochs, from one round to the next."""

CURIOSITY = 1.0
"""Standard deviations below the expected error at which the Gaussian process ranks candidates (Keras Tuner's beta);
with 2.6, its default, tens of trials are all spent on corners of so many dimensions."""

OBJECTIVE = "flux_mae"


class Budgeted(keras_tuner.Oracle):
    """Keeps a search within its budget and its state whole; mixed into each of Keras Tuner's oracles.

    given: hyperparameters of the first trials; on_end: receives the id of each trial that ended. Keras Tuner itself
    writes its files in place, and repeats a trial that ended while its own file was being written; neither would
    survive a kill at any moment.
    """

    plan: Plan
    given: Sequence[dict[str, Value]] = ()
    on_end: Callable[[str], None] | None = None
    stopped = False

    def __init__(self, plan: Plan, **settings: Any) -> None:
        self.plan, self.before, self.began = plan, 0.0, time.monotonic()
        # Failures never end a search, which continues with the next trial.
        super().__init__(
            objective=keras_tuner.Objective(OBJECTIVE, "min"),
            seed=max(1, plan.seed),  # Keras Tuner takes 0 for no seed
            max_consecutive_failed_trials=sys.maxsize,
            **settings,
        )
        self.max_trials = plan.trials

    @property
    def seconds(self) -> float:
        """Time spent on the search, without the time between a kill and a restart."""
        return self.before + time.monotonic() - self.began

    @property
    def has_time(self) -> bool:
        """Whether one more trial would end within the budget."""
        return self.seconds + 60.0 * self.plan.trial_minutes <= 60.0 * self.plan.minutes

    def create_trial(self, tuner_id: str) -> Any:
        trial = super().create_trial(tuner_id)
        self.stopped = self.stopped or trial.status == TrialStatus.STOPPED
        return trial

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        number = len(self.trials)
        if number and not self.has_time:
            return {"status": TrialStatus.STOPPED}
        if number < len(self.given):
            return {"status": TrialStatus.RUNNING, "values": dict(self.given[number])}
        drawn: dict[str, Any] = super().populate_space(trial_id)
        return drawn

    def end_trial(self, trial: Any) -> None:
        super().end_trial(trial)
        if self.on_end is not None:
            self.on_end(trial.trial_id)

    @keras_tuner.synchronized  # type: ignore[untyped-decorator]
    def take_back(self, tuner_id: str) -> None:
        """Return the trial of a worker that has died to the queue."""
        self.tuner_ids.discard(tuner_id)
        trial = self.ongoing_trials.pop(tuner_id, None)
        if trial is not None:
            self._retry_queue.append(trial.trial_id)
            self.save()

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "seconds": self.seconds}

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        self.before = state["seconds"]

    def save(self) -> None:  # type: ignore[override]  # Keras Tuner's oracles take no file either
        write_file(self._state_file, json.dumps(self.get_state()))

    def _save_trial(self, trial: Any) -> None:
        write_file(self._trial_file(trial.trial_id), json.dumps(trial.get_state()))

    @property
    def _state_file(self) -> Path:
        return Path(self._get_oracle_fname())

    def resume(self) -> None:
        """Resume from the state of an interrupted search, if there is one.

        A state with a damaged file is discarded: the same trials are then drawn anew, and those that ended are not
        trained again.
        """
        started = self._started()
        # A trial that is not in the state was never begun; the same trial is drawn again.
        for file in self._state_file.parent.glob("trial_*/trial.json"):
            if file.parent.name.removeprefix("trial_") not in started:
                file.unlink()
        if started:
            self.reload()
            self._settle_interrupted()

    def _started(self) -> set[str]:
        """Trials of an intact state."""
        if not self._state_file.is_file():
            return set()
        state = read_json(self._state_file)
        started = set(state["start_order"]) if isinstance(state, dict) else set()
        files = [self._trial_file(trial) for trial in sorted(started)]
        damaged = [file for file in files if read_json(file) is None] if started else [self._state_file]
        ended = [file.with_name(RESULT) for file in files]
        damaged += [file for file in ended if file.is_file() and read_json(file) is None]
        for file in damaged:
            say(f"{file} is damaged: trials are drawn anew, and those that ended are not trained again")
        if damaged:
            results = [read_result(folder) for folder in sorted(self._state_file.parent.glob("trial_*"))]
            self.before = sum(result.seconds for result in results if result is not None)
        return set() if damaged else started

    def _trial_file(self, trial: str) -> Path:
        return Path(self._get_trial_dir(trial)) / "trial.json"

    def _settle_interrupted(self) -> None:
        """Settle trials that were running: those that had ended stay ended, and the others begin again."""
        queue = self._retry_queue
        interrupted = list(dict.fromkeys(queue))
        queue.clear()
        for trial_id in interrupted:
            trial = self.trials[trial_id]
            if trial.status not in (TrialStatus.COMPLETED, TrialStatus.FAILED):
                trial.status, trial.metrics = TrialStatus.RUNNING, Trial(trial.hyperparameters).metrics
                queue.append(trial_id)
            elif trial_id not in self.end_order:
                self.end_order.append(trial_id)


class _Random(Budgeted, RandomSearchOracle):
    pass


class _Bayesian(Budgeted, BayesianOptimizationOracle):
    """A Gaussian process of the error's logarithm: with the error itself, one bad trial would hide all differences."""

    def _vectorize_trials(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        places, errors = super()._vectorize_trials()
        # For running trials it holds the value that the process, which models logarithms, expects: a number below 0.
        return places, np.where(errors > 0.0, np.log(np.maximum(errors, sys.float_info.min)), errors)


class _Hyperband(Budgeted, HyperbandOracle):
    """Hyperband whose first bracket, the widest, has room among the trials of the search."""

    def _get_num_brackets(self) -> int:
        natural = super()._get_num_brackets()
        return max((n for n in range(1, natural + 1) if self._trials_of(n) <= self.plan.trials), default=1)

    def _trials_of(self, brackets: int) -> int:
        return sum(self._get_size(brackets - 1, number) for number in range(brackets))

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        drawn = super().populate_space(trial_id)
        if drawn.get("values"):
            # Given trials run to the end at once.
            alone = {"tuner/epochs": self.plan.epochs, "tuner/initial_epoch": 0, "tuner/bracket": 0, "tuner/round": 0}
            drawn["values"] = {**alone, **drawn["values"]}
        return drawn


def make_oracle(plan: Plan) -> Any:
    """Keras Tuner's oracle of the plan's algorithm."""
    if plan.algorithm == "hyperband":
        return _Hyperband(plan, max_epochs=plan.epochs, factor=FACTOR, hyperband_iterations=None)
    if plan.algorithm == "bayesian":
        initial = max(3, plan.trials // 3)
        return _Bayesian(plan, max_trials=plan.trials, num_initial_points=initial, beta=CURIOSITY)
    return _Random(plan, max_trials=plan.trials)
