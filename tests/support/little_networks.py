"""Small networks like the paper's, and spectra that they learn in seconds."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from synthetic import TINY, synthetic_rows

from stellar_emulator.grid.store import Rows
from stellar_emulator.networks.preset import Preset, Training, read_preset


def quiet(name: str) -> Callable[[int, dict[str, float]], None]:
    return lambda epoch, metrics: None


def training(epochs: int, batch_size: int = 128) -> Training:
    return Training(
        optimizer="adam",
        learning_rate=0.01,
        schedule="cosine",
        batch_size=batch_size,
        epochs=epochs,
        patience=epochs,
    )


def paper_like(epochs: int = 20) -> Preset:
    """The paper's structure (pixels, dropout, a validator for each label), small and with smooth activations."""
    paper = read_preset("paper")
    autoencoder = paper.autoencoder.model_copy(
        update={
            "encoder": (32,),
            "decoder": (32,),
            "activation": "silu",
            "latent_activation": "linear",
            "training": training(epochs, 32),
        }
    )
    labels = paper.label_network.model_copy(
        update={"hidden": (64, 32), "dropout": (0.05, 0.0), "activation": "silu", "training": training(epochs, 32)}
    )
    judge = paper.validator.model_copy(
        update={"hidden": (32, 16), "initializer": "glorot_uniform", "training": training(epochs)}
    )
    return paper.model_copy(update={"autoencoder": autoencoder, "label_network": labels, "validator": judge})


def broad_rows(runs: int) -> Rows:
    """Two wide lines, which networks on raw pixels learn in seconds; Teff and [M/H] set their depths, vsini widths."""
    rows = synthetic_rows(TINY, runs)
    teff, m_h, vsini = ((rows.labels - TINY.lower) / (TINY.upper - TINY.lower)).T[:, :, np.newaxis]
    pixels = TINY.wavelength.pixels
    lines = ((5050.0, 0.1 + 0.8 * teff), (5110.0, 0.1 + 0.8 * m_h))
    flux = 1.0 - sum(d * np.exp(-0.5 * ((pixels - at) / (6.0 + 10.0 * vsini)) ** 2) for at, d in lines)
    return replace(rows, flux=np.maximum(flux, 0.0).astype(np.float32))
