"""Weights of noisy spectra in the loss: a grid that is half noise is learned as well as one without."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from little_networks import broad_rows, paper_like, quiet
from synthetic import TINY

from stellar_emulator.grid.split import split_rows
from stellar_emulator.grid.store import Grid, run_hashes, write_grid
from stellar_emulator.networks.preset import Loss, Preset
from stellar_emulator.training import space
from stellar_emulator.training.fit_network import WEIGHTED_LOSSES
from stellar_emulator.training.train_emulator import train_emulator

CLEAN = broad_rows(120)


@pytest.mark.parametrize("columns", [1, 3])
def test_the_loss_is_weighted(columns: int) -> None:
    made, wanted = np.random.default_rng(1).random((2, 5, 3)).astype(np.float32)
    weights = np.random.default_rng(2).random((5, columns)).astype(np.float32)
    expected = (weights * (made - wanted) ** 2).mean(axis=1)
    given = np.concatenate([wanted, weights], axis=1)
    squares: dict[Loss, Any] = {"mean_squared_error": expected, "root_mean_squared_error": np.sqrt(expected)}
    for name, square in squares.items():
        found = keras.ops.convert_to_numpy(WEIGHTED_LOSSES[name](given, keras.ops.convert_to_tensor(made)))
        np.testing.assert_allclose(found, square, rtol=1e-4)


def noisy_grid(path: Path, errors_told: bool) -> Grid:
    """A third of the spectra drowned in noise, and a band without data that holds nonsense."""
    random = np.random.default_rng(5)
    errors = np.where(random.random(len(CLEAN.flux)) < 0.33, 0.5, 0.005)[:, np.newaxis] * np.ones(CLEAN.flux.shape)
    flux = CLEAN.flux + errors * random.standard_normal(errors.shape)
    lost = random.random(len(flux)) < 0.3
    flux[lost, 200:400], errors[lost, 200:400] = 0.0, np.inf
    told = errors.astype(np.float32) if errors_told else None
    rows = replace(CLEAN, flux=flux.astype(np.float32), flux_error=told)
    return write_grid(path, TINY, iter([rows]), TINY.wavelength.pixels, TINY.wavelength.medium, {})


def preset(basis: int | None) -> Preset:
    return paper_like(15).model_copy(update={"basis": basis, "fine_tuning": paper_like(15).autoencoder.training})


@pytest.mark.parametrize("basis", [None, 8])
def test_errors_make_noisy_spectra_count_less(
    basis: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(space, "BYTES_IN_MEMORY", 4 * 777 * 200)  # several chunks
    error = {}
    for told in (True, False):
        grid = noisy_grid(tmp_path / f"{told}.parquet", told)
        split = split_rows(TINY, run_hashes(grid, TINY))
        trained = train_emulator(grid, None, split, TINY, preset(basis), 1, tmp_path / f"fits {told}", quiet)
        made = trained.network(CLEAN.labels[split.test])
        error[told] = float(np.sqrt(np.mean((made - CLEAN.flux[split.test]) ** 2)))
    assert error[True] < 0.6 * error[False]
