"""The search space: from Keras Tuner's hyperparameters to a preset, and from a preset to the nearest ones."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import keras_tuner

from stellar_emulator.networks.preset import Autoencoder, Inputs, LabelNetwork, Loss, Preset, TeacherSettings, Training
from stellar_emulator.tuning.plan import Target

Value = str | int | float | bool
Family = Literal["exact", "learned"]

BASES = (64, 128, 256, 384)
LATENTS = (8, 16, 32, 64, 128)
WIDTHS = (64, 128, 256, 512, 1024)
BATCHES = (32, 64, 128, 256, 512, 1024)
ACTIVATIONS = ("gelu", "silu", "relu")
LATENT_ACTIVATIONS = ("linear", "gelu", "silu", "relu")
OPTIMIZERS = ("adamw", "adam", "adamax", "muon")
SCHEDULES = ("cosine", "constant")
LOSSES: tuple[Loss, ...] = get_args(Loss)
INPUTS: tuple[Inputs, ...] = get_args(Inputs)
DROPOUTS = (0.0, 0.02, 0.1, 0.3)
BETAS = (0.99, 0.999)
"""Values of the hyperparameters; numbers ascend, and the first of several words is the default."""

DEPTHS_AUTOENCODER, DEPTHS_LABELS = (1, 3), (2, 5)
RATES, DECAYS = (2e-4, 3e-2), (1e-3, 1e-1)
"""Bounds of whole numbers and of the logarithmic scales of learning rate and weight decay."""

PREPARED = 0.05
"""Epochs of autoencoder and of label network before the chain is fine-tuned, as a share of its own."""


@dataclass(frozen=True)
class SearchSpace:
    """The presets of one search; ``base`` has the values that are not varied."""

    target: Target
    base: Preset
    families: tuple[Family, ...]
    epochs: int

    def preset(self, hp: Any) -> Preset:
        """Request each hyperparameter of the target and make a preset from them."""
        return _PRESETS[self.target](self, hp)

    def hypermodel(self) -> "PresetModel":
        return PresetModel(self)

    def values(self, preset: Preset, space: list[Any]) -> dict[str, Value]:
        """Hyperparameters of ``space`` (Keras Tuner's) that come nearest to a preset."""
        described = _described(preset, self.target)
        return {hp.name: _nearest(hp, described.get(hp.name)) for hp in space}


class PresetModel(keras_tuner.HyperModel):
    """Keras Tuner's hypermodel: builds presets, which the tuner trains."""

    def __init__(self, space: SearchSpace) -> None:
        super().__init__(name="preset")
        self.space = space

    def build(self, hp: Any) -> Preset:
        return self.space.preset(hp)


def with_epochs(preset: Preset, target: Target, epochs: int) -> Preset:
    """A preset with ``epochs`` in the target's last fit, and its other fits in proportion; patience never falls."""
    share = epochs / last_fit(preset, target).epochs
    return preset.model_copy(
        update={
            "autoencoder": _scaled_part(preset.autoencoder, share),
            "label_network": _scaled_part(preset.label_network, share),
            "fine_tuning": preset.fine_tuning and _scaled(preset.fine_tuning, share),
        }
    )


def last_fit(preset: Preset, target: Target) -> Training:
    """The last fit of a trial of some target."""
    if target == "autoencoder":
        return preset.autoencoder.training
    if target == "chain" and preset.fine_tuning is not None:
        return preset.fine_tuning
    return preset.label_network.training


def planned_epochs(preset: Preset, target: Target) -> int:
    """Epochs of all fits of a trial."""
    parts = _fits(preset)
    names = parts if target == "chain" else (target,)
    return sum(parts[name].epochs for name in names)


def with_run_epochs(preset: Preset, run: Mapping[str, int]) -> Preset:
    """A preset with the epochs that its fits ran, by their networks' names, so that learning rates fall as they did."""
    fits = _fits(preset)
    ran = {name: fits[name].model_copy(update={"epochs": epochs}) for name, epochs in run.items()}
    update: dict[str, object] = {
        name: getattr(preset, name).model_copy(update={"training": training})
        for name, training in ran.items()
        if name != "chain"
    }
    return preset.model_copy(update={**update, "fine_tuning": ran.get("chain", preset.fine_tuning)})


def _fits(preset: Preset) -> dict[str, Training]:
    """Settings of each fit by the name of its network."""
    parts = {"autoencoder": preset.autoencoder.training, "label_network": preset.label_network.training}
    return parts if preset.fine_tuning is None else {**parts, "chain": preset.fine_tuning}


def _chain(space: SearchSpace, hp: Any) -> Preset:
    family, basis = _family_and_basis(space, hp)
    activation = hp.Choice("activation", list(ACTIVATIONS))
    prepared = max(1, round(PREPARED * space.epochs))
    return space.base.model_copy(
        update={
            "name": "searched",
            "family": family,
            "basis": basis,
            "inputs": hp.Choice("inputs", list(INPUTS)),
            "teacher": _teacher(space, family),
            "autoencoder": _autoencoder(hp, activation, _training(hp, prepared)),
            "label_network": _label_network(hp, activation, _training(hp, prepared)),
            "fine_tuning": _training(hp, space.epochs),
        }
    )


def _only_autoencoder(space: SearchSpace, hp: Any) -> Preset:
    family, basis = _family_and_basis(space, hp)
    activation = hp.Choice("activation", list(ACTIVATIONS))
    autoencoder = _autoencoder(hp, activation, _training(hp, space.epochs))
    update = {"name": "searched", "family": family, "basis": basis, "teacher": _teacher(space, family)}
    return space.base.model_copy(update={**update, "autoencoder": autoencoder})


def _only_label_network(space: SearchSpace, hp: Any) -> Preset:
    activation = hp.Choice("activation", list(ACTIVATIONS))
    label_network = _label_network(hp, activation, _training(hp, space.epochs))
    inputs = hp.Choice("inputs", list(INPUTS))
    return space.base.model_copy(update={"name": "searched", "inputs": inputs, "label_network": label_network})


_PRESETS = {"chain": _chain, "autoencoder": _only_autoencoder, "label_network": _only_label_network}


def _family_and_basis(space: SearchSpace, hp: Any) -> tuple[Family, int]:
    return hp.Choice("family", list(space.families)), hp.Choice("basis", list(BASES), default=256)


def _teacher(space: SearchSpace, family: Family) -> TeacherSettings | None:
    """The teacher is not varied: trials of the exact family have that of the base."""
    return space.base.teacher if family == "exact" else None


def _autoencoder(hp: Any, activation: Any, training: Training) -> Autoencoder:
    depth = hp.Int("autoencoder_depth", *DEPTHS_AUTOENCODER, default=1)
    widths = (hp.Choice("autoencoder_width", list(WIDTHS), default=512),) * depth
    return Autoencoder(
        encoder=widths,
        latent=hp.Choice("latent", list(LATENTS), default=128),
        decoder=widths,
        activation=activation,
        latent_activation=hp.Choice("latent_activation", list(LATENT_ACTIVATIONS)),
        training=training,
    )


def _label_network(hp: Any, activation: Any, training: Training) -> LabelNetwork:
    depth = hp.Int("label_depth", *DEPTHS_LABELS, default=3)
    return LabelNetwork(
        hidden=(hp.Choice("label_width", list(WIDTHS), default=256),) * depth,
        dropout=(hp.Choice("dropout", list(DROPOUTS)),) * depth,
        activation=activation,
        training=training,
    )


def _training(hp: Any, epochs: int) -> Training:
    optimizer = hp.Choice("optimizer", list(OPTIMIZERS))
    with hp.conditional_scope("optimizer", ["adamw"]):
        decay = hp.Float("weight_decay", *DECAYS, sampling="log", default=0.02)
    return Training(
        loss=hp.Choice("loss", list(LOSSES)),
        optimizer=optimizer,
        learning_rate=hp.Float("learning_rate", *RATES, sampling="log", default=0.003),
        schedule=hp.Choice("schedule", list(SCHEDULES)),
        batch_size=hp.Choice("batch_size", list(BATCHES), default=64),
        epochs=epochs,
        patience=epochs,
        weight_decay=decay if optimizer == "adamw" else None,
        beta_2=hp.Choice("beta_2", list(BETAS)),
    )


def _scaled_part(part: Any, share: float) -> Any:
    return part.model_copy(update={"training": _scaled(part.training, share)})


def _scaled(training: Training, share: float) -> Training:
    epochs = max(1, round(training.epochs * share))
    return training.model_copy(update={"epochs": epochs, "patience": max(training.patience, epochs)})


def _described(preset: Preset, target: Target) -> dict[str, Value | None]:
    """A preset in the words of the hyperparameters, whether or not they may take these values."""
    training = last_fit(preset, target)
    autoencoder, labels = preset.autoencoder, preset.label_network
    part: Autoencoder | LabelNetwork = autoencoder if target == "autoencoder" else labels
    return {
        "family": preset.family,
        "basis": preset.basis or max(BASES),
        "inputs": preset.inputs,
        "activation": part.activation,
        "autoencoder_depth": len(autoencoder.encoder),
        "autoencoder_width": max(autoencoder.encoder, default=None),
        "latent": autoencoder.latent,
        "latent_activation": autoencoder.latent_activation,
        "label_depth": len(labels.hidden),
        "label_width": max(labels.hidden, default=None),
        "dropout": max(labels.dropout, default=None),
        "loss": training.loss,
        "optimizer": training.optimizer,
        "weight_decay": training.weight_decay,
        "learning_rate": training.learning_rate,
        "schedule": training.schedule,
        "batch_size": training.batch_size,
        "beta_2": training.beta_2 or 0.999,
    }


def _nearest(hp: Any, wanted: Value | None) -> Value:
    """The value of one of Keras Tuner's hyperparameters that is nearest to a wanted one, or its default."""
    if wanted is None:
        return _plain(hp.default)
    if hasattr(hp, "min_value"):  # a number between bounds
        return _plain(type(hp.default)(min(max(wanted, hp.min_value), hp.max_value)))
    if isinstance(wanted, str):
        return wanted if wanted in hp.values else _plain(hp.default)
    return _plain(min(hp.values, key=lambda value: abs(_log(value) - _log(wanted))))


def _log(value: Any) -> float:
    return math.log(float(value) + 1e-3)


def _plain(value: Any) -> Value:
    plain: Value = value
    return plain
