"""One fit: stopping, best weights, seeds, and going on after a kill."""

import json
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import keras
import numpy as np
import pytest

from stellar_emulator.errors import InputError
from stellar_emulator.networks.preset import Training
from stellar_emulator.training import fit_network
from stellar_emulator.training.fit_network import Fit, fit

RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.uniform(-1, 1, (64, 2)).astype(np.float32)
TARGETS = np.stack([INPUTS.sum(axis=1), INPUTS.prod(axis=1)], axis=1)
TRAINING, VALIDATION = (INPUTS[:48], TARGETS[:48]), (INPUTS[48:], TARGETS[48:])


def settings(**changed: object) -> Training:
    given = {
        "optimizer": "adam",
        "learning_rate": 0.01,
        "schedule": "constant",
        "batch_size": 16,
        "epochs": 4,
        "patience": 4,
    }
    return Training(**{**given, **changed})  # type: ignore[arg-type]


def small_model(seed: int = 1) -> keras.Sequential:
    keras.utils.set_random_seed(seed)
    hidden = [keras.layers.Dense(width, activation="tanh") for width in (8, 6)]
    return keras.Sequential([keras.Input((2,)), *hidden, keras.layers.Dense(2)], name="label_network")


class Told:
    """Remembers what a fit reports."""

    def __init__(self) -> None:
        self.epochs: list[int] = []
        self.values: list[dict[str, float]] = []

    def __call__(self, epoch: int, metrics: dict[str, float]) -> None:
        self.epochs.append(epoch)
        self.values.append(metrics)


def validation_loss(model: keras.Model) -> float:
    made = keras.ops.convert_to_numpy(model(VALIDATION[0]))
    return float(np.mean((made - VALIDATION[1]) ** 2))


def test_every_epoch_is_recorded_and_reported(tmp_path: Path) -> None:
    told = Told()
    done = fit(small_model(), TRAINING, VALIDATION, settings(), tmp_path, told)
    assert told.epochs == [0, 1, 2, 3]
    assert set(done.history) == {"loss", "val_loss"}
    assert [row["val_loss"] for row in told.values] == done.history["val_loss"]
    assert done.history["loss"][-1] < done.history["loss"][0]


def test_it_stops_early_and_keeps_the_best(tmp_path: Path) -> None:
    # Validation asks for the opposite of what is learned: it only gets worse once training has begun to work.
    against = (VALIDATION[0], -VALIDATION[1])
    model = small_model()
    done = fit(model, TRAINING, against, settings(epochs=40, patience=3, learning_rate=0.05), tmp_path, Told())
    epochs = len(done.history["val_loss"])
    assert epochs == done.best_epoch + 1 + 3 < 40
    assert done.history["val_loss"][done.best_epoch] == min(done.history["val_loss"])
    made = keras.ops.convert_to_numpy(model(against[0]))
    assert np.mean((made - against[1]) ** 2) == pytest.approx(min(done.history["val_loss"]), rel=1e-4)


def test_a_seed_reproduces_a_fit_and_another_does_not(tmp_path: Path) -> None:
    first, again, other = (
        fit(small_model(seed), TRAINING, VALIDATION, settings(), tmp_path / name, Told())
        for name, seed in (("first", 1), ("again", 1), ("other", 2))
    )
    assert first.history == again.history
    assert first.history != other.history


