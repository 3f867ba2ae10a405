from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from synthetic import TINY, synthetic_rows, write_rows

from stellar_emulator.grid.split import PARTS, SplitRows, split_rows
from stellar_emulator.grid.store import FLUX, Grid, run_hashes
from stellar_emulator.networks.basis import Basis, fit_grid_basis, project_grid
from stellar_emulator.networks.dense import linear_map
from stellar_emulator.networks.preset import Training
from stellar_emulator.training import space
from stellar_emulator.training.fit_network import fit
from stellar_emulator.training.space import FluxBatches, PixelSpace, basis_space

GROUP = 16
BATCH = 10


class CountingGrid(Grid):
    """Keeps the number of rows of each reading."""

    readings: list[int]

    def take(self, rows: NDArray[np.int64], column: str = FLUX) -> NDArray[np.float32]:
        self.readings.append(len(rows))
        return super().take(rows, column)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Grid:
    """240 spectra in 15 row groups."""
    return write_rows(tmp_path_factory.mktemp("space") / "grid.parquet", synthetic_rows(TINY, 60), batch=GROUP)


@pytest.fixture
def grid(written: Grid) -> CountingGrid:
    counting = CountingGrid(*(getattr(written, name) for name in Grid.__match_args__))
    object.__setattr__(counting, "readings", [])
    return counting


@pytest.fixture
def split(written: Grid) -> SplitRows:
    return split_rows(TINY, run_hashes(written, TINY))


@pytest.fixture(params=[64, 1000], ids=["streamed", "in memory"])
def rows_in_memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(space, "BYTES_IN_MEMORY", 4 * 777 * request.param)
    return int(request.param)


def numbered(grid: Grid) -> NDArray[np.float32]:
    """Inputs that say which row they belong to."""
    return np.arange(grid.rows, dtype=np.float32)[:, np.newaxis]


def epoch(batches: FluxBatches) -> list[int]:
    """Rows of one epoch in their order, after checking that inputs and flux belong together."""
    order: list[int] = []
    for number in range(batches.num_batches):
        inputs, flux = batches[number]
        rows = inputs[:, 0].astype(int)
        assert 1 <= len(rows) <= BATCH
        np.testing.assert_array_equal(flux, Grid.take(batches.grid, rows))
        order += rows.tolist()
    batches.on_epoch_end()
    return order


def test_every_epoch_holds_each_row_once_in_another_order(
    grid: CountingGrid, split: SplitRows, rows_in_memory: int
) -> None:
    batches = FluxBatches(grid, split.train, numbered(grid), BATCH, seed=1)
    epochs = [epoch(batches) for _ in range(4)]
    for order in epochs:
        assert sorted(order) == split.train.tolist()
    assert len({tuple(order) for order in epochs}) == 4
    assert len(set(np.diff(epochs[0]).tolist())) > 20  # no run of neighbours
    again = FluxBatches(grid, split.train, numbered(grid), BATCH, seed=1)
    assert [epoch(again) for _ in range(2)] == epochs[:2]
    assert epoch(FluxBatches(grid, split.train, numbered(grid), BATCH, seed=2)) != epochs[0]


