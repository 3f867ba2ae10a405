"""Fits one network, by Muon or by Keras: keeps its best weights, shows progress, and resumes after a kill."""

import json
import math
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from stellar_emulator.errors import InputError
from stellar_emulator.networks.preset import Loss, Training
from stellar_emulator.system.files import new_file, read_json, settle, write_file
from stellar_emulator.training.early_stopping import best_epoch, is_over
from stellar_emulator.training.fit_by_muon import ArrayBatches, Batches, MuonTraining

History = dict[str, list[float]]
Report = Callable[[int, dict[str, float]], str | None]
"""Takes an epoch and its metrics; may return what the progress bar shall say beside them."""

BEST, LATEST, PARTIAL = "best.weights.h5", "latest.weights.h5", "partial.weights.h5"
"""Files of weights: best epoch so far, last epoch, and epoch being written, each with Keras's optimizer's state."""

LATEST_STATE, PARTIAL_STATE = "latest.npz", "partial.npz"
"""Files of the state of a fit by Muon, with the best weights so far: after the last epoch, and being written."""

CLOCK = "clock.json"
"""File that holds the seconds spent on a fit that has not ended."""

STEPS_AT_ONCE = 16
"""Steps between returns to Python: for networks of this size a return takes as long as a step."""

WORTH_COMPILING = 1000
"""Number of steps above which a fit gains more from XLA than its compilation costs, some seconds."""


def root_mean_squared_error(wanted: Any, made: Any) -> Any:
    """Root mean squared error of each example, tensors (n, values) to (n,); Keras takes their mean."""
    # Without the small constant, the root's slope would be infinite where an example is reproduced exactly.
    return keras.ops.sqrt(keras.ops.mean(keras.ops.square(made - wanted), axis=-1) + 1e-12)


def weighted_mean_squared_error(wanted: Any, made: Any) -> Any:
    """Weighted error of each example, tensors (n, values + weights) and (n, values) to (n,); see `training.space`."""
    values = made.shape[-1]
    return keras.ops.mean(wanted[..., values:] * keras.ops.square(made - wanted[..., :values]), axis=-1)


def weighted_root_mean_squared_error(wanted: Any, made: Any) -> Any:
    """Like `root_mean_squared_error`, but weighted."""
    return keras.ops.sqrt(weighted_mean_squared_error(wanted, made) + 1e-12)


WEIGHTED_LOSSES: dict[Loss, Any] = {
    "mean_squared_error": weighted_mean_squared_error,
    "root_mean_squared_error": weighted_root_mean_squared_error,
}
"""The same as `LOSSES`, for targets that include weights."""

LOSSES: dict[Loss, Any] = {
    "mean_squared_error": "mean_squared_error",
    "root_mean_squared_error": root_mean_squared_error,
}
"""Losses of presets in the form that Keras takes."""


@dataclass(frozen=True)
class Fit:
    """The result of a fit: metrics by epoch (``loss``, ``val_loss``), epoch whose weights were kept, and its time."""

    history: History
    best_epoch: int
    seconds: float = field(default=0.0, compare=False)

    @property
    def epochs(self) -> int:
        return len(self.history["val_loss"])


