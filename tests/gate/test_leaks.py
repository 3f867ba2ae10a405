import numpy as np
import pytest
from world import CONTRACT

from stellar_emulator.gate.leaks import near_runs, rounded_hashes, same_run_distance
from stellar_emulator.grid.sampling import run_hash, run_labels

GATE = run_labels(CONTRACT, CONTRACT.sampling.gate_seed, 0, 400)
SEEN = run_labels(CONTRACT, CONTRACT.sampling.seed, 0, 2000)
TEFF = [label.name for label in CONTRACT.run_labels].index("teff")


def rounded(labels: np.ndarray, kelvin: int, dex: int) -> np.ndarray:
    found = np.round(labels, dex)
    found[:, TEFF] = np.round(labels[:, TEFF], kelvin)
    return found


def test_independent_sequences_share_no_run() -> None:
    assert len(near_runs(CONTRACT, GATE, SEEN)) == 0
    assert len(near_runs(CONTRACT, GATE, SEEN[:0])) == 0


@pytest.mark.parametrize(("kelvin", "dex"), [(4, 4), (0, 4), (4, 3), (0, 3)])
def test_leaked_runs_are_found_however_their_labels_were_rounded(kelvin: int, dex: int) -> None:
    leaked = rounded(GATE[50:100], kelvin, dex)
    np.testing.assert_array_equal(near_runs(CONTRACT, GATE, np.concatenate([SEEN, leaked])), np.arange(50, 100))


def test_leaked_runs_are_found_where_noise_was_added_to_their_labels() -> None:
    noise = np.random.default_rng(1).normal(0.0, 1e-4, (50, GATE.shape[1]))
    span = np.array([label.upper - label.lower for label in CONTRACT.run_labels])
    found = near_runs(CONTRACT, GATE, np.concatenate([SEEN, GATE[:50] + noise * span]))
    np.testing.assert_array_equal(found, np.arange(50))


def test_models_that_kept_hashes_alone_are_asked_for_rounded_labels() -> None:
    known = {value[:16] for value in run_hash(rounded(GATE[:50], 0, 3))}
    found = [any(value[:16] in known for value in hashes) for hashes in rounded_hashes(CONTRACT, GATE[:60])]
    assert found == [True] * 50 + [False] * 10


def test_runs_of_larger_sets_must_lie_nearer_to_be_one() -> None:
    assert same_run_distance(2048, 9000, 4) < same_run_distance(400, 2000, 4) <= 0.005
    assert same_run_distance(2048, 9000, 1) < 1e-8
