"""Fits by Muon on plain arrays: activations, gradients and steps against Keras and against what defines them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from stellar_emulator.networks.dense import ACTIVATIONS
from stellar_emulator.networks.preset import Loss
from stellar_emulator.training import fit_by_muon, fit_network
from stellar_emulator.training.fit_by_muon import ArrayBatches, MuonTraining
from stellar_emulator.training.muon import DECAY, STEP, Muon, orthogonal
from stellar_emulator.training.share import Share, weights_of
from stellar_emulator.training.slopes import BLOCK, SCRATCH, activate

RANDOM = np.random.default_rng(0)
CURVED = ["relu", "silu", "gelu", "tanh"]


def model_of(activations: list[str], dropout: float = 0.0) -> keras.Sequential:
    keras.utils.set_random_seed(1)
    layers: list[Any] = [keras.Input((3,))]
    for width, activation in zip((8, 7, 6, 4), activations, strict=True):
        layers.append(keras.layers.Dense(width, activation=activation, bias_initializer="random_normal"))
        if dropout:
            layers.append(keras.layers.Dropout(dropout))
    return keras.Sequential(layers, name="chain")


@pytest.mark.parametrize("name", CURVED)
def test_activations_have_their_values_and_slopes(name: str) -> None:
    """More values than a block, far out on both sides; slopes by differences in double precision."""
    x = np.concatenate([np.linspace(-30, 30, BLOCK + 8), [0.5, -1e-3]]).astype(np.float32)
    given, made = x.copy().reshape(-1, 2), np.empty((len(x) // 2, 2), np.float32)
    activate(name, given, made, np.empty((SCRATCH, BLOCK), np.float32))
    wide = x.astype(np.float64)
    exact: Any = ACTIVATIONS[name]
    np.testing.assert_allclose(made.ravel(), exact(wide), rtol=1e-6, atol=1e-6)
    slopes = (exact(wide + 1e-6) - exact(wide - 1e-6)) / 2e-6
    away = np.abs(wide) > 1e-5  # where relu has no slope
    np.testing.assert_allclose(given.ravel()[away], slopes[away], atol=2e-6)


@pytest.mark.parametrize("weighted", [False, True], ids=["alike", "weighted"])
@pytest.mark.parametrize("loss", ["mean_squared_error", "root_mean_squared_error"])
@pytest.mark.parametrize("activations", [["gelu", "linear", "tanh", "linear"], ["silu", "relu", "linear", "gelu"]])
def test_gradients_and_errors_are_those_of_keras(activations: list[str], loss: Loss, weighted: bool) -> None:
    """Two shares of a batch against a step of plain gradient descent with a rate of 1."""
    model = model_of(activations)
    inputs, targets = (RANDOM.normal(size=(50, width)).astype(np.float32) for width in (3, 4))
    if weighted:
        targets = np.concatenate([targets, RANDOM.uniform(0.2, 2.0, (50, 1)).astype(np.float32)], axis=1)
    weights = weights_of(model)
    shares = [Share(weights, 30) for _ in range(2)]
    parts = [slice(0, 30), slice(30, 50)]
    found = sum(share.learn(inputs[part], targets[part], loss, 50) for share, part in zip(shares, parts, strict=True))
    known = sum(share.error(inputs[part], targets[part], loss) for share, part in zip(shares, parts, strict=True))
    losses = fit_network.WEIGHTED_LOSSES if weighted else fit_network.LOSSES
    model.compile(keras.optimizers.SGD(1.0), loss=losses[loss])
    expected = float(np.asarray(model.train_on_batch(inputs, targets)))
    assert found / 50 == pytest.approx(expected, rel=1e-5)
    assert known / 50 == pytest.approx(expected, rel=1e-5)
    after = weights_of(model)
    for layer in range(4):
        for name in ("kernels", "biases"):
            gradient = sum(getattr(share, name)[layer] for share in shares)
            stepped = getattr(weights, name)[layer] - getattr(after, name)[layer]
            np.testing.assert_allclose(gradient, stepped, atol=2e-6, err_msg=f"{name} {layer}")


def test_dropout_acts_in_training_alone_and_keeps_the_mean() -> None:
    weights = weights_of(model_of(["linear"] * 4, dropout=0.5))
    assert weights.dropout == (0.5,) * 4
    share, plain = Share(weights, 4000, seed=3), Share(replace(weights, dropout=(0.0,) * 4), 4000)
    inputs = np.ones((4000, 3), np.float32)
    outputs = plain._outputs(inputs, learning=False).copy()
    np.testing.assert_array_equal(share._outputs(inputs, learning=False), outputs)
    dropped = share._outputs(inputs, learning=True)
    assert np.mean(dropped == 0.0) == pytest.approx(0.5, abs=0.05)
    np.testing.assert_allclose(dropped.mean(axis=0), outputs[0], atol=0.2 * np.abs(outputs).max())


def test_what_is_dropped_has_no_gradient() -> None:
    """By differences of the error, each time with the same random numbers."""
    weights = weights_of(model_of(["gelu", "linear", "tanh", "linear"], dropout=0.3))
    inputs, targets = (RANDOM.normal(size=(200, width)).astype(np.float32) for width in (3, 4))

    def learned() -> tuple[float, Share]:
        share = Share(weights, 200, seed=3)
        return share.learn(inputs, targets, "mean_squared_error", 200), share

    _, found = learned()
    for layer in range(4):
        for place in range(2):
            errors = []
            for change in (0.05, -0.1):
                weights.biases[layer][place] += change
                errors.append(learned()[0] / 200)
            weights.biases[layer][place] += 0.05
            assert found.biases[layer][place] == pytest.approx((errors[0] - errors[1]) / 0.1, abs=2e-3)


@pytest.mark.parametrize("shape", [(40, 40), (30, 50), (50, 30)])
def test_a_step_is_orthogonalised(shape: tuple[int, int]) -> None:
    """Singular vectors stay; values from the largest to a fiftieth of it come within 0.27 of 1."""
    left, _, right = np.linalg.svd(RANDOM.normal(size=shape), full_matrices=False)
    values = np.geomspace(1.0, 0.02, len(right))
    made = orthogonal((1e-5 * (left * values) @ right).astype(np.float32))
    along = np.diag(left.T @ made @ right.T)
    assert along == pytest.approx(1.0, abs=0.275)
    np.testing.assert_allclose(made, (left * along) @ right, atol=1e-5)
    assert not orthogonal(np.zeros(shape, np.float32)).any()


def test_muon_leaves_the_ends_of_a_network_and_biases_to_adamw() -> None:
    """Its first step is the learning rate, against the sign of each gradient; inner kernels take an orthogonal one."""
    weights = weights_of(model_of(["tanh"] * 4))
    before = [array.copy() for array in weights.arrays]
    gradients = [RANDOM.normal(size=array.shape).astype(np.float32) for array in before]
    steps = Muon(weights)
    for layer in (0, 3, 1, 2):
        steps.step(layer, gradients[2 * layer], gradients[2 * layer + 1], 0.01)
    by_adam = [True, True, False, True, False, True, True, True]  # kernel and bias of each layer
    assert [len(square) > 0 for square in steps.squares] == by_adam
    for number, (old, gradient) in enumerate(zip(before, gradients, strict=True)):
        new = weights.arrays[number]
        if by_adam[number]:
            np.testing.assert_allclose(new, old * (1 - 0.01 * DECAY) - 0.01 * np.sign(gradient), rtol=1e-3, atol=1e-6)
        else:
            taken = (old - new) / (0.01 * STEP * max(old.shape) ** 0.5)
            assert np.linalg.svd(taken, compute_uv=False) == pytest.approx(1.0, abs=0.3)
            assert np.sum(taken * gradient) > 0
    assert steps.costs == [0, 8 * 7 * 7, 7 * 6 * 6, 0]


def test_adamw_is_that_of_keras() -> None:
    """Ten steps of the outer layers and biases, with a memory of squares of one's own."""
    model = model_of(["tanh"] * 4)
    weights = weights_of(model)
    ours, theirs = Muon(weights, beta_2=0.9), keras.optimizers.AdamW(0.01, weight_decay=DECAY, beta_2=0.9)
    variables = [model.trainable_variables[number] for number in (0, 1, 3, 5, 6, 7)]
    for _ in range(10):
        gradients = [RANDOM.normal(size=array.shape).astype(np.float32) for array in weights.arrays]
        for layer in range(4):
            ours.step(layer, gradients[2 * layer], gradients[2 * layer + 1], 0.01)
        ours.steps += 1
        theirs.apply([keras.ops.convert_to_tensor(gradients[n]) for n in (0, 1, 3, 5, 6, 7)], variables)
    for number, variable in zip((0, 1, 3, 5, 6, 7), variables, strict=True):
        np.testing.assert_allclose(weights.arrays[number], keras.ops.convert_to_numpy(variable), atol=1e-5)