def fit(
    model: keras.Model,
    training: Any,
    validation: Any,
    settings: Training,
    folder: Path,
    report: Report,
    seconds: float | None = None,
) -> Fit:
    """Fit ``model`` in place to its preset's loss and restore the weights that were best on the validation runs.

    training and validation: a pair of arrays (inputs, targets) or a `keras.utils.PyDataset`. ``folder`` keeps the state
    after every epoch: the same call resumes a killed fit, and returns at once if the fit has ended. ``report`` receives
    the metrics of every epoch, including those before a kill. ``seconds``: time limit of the fit, within which a
    falling learning rate reaches its end; at least one epoch is run.

    Raises
    ------
    InputError
        If the training diverges; the message names network and epoch.
    """
    folder.mkdir(parents=True, exist_ok=True)
    finished = folder / "fit.json"
    if finished.is_file():
        model.load_weights(folder / BEST)
        done = Fit(**_kept(finished))
        _replay(done.history, report)
        return done
    record = _Record(folder, settings, report, str(model.name))
    pace = None if seconds is None else _Pace(settings, seconds, record)
    (_by_muon if settings.optimizer == "muon" else _by_keras)(model, training, validation, settings, record, pace)
    done = Fit(record.history, record.best_epoch, record.seconds)
    write_file(finished, json.dumps(asdict(done)))
    for temporary in (LATEST, LATEST_STATE, CLOCK):
        (folder / temporary).unlink(missing_ok=True)
    return done


def _by_muon(
    model: keras.Model, training: Any, validation: Any, settings: Training, record: "_Record", pace: "_Pace | None"
) -> None:
    """Fit a model of dense layers by Muon; its best weights end in the model and in `BEST`."""
    seed = random.getrandbits(32)  # `keras.utils.set_random_seed` seeds this generator too
    examples, known = _batches(training, settings, seed), _batches(validation, settings, None)
    state = MuonTraining(model, settings.loss, settings.batch_size, settings.beta_2, seed)
    latest, partial = record.folder / LATEST_STATE, record.folder / PARTIAL_STATE
    if latest.is_file():
        state.load(latest)
    begun = state.muon.steps // examples.num_batches
    for _ in range(begun):
        examples.on_epoch_end()  # so that a fit that goes on takes the batches of one that was never killed
    record.begin(begun)
    with state.at_work() as pool:
        for epoch in range(begun, settings.epochs):
            if record.stopped or (pace is not None and pace.over):
                break
            rate = _rates(settings, examples.num_batches) if pace is None else _constant(pace.begin(epoch))
            loss = state.epoch(examples, rate, pool)
            record.add(epoch, {"loss": loss, "val_loss": state.error(known, pool)})
            if record.best_epoch == epoch:
                state.keep_best()
            state.save(partial)
            record.write()
            settle(partial, latest)
            record.tell(epoch)
            if pace is not None:
                pace.end()
    record.end()
    state.restore_best()
    model.save_weights(record.folder / PARTIAL)
    settle(record.folder / PARTIAL, record.folder / BEST)


def _batches(data: Any, settings: Training, seed: int | None) -> Batches:
    if isinstance(data, keras.utils.PyDataset):
        return data
    inputs, targets = data
    return ArrayBatches(inputs, targets, settings.batch_size, seed)


def _rates(settings: Training, steps: int) -> Callable[[int], float]:
    """Learning rates by the number of the step, of which an epoch has a number."""
    return lambda step: _rate(settings, step / steps)


def _constant(rate: float) -> Callable[[int], float]:
    return lambda step: rate


def _rate(settings: Training, epoch: float) -> float:
    """Learning rate after a number of epochs."""
    if settings.schedule == "constant":
        return settings.learning_rate
    return 0.5 * settings.learning_rate * (1.0 + math.cos(math.pi * min(1.0, epoch / settings.epochs)))


def _by_keras(
    model: keras.Model, training: Any, validation: Any, settings: Training, record: "_Record", pace: "_Pace | None"
) -> None:
    """Fit a model by Keras; its best weights end in the model and in `BEST`."""
    # A dataset shuffles itself: Keras would take its batches in random order, each from another chunk of the grid.
    streamed = isinstance(training, keras.utils.PyDataset)
    fixed = {"shuffle": False} if streamed else {"batch_size": settings.batch_size, "validation_batch_size": 4096}
    inputs, targets = (training, None) if streamed else training
    if not record.stopped:
        steps = _steps(training, settings)
        compile_for(model, settings, steps, streamed, paced=pace is not None, weighted=_has_weights(model, training))
        model.fit(
            inputs,
            targets,
            validation_data=validation,
            epochs=settings.epochs,
            initial_epoch=_restore(model, record.folder / LATEST, steps),
            callbacks=[_KeptByKeras(record, pace)],
            verbose=0,
            **fixed,
        )
    model.load_weights(record.folder / BEST)