def test_a_finished_fit_returns_at_once_with_its_history(tmp_path: Path) -> None:
    model, told = small_model(), Told()
    done = fit(model, TRAINING, VALIDATION, settings(), tmp_path, Told())
    fresh = small_model(seed=9)
    # Had it trained again, it would have diverged.
    poison = (TRAINING[0], np.full_like(TRAINING[1], np.nan))
    again = fit(fresh, poison, VALIDATION, settings(), tmp_path, told)
    assert again == done
    assert told.epochs == [0, 1, 2, 3]
    assert validation_loss(fresh) == pytest.approx(min(done.history["val_loss"]), rel=1e-4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.weights.h5", "fit.json", "history.json"]


def test_a_cosine_schedule_ends_near_zero(tmp_path: Path) -> None:
    model = small_model()
    fit(model, TRAINING, VALIDATION, settings(schedule="cosine"), tmp_path, Told())
    config = model.optimizer.get_config()["learning_rate"]["config"]
    schedule = keras.optimizers.schedules.CosineDecay.from_config(config)
    rates = [float(keras.ops.convert_to_numpy(schedule(step))) for step in (0, 6, 12)]
    assert rates == pytest.approx([0.01, 0.005, 0.0], abs=1e-6)  # 48 rows in batches of 16, 4 epochs


@pytest.mark.parametrize(("name", "kind"), [("adam", "Adam"), ("adamax", "Adamax"), ("adamw", "AdamW")])
def test_optimizers_are_those_named(name: str, kind: str) -> None:
    made = fit_network._optimizer(settings(optimizer=name, learning_rate=0.25), steps=3)
    assert type(made) is getattr(keras.optimizers, kind)
    assert float(keras.ops.convert_to_numpy(made.learning_rate)) == 0.25


@pytest.mark.rounding(keras=True)
def test_the_root_of_each_examples_error_is_a_loss_of_its_own(tmp_path: Path) -> None:
    wanted, made = np.zeros((3, 2), np.float32), np.array([[3.0, 4.0], [1.0, 1.0], [0.0, 0.0]], np.float32)
    found = keras.ops.convert_to_numpy(fit_network.root_mean_squared_error(wanted, made))
    np.testing.assert_allclose(found, [12.5**0.5, 1.0, 0.0], atol=1e-5)
    model = small_model()
    done = fit(model, TRAINING, VALIDATION, settings(loss="root_mean_squared_error"), tmp_path, Told())
    errors = keras.ops.convert_to_numpy(model(VALIDATION[0])) - VALIDATION[1]
    assert min(done.history["val_loss"]) == pytest.approx(np.sqrt((errors**2).mean(axis=1)).mean(), rel=1e-4)


def test_a_divergence_is_named_with_its_remedy(tmp_path: Path) -> None:
    poison = (TRAINING[0], np.full_like(TRAINING[1], np.nan))
    with pytest.raises(InputError, match="training of the label network diverged: its loss is nan in epoch 1: choose"):
        fit(small_model(), poison, VALIDATION, settings(), tmp_path, Told())
    assert not (tmp_path / "fit.json").exists()


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
@pytest.mark.parametrize("worth", [1, 10**9], ids=["compiled", "plain"])
def test_an_interrupted_fit_repeats_no_epoch_and_ends_as_it_would_have(
    worth: int, optimizer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Full batches: no order of rows, so that the uninterrupted fit is the same to rounding."""
    monkeypatch.setattr(fit_network, "WORTH_COMPILING", worth)
    full = settings(optimizer=optimizer, epochs=6, batch_size=48, schedule="cosine")
    whole = fit(small_model(), TRAINING, VALIDATION, full, tmp_path / "whole", Told())

    def stop(epoch: int, metrics: dict[str, float]) -> None:
        if epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(small_model(), TRAINING, VALIDATION, full, tmp_path / "cut", stop)
    # As a kill leaves it after an epoch was recorded, and before its state was saved: that epoch comes again.
    recorded = json.loads((tmp_path / "cut" / "history.json").read_text())
    unsaved = {name: [*values, 0.125] for name, values in recorded.items()}
    (tmp_path / "cut" / "history.json").write_text(json.dumps(unsaved))
    (tmp_path / "cut" / "partial.weights.h5").write_bytes(b"cut short")
    told = Told()
    model = small_model(seed=9)  # its own weights count for nothing
    done = fit(model, TRAINING, VALIDATION, full, tmp_path / "cut", told)
    assert len(done.history["val_loss"]) == 6
    # Muon takes up the history where its state ends, Keras where the history does.
    assert told.epochs == ([0, 1, 2, 3, 4, 5] if optimizer == "muon" else [0, 1, 2, 3, 4, 4, 5])
    np.testing.assert_allclose(done.history["val_loss"], whole.history["val_loss"], rtol=1e-4)
    assert done.best_epoch == whole.best_epoch
    assert validation_loss(model) == pytest.approx(min(whole.history["val_loss"]), rel=1e-4)


def killed_fit(folder: Path, epochs: int) -> Fit:
    """Kill a fit in another process once it has recorded some epochs; then let it end there."""
    code = (
        "import json, sys, time; sys.path.insert(0, sys.argv[1]); import test_fit_network as own\n"
        "from pathlib import Path\n"
        "def report(epoch, metrics):\n"
        "    print(epoch, flush=True)\n"
        "    time.sleep(0.02)\n"
        "own.fit(own.small_model(), own.TRAINING, own.VALIDATION, own.settings(epochs=int(sys.argv[3]), patience=999),"
        " Path(sys.argv[2]), report)\n"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(folder), str(epochs)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as first:
        assert first.stdout is not None
        for line in first.stdout:
            if int(line) == 5:
                os.kill(first.pid, signal.SIGKILL)
                break
    assert first.returncode == -signal.SIGKILL
    before = json.loads((folder / "history.json").read_text())["val_loss"]
    assert not (folder / "fit.json").exists()
    assert len(before) >= 6
    second = subprocess.run(command, capture_output=True, text=True, check=True)
    told = [int(line) for line in second.stdout.split()]
    replayed = told[: len(before)]
    assert replayed == list(range(len(before)))
    # At most the last recorded epoch, whose state was not yet saved, was computed again.
    assert told[len(before)] in (len(before) - 1, len(before))
    done = Fit(**json.loads((folder / "fit.json").read_text()))
    assert done.history["val_loss"][: len(before) - 1] == before[:-1]
    return done


@pytest.mark.parametrize("name", ["fit.json", "history.json", "clock.json"])
def test_a_file_that_a_power_cut_emptied_is_named(tmp_path: Path, name: str) -> None:
    for weights in ("best.weights.h5", "latest.weights.h5"):
        small_model().save_weights(tmp_path / weights)
    (tmp_path / name).touch()
    with pytest.raises(InputError, match=rf"{name} is damaged: delete .*, and the same command"):
        fit(small_model(), TRAINING, VALIDATION, settings(), tmp_path, lambda epoch, metrics: None)


def test_a_killed_fit_goes_on_where_it_was(tmp_path: Path) -> None:
    done = killed_fit(tmp_path, epochs=40)
    assert len(done.history["val_loss"]) == len(done.history["loss"]) == 40
    model = small_model()
    model.load_weights(tmp_path / "best.weights.h5")
    assert validation_loss(model) == pytest.approx(min(done.history["val_loss"]), rel=1e-3)
    assert done.best_epoch == int(np.argmin(done.history["val_loss"]))
    assert not (tmp_path / "latest.weights.h5").exists()


def test_a_kill_after_the_last_epoch_costs_nothing(tmp_path: Path) -> None:
    done = fit(small_model(), TRAINING, VALIDATION, settings(), tmp_path, Told())
    (tmp_path / "fit.json").unlink()
    poison = (TRAINING[0], np.full_like(TRAINING[1], np.nan))
    assert fit(small_model(seed=9), poison, VALIDATION, settings(), tmp_path, Told()) == done
    assert (tmp_path / "fit.json").is_file()


def test_a_fit_ends_with_its_time_and_its_learning_rate_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that an epoch moves on by one second, but the first, which compiles, by five."""
    now = [100.0]
    monkeypatch.setattr("stellar_emulator.training.fit_network.time.monotonic", lambda: now[0])
    rates: list[float] = []
    model = small_model()

    def report(epoch: int, metrics: dict[str, float]) -> None:
        rates.append(float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)))
        now[0] += 5.0 if epoch == 0 else 1.0

    given = settings(epochs=1000, patience=1000, schedule="cosine")
    done = fit(model, TRAINING, VALIDATION, given, tmp_path, report, seconds=15.5)
    assert done.epochs == 11  # 5 s and ten times 1 s; the twelfth would end after 16 s
    assert done.seconds == pytest.approx(15.0)
    assert rates[0] == pytest.approx(0.01, rel=1e-3)
    assert all(later < earlier for earlier, later in pairwise(rates[1:]))
    assert rates[-1] < 0.001