def test_memory_holds_a_chunk_and_each_is_read_once_an_epoch(grid: CountingGrid, split: SplitRows) -> None:
    patch = pytest.MonkeyPatch()
    patch.setattr(space, "BYTES_IN_MEMORY", 4 * 777 * 64)
    batches = FluxBatches(grid, split.train, numbered(grid), BATCH, seed=1)
    patch.undo()
    chunks = -(-len(split.train) // 64)
    assert chunks >= 3
    epoch(batches)
    # Row groups are not divided, so that a chunk may exceed its share by one of them.
    assert len(grid.readings) == chunks
    assert sum(grid.readings) == len(split.train)
    assert max(grid.readings) <= 64 + GROUP
    for _ in range(3):
        grid.readings.clear()
        epoch(batches)
        assert chunks - 1 <= len(grid.readings) <= chunks  # the last chunk of one epoch may be the first of the next


def test_every_epoch_has_as_many_batches(grid: CountingGrid, split: SplitRows, rows_in_memory: int) -> None:
    """Keras counts them once, and ends the training where one epoch has fewer."""
    for batch_size in (3, 7, BATCH):
        batches = FluxBatches(grid, split.train, None, batch_size, seed=1)
        counts = set()
        for _ in range(6):
            counts.add(batches.num_batches)
            batches.on_epoch_end()
        assert len(counts) == 1


def test_a_grid_that_fits_is_read_once(grid: CountingGrid, split: SplitRows) -> None:
    batches = FluxBatches(grid, split.train, numbered(grid), BATCH, seed=1)
    for _ in range(3):
        epoch(batches)
    assert grid.readings == [len(split.train)]


def test_validation_comes_in_the_grid_s_order(grid: CountingGrid, split: SplitRows, rows_in_memory: int) -> None:
    batches = PixelSpace(grid, split, seed=1).examples("validation", numbered(grid), BATCH)
    assert epoch(batches) == epoch(batches) == split.validation.tolist()


def test_without_inputs_flux_is_its_own_input(grid: CountingGrid, split: SplitRows) -> None:
    inputs, targets = PixelSpace(grid, split, seed=1).examples("train", None, BATCH)[0]
    assert inputs is targets
    assert targets.shape == (BATCH, 777)


def epochs_of(seen: list[list[int]]) -> list[list[list[int]]]:
    """Batches between the empty ones."""
    epochs: list[list[list[int]]] = [[]]
    for rows in seen:
        if rows:
            epochs[-1].append(rows)
        else:
            epochs.append([])
    return epochs


def test_keras_takes_the_batches_in_their_order(
    grid: CountingGrid, split: SplitRows, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(space, "BYTES_IN_MEMORY", 4 * 777 * 64)
    seen: list[list[int]] = []

    class Watched(FluxBatches):
        def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            inputs, flux = super().__getitem__(index)
            seen.append(inputs[:, 0].astype(int).tolist())
            return inputs, flux

        def on_epoch_end(self) -> None:
            seen.append([])
            super().on_epoch_end()

    training = Watched(grid, split.train, numbered(grid), BATCH, seed=1)
    validation = PixelSpace(grid, split, 1).examples("validation", numbered(grid), BATCH)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(777, kernel_initializer="zeros")], name="chain")
    settings = Training(
        optimizer="adam", learning_rate=1e-9, schedule="constant", batch_size=BATCH, epochs=4, patience=4
    )
    done = fit(model, training, validation, settings, tmp_path, lambda epoch, metrics: None)
    assert len(done.history["val_loss"]) == 4
    # In random order, nearly every batch would have read a chunk of its own.
    assert len(grid.readings) <= 4 * -(-len(split.train) // 64) + 3
    # Before it begins, Keras looks at two batches.
    epochs = [batches for batches in epochs_of(seen) if len(batches) > 2]
    assert len(epochs) == 4
    for batches in epochs:
        assert sorted(row for rows in batches for row in rows) == split.train.tolist()
    # Zero weights predict zero flux: the loss is the mean square of the very rows of each part.
    for part, name in (("train", "loss"), ("validation", "val_loss")):
        assert done.history[name][0] == pytest.approx(float(np.mean(grid.take(split[part]) ** 2)), rel=1e-4)


@pytest.fixture(scope="module")
def basis(written: Grid) -> Basis:
    rows = split_rows(TINY, run_hashes(written, TINY)).train
    return fit_grid_basis(written, rows, 12, seed=1)


@pytest.mark.rounding
def test_basis_space_and_pixels_are_one_map_apart(written: Grid, split: SplitRows, basis: Basis) -> None:
    flux = written.take(np.arange(written.rows))
    inside = basis_space(basis, project_grid(written, basis), split, 1)
    assert inside.width == 12
    identity = linear_map(np.eye(12), np.zeros(12))
    np.testing.assert_allclose(inside.enter(identity)(flux), inside.targets, atol=2e-4)
    restored = inside.leave(identity)(inside.targets)
    np.testing.assert_allclose(restored, basis.restore(project_grid(written, basis)), atol=1e-5)
    assert np.abs(restored - flux).mean() < 1e-3


def test_a_caller_s_coefficients_stay_as_they_are(written: Grid, split: SplitRows, basis: Basis) -> None:
    coefficients = project_grid(written, basis)
    coefficients.flags.writeable = False
    before = coefficients.copy()
    first, second = (basis_space(basis, coefficients, split, 1) for _ in range(2))
    np.testing.assert_array_equal(coefficients, before)
    np.testing.assert_array_equal(first.targets, second.targets)
    np.testing.assert_array_equal(first.encode(lambda targets: targets), first.targets)


@pytest.mark.rounding
def test_errors_in_a_basis_are_those_of_flux(written: Grid, split: SplitRows, basis: Basis) -> None:
    """One common scale: the squared error of coefficients is that of flux, times a constant."""
    inside = basis_space(basis, project_grid(written, basis), split, 1)
    assert np.mean(inside.targets[split.train].var(axis=0)) == pytest.approx(1.0, rel=0.05)
    leave = inside.leave(linear_map(np.eye(12), np.zeros(12)))
    errors = np.random.default_rng(0).normal(size=(5, 12)).astype(np.float32)
    flux = ((leave(inside.targets[:5] + errors) - leave(inside.targets[:5])) ** 2).sum(axis=1)
    np.testing.assert_allclose(flux / (errors**2).sum(axis=1), inside.scale**2, rtol=1e-3)


def test_parts_of_a_basis_space_are_those_of_the_split(written: Grid, split: SplitRows, basis: Basis) -> None:
    inside = basis_space(basis, project_grid(written, basis), split, 1)
    for part in PARTS:
        inputs, targets = inside.examples(part, numbered(written), BATCH)
        assert inputs[:, 0].astype(int).tolist() == split[part].tolist()
        np.testing.assert_array_equal(targets, inside.targets[split[part]])
        alone, same = inside.examples(part, None, BATCH)
        assert alone is same


@pytest.mark.rounding
def test_a_basis_is_orthonormal_and_fitted_to_training_rows_alone(
    written: Grid, split: SplitRows, basis: Basis
) -> None:
    np.testing.assert_allclose(basis.components @ basis.components.T, np.eye(12), atol=1e-4)
    np.testing.assert_allclose(basis.mean, written.take(split.train).mean(axis=0), atol=1e-5)
    coefficients = basis.project(written.take(split.train))
    np.testing.assert_allclose(coefficients.var(axis=0, ddof=1)[:4], basis.variance[:4], rtol=1e-2)
    # More components than spectra can't be had.
    assert len(fit_grid_basis(written, split.validation[:5], 12, seed=1).components) == 5


def test_large_targets_come_in_batches_that_hold_each_row_once(
    written: Grid, split: SplitRows, basis: Basis, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = basis_space(basis, project_grid(written, basis), split, 1)
    arrays = {part: inside.examples(part, None, 8) for part in PARTS}
    monkeypatch.setattr(space, "BYTES_IN_MEMORY", 0)
    labels = np.arange(len(inside.targets), dtype=np.float32)[:, np.newaxis]
    for part in PARTS:
        batches = inside.examples(part, labels, 8)
        drawn = [
            np.concatenate(values) for values in zip(*(batches[i] for i in range(batches.num_batches)), strict=True)
        ]
        rows = drawn[0][:, 0].astype(int)
        np.testing.assert_array_equal(drawn[1], inside.targets[rows])
        np.testing.assert_array_equal(np.sort(rows), split[part])
        assert (rows.tolist() == split[part].tolist()) == (part != "train")
        batches.on_epoch_end()
        again = np.concatenate([batches[i][0] for i in range(batches.num_batches)])[:, 0].astype(int)
        assert (again.tolist() == rows.tolist()) == (part != "train")
        same, targets = inside.examples(part, None, len(rows))[0]
        np.testing.assert_array_equal(same, targets)
        assert same.shape == arrays[part][0].shape


def test_the_coefficients_of_whoever_asks_stay_as_they_are(written: Grid, split: SplitRows, basis: Basis) -> None:
    coefficients = project_grid(written, basis)
    before = coefficients.copy()
    first, second = (basis_space(basis, coefficients, split, 1) for _ in range(2))
    np.testing.assert_array_equal(coefficients, before)
    np.testing.assert_array_equal(first.targets, second.targets)
