import numpy as np
import pytest

from stellar_emulator.contract.contract import Contract, read_contract
from stellar_emulator.grid import sampling


@pytest.fixture(scope="module")
def contract() -> Contract:
    return read_contract("gaia_rvs")


@pytest.mark.parametrize(("first", "count"), [(0, 1), (0, 37), (5, 20), (64, 64), (99, 1)])
def test_a_longer_sequence_extends_a_shorter_one(contract: Contract, first: int, count: int) -> None:
    whole = sampling.run_labels(contract, 7, 0, 128)
    np.testing.assert_array_equal(sampling.run_labels(contract, 7, first, count), whole[first : first + count])


def test_another_seed_gives_other_runs(contract: Contract) -> None:
    mine = {tuple(row) for row in sampling.run_labels(contract, contract.sampling.seed, 0, 512)}
    gate = {tuple(row) for row in sampling.run_labels(contract, contract.sampling.gate_seed, 0, 512)}
    assert len(mine) == len(gate) == 512
    assert not mine & gate


def test_labels_lie_in_the_box_and_fill_it(contract: Contract) -> None:
    labels = sampling.run_labels(contract, 7, 0, 1024)
    lower = np.array([label.lower for label in contract.run_labels])
    upper = np.array([label.upper for label in contract.run_labels])
    assert ((labels >= lower) & (labels <= upper)).all()
    assert (labels.min(axis=0) < lower + 0.01 * (upper - lower)).all()
    assert (labels.max(axis=0) > upper - 0.01 * (upper - lower)).all()


def test_the_median_halves_the_draws(contract: Contract) -> None:
    unit = (np.arange(4096) + 0.5) / 4096
    for label in contract.labels:
        middle = label.median if label.median is not None else 0.5 * (label.lower + label.upper)
        values = sampling.warped(label, unit)
        assert (np.diff(values) > 0).all()
        assert np.mean(values < middle) == pytest.approx(0.5, abs=1e-3)
        np.testing.assert_allclose(sampling.warped(label, np.array([0.0, 1.0])), [label.lower, label.upper], atol=1e-9)


def test_weights_restore_the_uniform_box(contract: Contract) -> None:
    runs, realisations = np.arange(8192), 8
    own = sampling.run_labels(contract, 7, 0, len(runs)).repeat(realisations, axis=0)
    drawn = sampling.broadening_labels(contract, 7, runs, realisations).reshape(len(own), -1)
    labels = np.empty((len(own), len(contract.labels)))
    labels[:, contract.columns(contract.run_labels)] = own
    labels[:, contract.columns(contract.broadening_labels)] = drawn
    weight = sampling.weights(contract, labels)
    assert weight.mean() == pytest.approx(1.0, abs=0.02)
    share = (labels - contract.lower) / (contract.upper - contract.lower)
    np.testing.assert_allclose(np.average(share, axis=0, weights=weight), np.full(len(contract.labels), 0.5), atol=0.01)


def test_more_broadening_draws_extend_fewer_whatever_the_other_runs(contract: Contract) -> None:
    many = sampling.broadening_labels(contract, 7, np.array([3, 11, 500]), 16)
    few = sampling.broadening_labels(contract, 7, np.array([11]), 5)
    np.testing.assert_array_equal(few[0], many[1, :5])
    assert not np.array_equal(many[0], many[1])
    lower = np.array([label.lower for label in contract.broadening_labels])
    upper = np.array([label.upper for label in contract.broadening_labels])
    assert ((many >= lower) & (many <= upper)).all()


def test_run_hashes_depend_on_the_labels_alone() -> None:
    labels = np.array([[5777.0, 4.44, 0.0, 1.0], [5777.0, 4.44, 0.0, 1.1]])
    first, second = sampling.run_hash(labels)
    assert first != second
    assert sampling.run_hash(labels[::-1].astype(np.float32)) == [second, first]