def compile_for(
    model: keras.Model, settings: Training, steps: int, streamed: bool, paced: bool = False, weighted: bool = False
) -> None:
    """Compile ``model`` for a fit with a number of steps per epoch, as `fit` does.

    paced: the learning rate is set elsewhere; weighted: targets include weights.
    """
    losses = WEIGHTED_LOSSES if weighted else LOSSES
    # Batches of a dataset have many sizes, and XLA would compile each of them anew.
    long = not streamed and steps * settings.epochs >= WORTH_COMPILING
    fast = {"jit_compile": True, "steps_per_execution": STEPS_AT_ONCE} if long else {}
    model.compile(optimizer=_optimizer(settings, None if paced else steps), loss=losses[settings.loss], **fast)


def _has_weights(model: keras.Model, training: Any) -> bool:
    """Whether targets are wider than the model's output, and so include weights."""
    if isinstance(training, keras.utils.PyDataset):
        return bool(getattr(training, "weighted", False))
    return bool(training[1].shape[-1] > model.output_shape[-1])


def _restore(model: keras.Model, latest: Path, steps: int) -> int:
    """Restore the weights and the optimizer of a killed fit; return the number of epochs that it had completed."""
    if not latest.is_file():
        return 0
    model.optimizer.build(model.trainable_variables)
    model.load_weights(latest)
    return int(keras.ops.convert_to_numpy(model.optimizer.iterations)) // steps


def _kept(path: Path) -> Any:
    """Content of a file of a fit. Raises `InputError` with the remedy if a power cut has emptied it."""
    content = read_json(path)
    if content is None:
        raise InputError(f"{path} is damaged: delete {path.parent}, and the same command trains this network anew")
    return content


def _copy(source: Path, path: Path) -> None:
    """Copy a file at once or not at all: a kill may come at any time."""
    with new_file(path) as partial:
        shutil.copyfile(source, partial)


def _steps(training: Any, settings: Training) -> int:
    if isinstance(training, keras.utils.PyDataset):
        return int(training.num_batches)
    return int(np.ceil(len(training[0]) / settings.batch_size))


def _optimizer(settings: Training, steps: int | None) -> keras.optimizers.Optimizer:
    """The optimizer of a preset; without the ``steps`` of an epoch `_Pace` sets its learning rate."""
    rate: Any = settings.learning_rate
    if settings.schedule == "cosine" and steps is not None:
        rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, steps * settings.epochs)
    kinds = {"adam": keras.optimizers.Adam, "adamax": keras.optimizers.Adamax, "adamw": keras.optimizers.AdamW}
    chosen = {"weight_decay": settings.weight_decay, "beta_2": settings.beta_2}
    optimizer: keras.optimizers.Optimizer = kinds[settings.optimizer](
        learning_rate=rate, **{name: value for name, value in chosen.items() if value is not None}
    )
    return optimizer


def _replay(history: History, report: Report) -> None:
    for epoch in range(len(history.get("val_loss", []))):
        report(epoch, {name: values[epoch] for name, values in history.items()})


