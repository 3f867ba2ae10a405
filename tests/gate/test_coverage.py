import numpy as np
from world import CONTRACT, decided

from stellar_emulator.gate.coverage import coverage, coverage_criterion
from stellar_emulator.grid.sampling import run_labels

RUNS = run_labels(CONTRACT, CONTRACT.sampling.gate_seed, 0, 2048)


def test_cells_without_a_run_are_named_and_found_again() -> None:
    whole = coverage(CONTRACT, RUNS)
    sun = np.abs((RUNS[:, :3] - [5772.0, 4.44, 0.0]) / [400.0, 0.3, 0.3]).max(axis=1) < 1.0
    holed = coverage(CONTRACT, RUNS[~sun])
    assert holed.cells == whole.cells == 1000
    assert sun.any()
    assert len(holed.empty) > len(whole.empty)
    assert holed.holds(CONTRACT, np.array([[5772.0, 4.44, 0.0, 1.0]]))[0]
    assert not whole.holds(CONTRACT, RUNS).any()
    row = coverage_criterion(holed)
    assert row.figure == len(holed.names) > 3
    assert row.verdict == "not counted"
    assert "teff" in row.note
    assert "more, in the table coverage" in row.note


def test_a_decision_tells_its_cells() -> None:
    record = decided().to_dict()
    row = next(row for row in record["criteria"] if row["name"].startswith("cells of teff, logg, m_h"))
    assert row["figure"] == len(record["tables"]["coverage"])
