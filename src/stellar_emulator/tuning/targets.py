"""The training of each target of a search in a trial, and its output for the validation spectra."""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from stellar_emulator.networks import layers
from stellar_emulator.networks.dense import DenseChain, from_keras, linear_map
from stellar_emulator.networks.preset import Preset
from stellar_emulator.training.fit_network import BEST
from stellar_emulator.training.train_emulator import (
    Examples,
    Fitting,
    TrainedEmulator,
    build_autoencoder,
    build_label_network,
    fit_autoencoder,
    fit_chain,
    fit_label_network,
    reconstruct,
    trained_emulator,
)
from stellar_emulator.tuning.materials import Materials
from stellar_emulator.tuning.plan import Target


@dataclass(frozen=True)
class Trained:
    """A trained target. parameters: number of them that a spectrum needs; flux: that of the validation spectra."""

    emulator: TrainedEmulator
    parameters: int
    flux: NDArray[np.float32]


class Workshop:
    """Trains presets for one target, on the same materials.

    shared: folder of the autoencoder from which all label networks learn; only the target ``label_network`` has one.
    The lessons of a teacher belong to the materials.
    """

    def __init__(self, target: Target, materials: Materials, base: Preset, shared: Path) -> None:
        self.target, self.materials, self.base, self.shared = target, materials, base, shared

    def train(self, preset: Preset, fitting: Fitting, start: Path | None) -> Trained:
        """Train the target; ``start``: folder of an earlier trial's fits, from whose last weights to continue."""
        keras.utils.clear_session(free_memory=True)
        keras.utils.set_random_seed(self.materials.seed)
        examples = self.materials.examples(preset)
        if self.target == "autoencoder":
            return self._autoencoder(examples, preset, fitting, start)
        if self.target == "label_network":
            return self._label_network(examples, preset, fitting, start)
        return self._chain(examples, preset, fitting, start)

    def prepare(self) -> None:
        """Train the parts that trials share: the base's teacher, and the autoencoder for label networks."""
        if self.base.teacher is None and self.target != "label_network":
            return
        keras.utils.set_random_seed(self.materials.seed)
        examples = self.materials.examples(self.base)
        if self.target == "label_network":
            self._shared_autoencoder(examples)

    def _autoencoder(self, examples: Examples, preset: Preset, fitting: Fitting, start: Path | None) -> Trained:
        encoder, decoder = build_autoencoder(examples, preset.autoencoder)
        _go_on(layers.chain([encoder, decoder], "autoencoder"), start)
        fit_autoencoder(examples, encoder, decoder, preset.autoencoder, fitting)
        decoding = from_keras(decoder)
        # A network from labels to flux needs a label network, for which an untrained one without cost stands here.
        inputs, latent = examples.given.shape[1], preset.autoencoder.latent
        unlearned = linear_map(np.zeros((inputs, latent)), np.zeros(latent))
        emulator = trained_emulator(examples, from_keras(encoder), decoding, unlearned + decoding, fitting)
        validation = self.materials.validation
        made = reconstruct(emulator, self.materials.contract, self.materials.source.intrinsic, validation)
        assert made is not None  # it has just been trained
        return Trained(emulator, _parameters(decoding), made.flux)

    def _label_network(self, examples: Examples, preset: Preset, fitting: Fitting, start: Path | None) -> Trained:
        encoder, decoder = self._shared_autoencoder(examples)
        model = build_label_network(examples, preset)
        _go_on(model, start)
        fit_label_network(examples, encoder, model, preset.label_network, fitting)
        return self._made(examples, encoder, decoder, layers.chain([model, decoder], "chain"), fitting)

    def _chain(self, examples: Examples, preset: Preset, fitting: Fitting, start: Path | None) -> Trained:
        encoder, decoder = build_autoencoder(examples, preset.autoencoder)
        model = build_label_network(examples, preset)
        whole = layers.chain([model, decoder], "chain")
        if start is None:
            fit_autoencoder(examples, encoder, decoder, preset.autoencoder, fitting)
            fit_label_network(examples, encoder, model, preset.label_network, fitting)
        _go_on(whole, start)
        if preset.fine_tuning is not None:
            fit_chain(examples, whole, preset.fine_tuning, fitting)
        return self._made(examples, encoder, decoder, whole, fitting)

    def _made(
        self,
        examples: Examples,
        encoder: keras.Sequential,
        decoder: keras.Sequential,
        whole: keras.Sequential,
        fitting: Fitting,
    ) -> Trained:
        chain = from_keras(whole)
        emulator = trained_emulator(examples, from_keras(encoder), from_keras(decoder), chain, fitting)
        return Trained(emulator, _parameters(chain), emulator.network(self.materials.validation.labels))

    def _shared_autoencoder(self, examples: Examples) -> tuple[keras.Sequential, keras.Sequential]:
        """The base preset's autoencoder: the first caller trains it, and all others read it from its folder."""
        encoder, decoder = build_autoencoder(examples, self.base.autoencoder)
        fitting = Fitting(self.shared, lambda name: lambda epoch, metrics: None)
        fit_autoencoder(examples, encoder, decoder, self.base.autoencoder, fitting)
        return encoder, decoder


def _go_on(model: keras.Model, start: Path | None) -> None:
    if start is not None:
        model.load_weights(start / str(model.name) / BEST)


def _parameters(chain: DenseChain) -> int:
    return sum(layer.kernel.size + layer.bias.size for layer in chain.layers)