def test_cores_share_a_batch_without_changing_what_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty rows in batches of 16, the last one of 12, on one core and on three, which also share the larger steps."""
    inputs = RANDOM.normal(size=(60, 3)).astype(np.float32)
    targets = RANDOM.normal(size=(60, 4)).astype(np.float32)
    monkeypatch.setattr(fit_by_muon, "LEAST_ROWS", 4)
    errors = []
    for count in (1, 3):
        monkeypatch.setattr(fit_by_muon, "cores", lambda count=count: count)
        training = MuonTraining(model_of(["gelu", "tanh", "silu", "linear"]), "mean_squared_error", 16, None)
        assert len(training.shares) == count
        batches = ArrayBatches(inputs, targets, 16, seed=5)
        with training.at_work() as pool:
            made = [training.epoch(batches, lambda step: 0.01, pool) for _ in range(3)]
            errors.append([*made, training.error(batches, pool)])
        assert training.muon.steps == 12
    np.testing.assert_allclose(errors[0], errors[1], rtol=1e-4)
    assert errors[0][-1] < errors[0][0]


def test_batches_are_drawn_anew_each_epoch_and_hold_every_row_once() -> None:
    rows = np.arange(10, dtype=np.float32)[:, np.newaxis]
    batches = ArrayBatches(rows, 2 * rows, 4, seed=1)
    orders = []
    for _ in range(2):
        drawn = [batches[number] for number in range(batches.num_batches)]
        assert [len(inputs) for inputs, _ in drawn] == [4, 4, 2]
        inputs, targets = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
        np.testing.assert_array_equal(targets, 2 * inputs)
        assert sorted(inputs.ravel()) == list(range(10))
        orders.append(inputs.ravel().tolist())
        batches.on_epoch_end()
    assert orders[0] != orders[1]
    assert ArrayBatches(rows, rows, 4)[0][0].ravel().tolist() == [0, 1, 2, 3]


def test_a_state_that_is_read_back_is_the_one_that_was_saved(tmp_path: Path) -> None:
    model = model_of(["gelu", "tanh", "silu", "linear"])
    first, second = (MuonTraining(model, "mean_squared_error", 16, None) for _ in range(2))
    for array in (array for arrays in first._state.values() for array in arrays):
        array[...] = RANDOM.normal(size=array.shape)
    first.muon.steps = 7
    first.save(tmp_path / "state.npz")
    second.load(tmp_path / "state.npz")
    assert second.muon.steps == 7
    for name, arrays in first._state.items():
        for one, other in zip(arrays, second._state[name], strict=True):
            np.testing.assert_array_equal(one, other)
    second.restore_best()
    for one, other in zip(first.best, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
