import numpy as np
import pytest
from synthetic import GAIA, SMALL, synthetic_runs

from stellar_emulator.broadening.broadening import contract_broadening
from stellar_emulator.grid import sampling
from stellar_emulator.grid.expand import RUNS_PER_BATCH, assemble_labels, expanded
from stellar_emulator.grid.shards import IntrinsicGrid
from stellar_emulator.grid.store import Rows

SEED = SMALL.sampling.seed


def all_rows(runs: IntrinsicGrid, realisations: int = 3, seed: int = SEED) -> Rows:
    batches = list(expanded(SMALL, runs, seed, realisations))
    return Rows(*(np.concatenate([getattr(b, n) for b in batches]) for n in ("run_id", "labels", "weight", "flux")))


def test_every_run_gives_consecutive_rows_of_its_own() -> None:
    runs = synthetic_runs(runs=RUNS_PER_BATCH + 5)  # two batches
    rows = all_rows(runs)
    assert rows.run_id.tolist() == np.repeat(runs.run_id, 3).tolist()
    assert rows.flux.shape == (3 * len(runs.run_id), SMALL.wavelength.count)
    assert rows.flux.dtype == np.float32
    own = SMALL.columns(SMALL.run_labels)
    np.testing.assert_array_equal(rows.labels[:, own], np.repeat(runs.labels, 3, axis=0))
    np.testing.assert_array_equal(rows.weight, sampling.weights(SMALL, rows.labels))


@pytest.mark.rounding
def test_rows_are_the_run_s_spectrum_at_the_row_s_labels() -> None:
    runs = synthetic_runs(runs=4)
    rows = all_rows(runs)
    convolve = contract_broadening(SMALL)
    column = SMALL.label_names.index
    for row in range(len(rows.flux)):
        run = row // 3
        alone = convolve(
            convolve.modes(runs.flux[[run]]),
            rows.labels[[row], column("vsini")],
            rows.labels[[row], column("resolution")],
            runs.limb_darkening[[run]],
        )
        np.testing.assert_allclose(rows.flux[row], alone[0], atol=1e-5)
    assert np.ptp(rows.flux[:3], axis=0).max() > 1e-2  # the draws of one run differ


@pytest.mark.rounding
def test_a_run_s_rows_depend_on_neither_its_neighbours_nor_their_number() -> None:
    runs = synthetic_runs(runs=8)
    whole = all_rows(runs)
    part = all_rows(runs.take(np.array([5, 6])))
    chosen = np.isin(whole.run_id, [5, 6])
    np.testing.assert_array_equal(part.labels, whole.labels[chosen])
    np.testing.assert_allclose(part.flux, whole.flux[chosen], atol=1e-5)
    longer = all_rows(runs, realisations=4)
    np.testing.assert_array_equal(longer.labels.reshape(8, 4, -1)[:, :3], whole.labels.reshape(8, 3, -1))


def test_another_seed_draws_other_broadening() -> None:
    runs = synthetic_runs(runs=2)
    column = SMALL.label_names.index("vsini")
    assert not np.isin(all_rows(runs, seed=1).labels[:, column], all_rows(runs, seed=2).labels[:, column]).any()


def test_labels_are_assembled_in_the_contract_s_order() -> None:
    labels = assemble_labels(GAIA, np.array([[1.0, 2.0, 4.0, 5.0]]), np.array([[3.0, 6.0]]))
    assert labels.tolist() == [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]