def test_with_time_to_spare_a_fit_ends_with_its_epochs(tmp_path: Path) -> None:
    model, rates = small_model(), []

    def report(epoch: int, metrics: dict[str, float]) -> None:
        rates.append(float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)))

    done = fit(model, TRAINING, VALIDATION, settings(schedule="cosine"), tmp_path, report, seconds=1e6)
    assert done.epochs == 4
    expected = [0.005 * (1.0 + np.cos(np.pi * middle)) for middle in (0.125, 0.375, 0.625, 0.875)]
    assert rates == pytest.approx(expected, rel=1e-5)


@pytest.mark.rounding(keras=True)
def test_compiled_steps_learn_what_single_ones_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty steps an epoch, which sixteen at once don't divide, and a last batch of another size."""
    losses = []
    for worth in (1, 10**9):
        monkeypatch.setattr(fit_network, "WORTH_COMPILING", worth)
        folder = tmp_path / str(worth)
        done = fit(small_model(), (INPUTS[:59], TARGETS[:59]), VALIDATION, settings(batch_size=3), folder, Told())
        losses.append(done.history["val_loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)


def test_decay_and_memory_reach_the_optimizer() -> None:
    made = fit_network._optimizer(settings(optimizer="adamw", weight_decay=0.02, beta_2=0.99), steps=3)
    assert (made.weight_decay, made.beta_2) == (0.02, 0.99)
    untouched = fit_network._optimizer(settings(optimizer="adamw"), steps=3)
    assert (untouched.weight_decay, untouched.beta_2) == (0.004, 0.999)  # Keras's own
