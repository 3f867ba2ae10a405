"""From hyperparameters to presets and back."""

import keras_tuner
import pytest
from keras_tuner.oracles import RandomSearchOracle

from stellar_emulator.networks.preset import Preset, read_preset
from stellar_emulator.tuning.hypermodel import (
    ACTIVATIONS,
    LATENT_ACTIVATIONS,
    OPTIMIZERS,
    SCHEDULES,
    SearchSpace,
    last_fit,
    planned_epochs,
    with_epochs,
    with_run_epochs,
)
from stellar_emulator.tuning.plan import TARGETS, Target


def space(target: Target = "chain", epochs: int = 40) -> SearchSpace:
    return SearchSpace(target, read_preset("default"), ("exact", "learned"), epochs)


class _Tuner(keras_tuner.Tuner):
    def run_trial(self, trial: object) -> None:
        raise AssertionError


@pytest.fixture(params=TARGETS)
def drawn(request: pytest.FixtureRequest, tmp_path: object) -> tuple[Target, list[tuple[dict[str, object], Preset]]]:
    """Forty draws of Keras Tuner's own oracle and their presets."""
    given = space(request.param)
    oracle = RandomSearchOracle(objective=keras_tuner.Objective("loss", "min"), max_trials=40, seed=3)
    oracle.verbose = 0
    _Tuner(oracle, given.hypermodel(), directory=str(tmp_path), project_name="drawn")
    trials = [oracle.create_trial(f"tuner{number}") for number in range(40)]
    return request.param, [(trial.hyperparameters.values, given.preset(trial.hyperparameters)) for trial in trials]


def test_every_draw_is_a_sound_preset_of_its_target(
    drawn: tuple[Target, list[tuple[dict[str, object], Preset]]],
) -> None:
    target, found = drawn
    base = read_preset("default")
    for values, preset in found:
        assert Preset.model_validate(preset.model_dump()) == preset
        last = last_fit(preset, target)
        assert (last.epochs, last.patience) == (40, 40)
        assert last.learning_rate == values["learning_rate"]
        assert last.batch_size == values["batch_size"]
        assert (last.weight_decay is not None) == (values["optimizer"] == "adamw")
        assert preset.validator == base.validator
        if target == "label_network":
            assert (preset.family, preset.basis, preset.autoencoder) == (base.family, base.basis, base.autoencoder)
        if target == "autoencoder":
            assert preset.label_network == base.label_network
        if target == "chain":
            assert planned_epochs(preset, target) == 2 + 2 + 40


def test_a_search_of_the_chain_spans_what_it_must(
    drawn: tuple[Target, list[tuple[dict[str, object], Preset]]],
) -> None:
    target, found = drawn
    if target != "chain":
        pytest.skip("the chain has all hyperparameters")
    presets = [preset for _, preset in found]
    assert {preset.family for preset in presets} == {"exact", "learned"}
    assert {preset.autoencoder.activation for preset in presets} == set(ACTIVATIONS)
    assert {preset.autoencoder.latent_activation for preset in presets} == set(LATENT_ACTIVATIONS)
    tuned = [last_fit(preset, target) for preset in presets]
    assert {training.optimizer for training in tuned} == set(OPTIMIZERS)
    assert {training.schedule for training in tuned} == set(SCHEDULES)
    for seen in (
        {preset.basis for preset in presets},
        {preset.autoencoder.latent for preset in presets},
        {preset.autoencoder.encoder for preset in presets},
        {preset.label_network.hidden for preset in presets},
        {preset.label_network.dropout[0] for preset in presets},
        {training.batch_size for training in tuned},
        {training.beta_2 for training in tuned},
        {training.loss for training in tuned},
        {preset.inputs for preset in presets},
    ):
        assert len(seen) > 1


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", ["paper", "default", "learned"])
def test_nearest_values_make_the_nearest_preset(name: str, target: Target) -> None:
    wanted, given = read_preset(name), space(target)
    hp = keras_tuner.HyperParameters()
    given.preset(hp)
    values = given.values(wanted, hp.space)
    hp.values = values
    made = given.preset(hp)
    assert set(values) == {entry.name for entry in hp.space}
    assert last_fit(made, target).optimizer == last_fit(wanted, target).optimizer
    assert last_fit(made, target).batch_size == last_fit(wanted, target).batch_size
    assert last_fit(made, target).learning_rate == pytest.approx(last_fit(wanted, target).learning_rate)
    if target != "label_network":
        assert made.family == wanted.family
        assert made.autoencoder.latent_activation == wanted.autoencoder.latent_activation
    if name == "default" and target == "chain":
        assert made.basis == wanted.basis
        assert made.autoencoder.encoder == wanted.autoencoder.encoder
        assert made.autoencoder.latent == wanted.autoencoder.latent
        assert made.label_network.hidden == wanted.label_network.hidden
        assert (made.inputs, last_fit(made, target).loss) == (wanted.inputs, last_fit(wanted, target).loss)


def test_epochs_are_shared_in_proportion_and_never_nothing() -> None:
    smoke = read_preset("smoke")
    half = with_epochs(smoke, "chain", 4)
    assert (half.autoencoder.training.epochs, half.label_network.training.epochs) == (4, 4)
    assert half.fine_tuning is not None
    assert half.fine_tuning.epochs == 4
    little = with_epochs(read_preset("default"), "chain", 1)
    assert planned_epochs(little, "chain") == 3
    paper = with_epochs(read_preset("paper"), "chain", 12)
    assert (paper.label_network.training.epochs, paper.autoencoder.training.epochs) == (12, 15)
    assert paper.fine_tuning is None


def test_run_epochs_change_nothing_else() -> None:
    smoke = read_preset("smoke")
    ran = with_run_epochs(smoke, {"autoencoder": 3, "chain": 77})
    assert ran.autoencoder.training.epochs == 3
    assert ran.fine_tuning is not None
    assert ran.fine_tuning.epochs == 77
    assert ran.label_network == smoke.label_network
    assert ran.fine_tuning.learning_rate == 0.003
