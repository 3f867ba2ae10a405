"""Whole trainings of small networks, on both families, both backends, and another contract."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from little_networks import broad_rows, paper_like, quiet, training
from synthetic import SMALL, TINY, synthetic_rows, synthetic_runs, write_rows, write_runs

from rounding import assert_within
from stellar_emulator import Emulator, Validator
from stellar_emulator.errors import InputError
from stellar_emulator.evaluation.evaluation import read_part
from stellar_emulator.grid.source import Source, open_source
from stellar_emulator.grid.split import SplitRows, split_rows
from stellar_emulator.grid.store import Grid, Rows, run_hashes
from stellar_emulator.networks.coordinates import physical_coordinates
from stellar_emulator.networks.inference import EmulatorNetwork, ExactEmulatorNetwork
from stellar_emulator.networks.preset import read_preset
from stellar_emulator.saved.bundle import save_emulator, save_validator
from stellar_emulator.training import space
from stellar_emulator.training.train_emulator import TrainedEmulator, reconstruct, train_emulator, unit_labels
from stellar_emulator.training.train_validator import TrainedValidator, train_validator

EPOCHS = 15


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Grid, SplitRows]:
    """Three labels and 777 pixels: 150 runs of 4 spectra."""
    grid = write_rows(tmp_path_factory.mktemp("tiny") / "grid.parquet", broad_rows(150))
    return grid, split_rows(TINY, run_hashes(grid, TINY))


@pytest.fixture(scope="module")
def learned(tiny: tuple[Grid, SplitRows], tmp_path_factory: pytest.TempPathFactory) -> TrainedEmulator:
    """An emulator of the learned family on the pixels themselves, streamed in several chunks."""
    grid, split = tiny
    patch = pytest.MonkeyPatch()
    patch.setattr(space, "BYTES_IN_MEMORY", 4 * 777 * 200)
    folder = tmp_path_factory.mktemp("learned")
    trained = train_emulator(grid, None, split, TINY, paper_like(), 1, folder, quiet)
    patch.undo()
    return trained


def test_another_contract_s_emulator_learns_its_grid(
    tiny: tuple[Grid, SplitRows], learned: TrainedEmulator, tmp_path: Path
) -> None:
    grid, split = tiny
    assert {name: len(fit.history["loss"]) for name, fit in learned.fits.items()} == {
        "autoencoder": 20,
        "label_network": 20,
    }
    assert isinstance(learned.network, EmulatorNetwork)
    save_emulator(tmp_path / "emulator", learned.network, TINY, {})
    emulator = Emulator.load(tmp_path / "emulator")
    test = read_part(grid, split.test, 1)
    flux = emulator(test.labels)
    assert flux.shape == (len(split.test), 777)
    mean = grid.take(split.train).mean(axis=0)
    assert np.mean((flux - test.flux) ** 2) < 0.6 * np.mean((mean - test.flux) ** 2)


def test_the_chain_is_decoder_after_label_network(tiny: tuple[Grid, SplitRows], learned: TrainedEmulator) -> None:
    """Nothing is fine-tuned: the emulator's last layers are the decoder's own."""
    decoder = learned.decoder.layers
    for mine, own in zip(learned.network.chain.layers[-len(decoder) :], decoder, strict=True):
        np.testing.assert_array_equal(mine.kernel, own.kernel)
    assert [layer.kernel.shape for layer in learned.encoder.layers] == [(777, 32), (32, 10)]
    assert [layer.kernel.shape for layer in learned.network.chain.layers[:3]] == [(3, 64), (64, 32), (32, 10)]


def test_the_autoencoder_reconstructs_unseen_spectra(tiny: tuple[Grid, SplitRows], learned: TrainedEmulator) -> None:
    grid, split = tiny
    test = read_part(grid, split.test, 1)
    made = reconstruct(learned, TINY, None, test)
    assert made.latent.shape == (len(split.test), 10)
    mean = grid.take(split.train).mean(axis=0)
    assert np.mean((made.flux - test.flux) ** 2) < 0.6 * np.mean((mean - test.flux) ** 2)


def test_a_seed_reproduces_a_training(tiny: tuple[Grid, SplitRows], tmp_path: Path) -> None:
    grid, split = tiny
    brief = paper_like(epochs=2)
    first, again, other = (
        train_emulator(grid, None, split, TINY, brief, seed, tmp_path / str(number), quiet)
        for number, seed in enumerate((1, 1, 2))
    )
    labels = grid.labels[:5]
    np.testing.assert_allclose(first.network(labels), again.network(labels), rtol=1e-5)
    assert np.abs(first.network(labels) - other.network(labels)).max() > 1e-3


@pytest.fixture(scope="module")
def judge(tiny: tuple[Grid, SplitRows], tmp_path_factory: pytest.TempPathFactory) -> TrainedValidator:
    grid, split = tiny
    folder = tmp_path_factory.mktemp("judge")
    return train_validator(grid, split, TINY, paper_like().validator, folder, quiet)


@pytest.mark.rounding(keras=True)
def test_each_label_has_a_validator_of_its_own(
    tiny: tuple[Grid, SplitRows], judge: TrainedValidator, tmp_path: Path
) -> None:
    grid, split = tiny
    assert list(judge.fits) == ["validator_teff", "validator_m_h", "validator_vsini"]
    assert [head.layers[-1].bias.shape for head in judge.network.heads] == [(1,), (1,), (1,)]
    save_validator(tmp_path / "validator", judge.network, TINY, {})
    test = read_part(grid, split.test, 1)
    inferred = Validator.load(tmp_path / "validator")(test.flux)
    spread = grid.labels[split.train].std(axis=0)
    assert_within(inferred, judge.network(test.flux), judge.network.rounding(test.flux))
    error = np.sqrt(np.mean((inferred - test.labels) ** 2, axis=0)) / spread
    assert (error < 0.4).all()


def test_a_grid_of_few_spectra_has_fewer_components(tmp_path: Path) -> None:
    grid = write_rows(tmp_path / "grid.parquet", synthetic_rows(TINY, 3))
    rows = np.arange(12)
    split = SplitRows(rows[:8], rows[8:10], rows[10:])
    judge = paper_like(epochs=1).validator.model_copy(update={"one_network_per_label": False})
    trained = train_validator(grid, split, TINY, judge, tmp_path / "fits", quiet)
    assert trained.network(grid.take(rows)).shape == (12, 3)
    assert len(trained.basis.components) == 8


def test_labels_are_scaled_from_bounds_to_unit() -> None:
    middle = 0.5 * (TINY.lower + TINY.upper)
    scaled = unit_labels(TINY.labels, np.stack([TINY.lower, middle, TINY.upper]))
    np.testing.assert_allclose(scaled, [[-1.0] * 3, [0.0] * 3, [1.0] * 3], atol=1e-7)


def exact_source(folder: Path) -> Source:
    return open_source(str(write_runs(folder / "runs", synthetic_runs(runs=150))), SMALL, folder / "scratch")


def train_exact(folder: Path, epochs: int = EPOCHS) -> tuple[TrainedEmulator, Source, Rows]:
    """The smoke preset with more and smaller steps, on a line of the Gaia contract's labels."""
    smoke, source = read_preset("smoke"), exact_source(folder)
    steps = {"training": training(epochs, batch_size=32)}
    preset = smoke.model_copy(
        update={
            "autoencoder": smoke.autoencoder.model_copy(update=steps),
            "label_network": smoke.label_network.model_copy(update=steps),
            "fine_tuning": steps["training"],
        }
    )
    split = split_rows(SMALL, run_hashes(source.grid, SMALL))
    trained = train_emulator(source.grid, source.intrinsic, split, SMALL, preset, 1, folder / "fits", quiet)
    return trained, source, read_part(source.grid, split.test, 1)