class _Record:
    """Keeps the history on disk, shows progress, and knows when early stopping ends a fit."""

    def __init__(self, folder: Path, settings: Training, report: Report, name: str) -> None:
        self.folder, self.settings, self.report, self.name = folder, settings, report, name
        self.path, self.clock = folder / "history.json", folder / CLOCK
        self.history: History = _kept(self.path) if self.path.is_file() else {}
        self.before = float(_kept(self.clock)) if self.clock.is_file() else 0.0
        self.began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Time spent so far, without epochs that a kill cut short."""
        return self.before + time.monotonic() - self.began

    @property
    def best_epoch(self) -> int:
        return best_epoch(self.history["val_loss"])

    @property
    def stopped(self) -> bool:
        return is_over(self.history.get("val_loss", []), self.settings)

    def begin(self, epochs: int | None = None) -> None:
        """Show and report the epochs so far: as many as the history has, or fewer if their state was not saved."""
        self.history = {name: values[:epochs] for name, values in self.history.items()}
        self.bar = tqdm(total=self.settings.epochs, desc=self.name, unit="epoch", mininterval=2.0)
        self.bar.update(len(self.history.get("val_loss", [])))
        _replay(self.history, self.report)

    def add(self, epoch: int, metrics: dict[str, float]) -> None:
        """Note an epoch's metrics; its state must be saved before `tell`. Raises `InputError` if they diverged."""
        if not np.isfinite(list(metrics.values())).all():
            raise InputError(
                f"training of the {self.name.replace('_', ' ')} diverged: its loss is {metrics['loss']} in epoch "
                f"{epoch + 1}: choose a preset with a smaller learning_rate"
            )
        for name, value in metrics.items():
            # A killed fit may have recorded an epoch whose state it had not yet saved: the new value replaces it.
            self.history[name] = [*self.history.get(name, [])[:epoch], value]

    def write(self) -> None:
        write_file(self.path, json.dumps(self.history))

    def tell(self, epoch: int) -> None:
        """Report an epoch that is saved, and show it."""
        metrics = {name: values[epoch] for name, values in self.history.items()}
        write_file(self.clock, json.dumps(self.seconds))
        remark = self.report(epoch, metrics)
        told = [f"loss {metrics['loss']:.3g}", f"validation {metrics['val_loss']:.3g}", *([remark] if remark else [])]
        self.bar.set_postfix_str(", ".join(told), refresh=False)
        self.bar.update()

    def end(self) -> None:
        self.bar.close()


class _Pace:
    """Ends a fit in time: no epoch begins that would exceed it, and a cosine reaches zero when the time or the epochs
    end.

    The learning rate is constant within an epoch, at the value of the cosine in the epoch's middle. over: whether
    another epoch would exceed the time.
    """

    def __init__(self, settings: Training, seconds: float, record: _Record) -> None:
        self.settings, self.seconds, self.record = settings, seconds, record
        self.last_epoch, self.compiled, self.over = 0.0, False, False

    def begin(self, epoch: int) -> float:
        """The learning rate of an epoch that begins."""
        self.began = self.record.seconds
        middle = (self.began + 0.5 * self.last_epoch) / self.seconds
        return _rate(self.settings, max(epoch + 0.5, self.settings.epochs * middle))

    def end(self) -> None:
        """Note that the epoch has ended."""
        if self.compiled:
            self.last_epoch = self.record.seconds - self.began
        self.compiled = True  # in the first epoch, whose time therefore does not predict that of later ones
        self.over = self.record.seconds + self.last_epoch > self.seconds


class _KeptByKeras(keras.callbacks.Callback):
    """Keeps state and best weights of a fit by Keras on disk, sets its pace, and ends it."""

    def __init__(self, record: _Record, pace: _Pace | None) -> None:
        super().__init__()
        self.record, self.pace = record, pace

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self.record.begin()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if self.pace is not None:
            self.model.optimizer.learning_rate = self.pace.begin(epoch)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        record = self.record
        record.add(epoch, {name: float(value) for name, value in (logs or {}).items()})
        self.model.save_weights(record.folder / PARTIAL)
        if record.best_epoch == epoch:
            _copy(record.folder / PARTIAL, record.folder / BEST)
        record.write()
        settle(record.folder / PARTIAL, record.folder / LATEST)
        record.tell(epoch)
        if self.pace is not None:
            self.pace.end()
        if record.stopped or (self.pace is not None and self.pace.over):
            self.model.stop_training = True

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self.record.end()
