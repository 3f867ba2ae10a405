"""Keras models of dense layers, built from presets."""

from collections.abc import Sequence

import keras

from stellar_emulator.networks.preset import Autoencoder, LabelNetwork, ValidatorSettings


def build_encoder(inputs: int, preset: Autoencoder) -> keras.Sequential:
    """Flux (or its principal components) to latent values: Table 2's first half."""
    layers = [keras.layers.Dense(width, activation=preset.activation) for width in preset.encoder]
    latent = keras.layers.Dense(preset.latent, activation=preset.latent_activation)
    return keras.Sequential([keras.Input((inputs,)), *layers, latent], name="encoder")


def build_decoder(outputs: int, preset: Autoencoder) -> keras.Sequential:
    """Latent values to flux (or its principal components), linear output: Table 2's second half."""
    layers = [keras.layers.Dense(width, activation=preset.activation) for width in preset.decoder]
    return keras.Sequential([keras.Input((preset.latent,)), *layers, keras.layers.Dense(outputs)], name="decoder")


def build_label_network(labels: int, latent: int, preset: LabelNetwork) -> keras.Sequential:
    """Labels to latent values, linear output (Table 3)."""
    layers: list[keras.Layer] = []
    for width, rate in zip(preset.hidden, preset.dropout, strict=True):
        layers.append(keras.layers.Dense(width, activation=preset.activation))
        if rate > 0:
            layers.append(keras.layers.Dropout(rate))
    return keras.Sequential([keras.Input((labels,)), *layers, keras.layers.Dense(latent)], name="label_network")


def build_validator(inputs: int, outputs: int, preset: ValidatorSettings) -> keras.Sequential:
    """Principal components to labels (Table 4); one output if each label has a network of its own."""
    layers = [
        keras.layers.Dense(width, activation=preset.activation, kernel_initializer=preset.initializer)
        for width in preset.hidden
    ]
    last = keras.layers.Dense(outputs, kernel_initializer=preset.initializer)
    return keras.Sequential([keras.Input((inputs,)), *layers, last], name="validator")


def chain(parts: Sequence[keras.Sequential], name: str) -> keras.Sequential:
    """Models one after the other, sharing their weights."""
    return keras.Sequential(
        [keras.Input(parts[0].input_shape[1:]), *[layer for part in parts for layer in part.layers]], name=name
    )