def summary(trained: TrainedEmulator, source: Source, test: Rows) -> dict[str, float]:
    """What a backend must get right, as numbers that another process can print."""
    mean = source.grid.take(np.arange(source.grid.rows)).mean(axis=0)
    made = reconstruct(trained, SMALL, source.intrinsic, test)
    trivial = float(np.mean((mean - test.flux) ** 2))
    return {
        "chain": float(np.mean((trained.network(test.labels) - test.flux) ** 2)) / trivial,
        "autoencoder": float(np.mean((made.flux - test.flux) ** 2)) / trivial,
        "latent_rows": float(len(made.latent)),
        "runs": float(len(np.unique(test.run_id))),
        **{f"{name} epochs": float(len(fit.history["val_loss"])) for name, fit in trained.fits.items()},
        **{
            f"{name} gain": min(fit.history["val_loss"]) / fit.history["val_loss"][0]
            for name, fit in trained.fits.items()
        },
    }


def assert_learned(found: dict[str, float]) -> None:
    assert found["chain"] < 0.1
    assert found["autoencoder"] < 0.05
    assert found["latent_rows"] == found["runs"]  # one latent vector a run, not a spectrum
    for name in ("autoencoder", "label_network", "chain"):
        assert found[f"{name} epochs"] == EPOCHS
        assert found[f"{name} gain"] < 0.7


def test_the_exact_family_learns_and_is_fine_tuned(tmp_path: Path) -> None:
    trained, source, test = train_exact(tmp_path)
    assert list(trained.fits) == ["autoencoder", "label_network", "chain"]
    assert isinstance(trained.network, ExactEmulatorNetwork)
    assert_learned(summary(trained, source, test))
    # Fine-tuning moved the decoder inside the chain away from the autoencoder's.
    assert np.abs(trained.network.chain.layers[-3].kernel - trained.decoder.layers[-3].kernel).max() > 1e-4
    assert trained.network.chain.inputs == len(SMALL.run_labels) == 4
    assert trained.network.chain.coordinates == physical_coordinates(SMALL.run_labels)
    assert trained.network.chain.layers[0].kernel.shape[0] == 7


def test_jax_trains_the_same(tmp_path: Path) -> None:
    pytest.importorskip("jax")  # requirements-benchmarks.lock brings it, as .ci/run does
    code = (
        "import json, sys; from pathlib import Path; sys.path[:0] = sys.argv[2:]; import test_train_emulator as own\n"
        "found = own.summary(*own.train_exact(Path(sys.argv[1])))\n"
        "import keras; print(json.dumps([keras.backend.backend(), found]))\n"
    )
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), str(here), str(here.parent / "support")],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=True,
    )
    backend, found = json.loads(done.stdout.splitlines()[-1])
    assert backend == "jax"
    assert_learned(found)


def test_exact_broadening_needs_intrinsic_spectra(tmp_path: Path) -> None:
    source = exact_source(tmp_path)
    split = split_rows(SMALL, run_hashes(source.grid, SMALL))
    with pytest.raises(InputError, match="preset smoke broadens exactly and needs a grid with intrinsic spectra"):
        train_emulator(source.grid, None, split, SMALL, read_preset("smoke"), 1, tmp_path / "fits", quiet)
