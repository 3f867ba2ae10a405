import numpy as np
import pytest
from numpy.typing import NDArray
from synthetic import GAIA, TINY, synthetic_rows, write_rows

from stellar_emulator.contract.contract import Contract, parse_contract
from stellar_emulator.grid import sampling
from stellar_emulator.grid.readers.user_grid import open_grid
from stellar_emulator.grid.split import PARTS, SplitRows, about_few, split_rows
from stellar_emulator.grid.store import Rows, run_hashes


def part_of_run(split: SplitRows, runs: NDArray) -> dict[object, str]:
    """Part of each run; fails where a run lies in two."""
    found: dict[object, str] = {}
    for part in PARTS:
        for run in runs[split[part]].tolist():
            assert found.setdefault(run, part) == part
    return found


@pytest.mark.parametrize("contract", [GAIA, TINY], ids=lambda contract: contract.name)
def test_shares_are_those_of_the_contract(contract: Contract) -> None:
    runs = 4000
    split = split_rows(contract, np.array(sampling.run_hash(sampling.run_labels(contract, 1, 0, runs))))
    assert len(split.train) / runs == pytest.approx(0.8, abs=0.02)
    assert len(split.validation) / runs == pytest.approx(0.1, abs=0.015)
    assert len(split.test) / runs == pytest.approx(0.1, abs=0.015)
    np.testing.assert_array_equal(np.sort(np.concatenate([split[part] for part in PARTS])), np.arange(runs))


def test_parts_cover_the_box_alike() -> None:
    """A hash that followed a label would leave a part without hot stars."""
    labels = sampling.run_labels(GAIA, 1, 0, 4000)
    split = split_rows(GAIA, np.array(sampling.run_hash(labels)))
    for part in PARTS:
        spread = labels.std(axis=0) / np.sqrt(len(split[part]))
        assert (np.abs(labels[split[part]].mean(axis=0) - labels.mean(axis=0)) < 4.0 * spread).all()


def test_no_run_lies_on_two_sides(tmp_path) -> None:
    rows = synthetic_rows(TINY, 60)
    grid = write_rows(tmp_path / "grid.parquet", rows)
    split = split_rows(TINY, run_hashes(grid, TINY))
    assert set(part_of_run(split, rows.run_id).values()) == set(PARTS)
    assert sum(len(split[part]) for part in PARTS) == len(rows.flux)
    for part in PARTS:
        assert (np.diff(split[part]) > 0).all()


def test_order_size_and_file_do_not_move_a_run(tmp_path) -> None:
    rows = synthetic_rows(TINY, 60)
    whole = part_of_run(split_rows(TINY, run_hashes(write_rows(tmp_path / "whole.parquet", rows), TINY)), rows.run_id)
    some = np.random.default_rng(0).permutation(len(rows.flux))[:100]
    shuffled = Rows(rows.run_id[some], rows.labels[some], rows.weight[some], rows.flux[some])
    parquet = write_rows(tmp_path / "some.parquet", shuffled, batch=7)
    # Another file, whose runs are numbered anew and whose labels are single precision.
    columns = dict(zip(TINY.label_names, shuffled.labels.T.astype(np.float32), strict=True))
    np.savez(tmp_path / "mine.npz", flux=shuffled.flux, wavelength=TINY.wavelength.pixels, **columns)
    npz = open_grid(tmp_path / "mine.npz", TINY, tmp_path / "scratch")
    for grid in (parquet, npz):
        moved = part_of_run(split_rows(TINY, run_hashes(grid, TINY)), shuffled.run_id)
        assert moved.items() <= whole.items()
        assert len(moved) > 40


def test_broadening_labels_do_not_split_a_run() -> None:
    """Rows that differ in broadening alone have one hash; rows that differ in a run label have two."""
    labels = np.array([[5000.0, 0.1], [5000.0, 0.1], [5000.0, 0.2]])
    first, second, third = sampling.run_hash(labels)
    assert first == second != third


@pytest.mark.parametrize("runs", [3, 15, 20, 96])
def test_nodes_are_parted_exactly_however_few(runs: int) -> None:
    """Fifteen drawn runs may leave a part empty; on nodes none is, and each run is in one part."""
    text = TINY.source.replace("realisations: 4", "realisations: 4, runs: nodes")
    hashes = np.array(sampling.run_hash(sampling.run_labels(TINY, 1, 0, runs)))
    split = split_rows(parse_contract(text), hashes)
    counts = [len(split[part]) for part in PARTS]
    assert sum(counts) == runs
    assert counts[1:] == [max(1, round(0.1 * runs))] * 2
    np.testing.assert_array_equal(np.sort(np.concatenate([split[part] for part in PARTS])), np.arange(runs))
    # Whatever the order of the rows.
    order = np.random.default_rng(1).permutation(runs)
    again = split_rows(parse_contract(text), hashes[order])
    assert {*hashes[order][again.test]} == {*hashes[split.test]}


def test_few_runs_are_told_and_grids_on_nodes_have_no_need() -> None:
    def told(runs: int, contract: Contract = TINY) -> list[str]:
        return about_few(contract, np.array(sampling.run_hash(sampling.run_labels(TINY, 1, 0, runs))))

    assert told(4000) == []
    (few,) = told(40)
    (none,) = told(3)
    assert " of 40 runs are for tests" in few
    assert "3 runs are too few to train on" in none
    assert all("sampling: {runs: nodes}" in text for text in (few, none))
    nodes = TINY.model_copy(update={"sampling": TINY.sampling.model_copy(update={"runs": "nodes"})})
    assert told(40, nodes) == told(3, nodes) == []
