import numpy as np
import pytest
from synthetic import GAIA, TINY

from stellar_emulator.contract.contract import Contract
from stellar_emulator.grid import sampling
from stellar_emulator.grid.expand import drawn_labels
from stellar_emulator.grid.label_coverage import MOST_CELLS, describe_voids, pair_coverage


def draws(contract: Contract, runs: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Labels and run_id of a grid as `synthesize` draws it."""
    realisations = contract.sampling.realisations
    own = sampling.run_labels(contract, seed, 0, runs)
    labels = drawn_labels(contract, seed, np.arange(runs), own, realisations)
    return labels, np.repeat(np.arange(runs), realisations)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("runs", [1, 13, 200, 1300])
def test_a_grid_that_follows_the_contract_has_no_void(runs: int, seed: int) -> None:
    pairs = pair_coverage(GAIA, *draws(GAIA, runs, seed))
    assert len(pairs) == 15
    assert describe_voids(GAIA, pairs) == []


def test_cells_count_every_spectrum_once() -> None:
    labels, run_id = draws(GAIA, 1300)
    for pair in pair_coverage(GAIA, labels, run_id):
        assert pair.counts.shape == (MOST_CELLS, MOST_CELLS)
        assert pair.counts.sum() == len(labels)
        x = labels[:, GAIA.label_names.index(pair.horizontal.name)]
        y = labels[:, GAIA.label_names.index(pair.vertical.name)]
        inside = (x >= pair.horizontal_edges[3]) & (x < pair.horizontal_edges[4])
        inside &= (y >= pair.vertical_edges[7]) & (y < pair.vertical_edges[8])
        assert pair.counts[7, 3] == inside.sum()


def test_a_hole_of_two_labels_is_found_where_it_is() -> None:
    labels, run_id = draws(GAIA, 1300)
    hole = (labels[:, 0] > 9000.0) & (labels[:, 1] < 2.7)
    voids = describe_voids(GAIA, pair_coverage(GAIA, labels[~hole], run_id[~hole]))
    assert voids
    assert all(void.startswith("teff ") and " K with logg 2." in void and void.endswith(" dex") for void in voids)
    assert not any("logg 2.9" in void or "teff 3600" in void for void in voids)


def test_runs_not_spectra_decide_how_fine_run_labels_are_looked_at() -> None:
    labels, run_id = draws(TINY, 50)
    cells = {
        (pair.horizontal.name, pair.vertical.name): len(pair.counts) for pair in pair_coverage(TINY, labels, run_id)
    }
    assert cells == {("teff", "m_h"): 2, ("teff", "vsini"): 4, ("m_h", "vsini"): 4}


def test_missing_and_outlying_labels_are_in_no_cell() -> None:
    labels, run_id = draws(TINY, 50)
    labels[0, 0], labels[1, 1], labels[2, 2] = np.nan, np.inf, 1e9
    counts = {
        (pair.horizontal.name, pair.vertical.name): pair.counts.sum() for pair in pair_coverage(TINY, labels, run_id)
    }
    assert counts == {("teff", "m_h"): 198, ("teff", "vsini"): 198, ("m_h", "vsini"): 198}
