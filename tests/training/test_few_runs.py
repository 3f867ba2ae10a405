"""Few runs: a blended teacher, lessons within the hull, and errors by cross-validation."""

from pathlib import Path

import foreign
import numpy as np
import pytest
from synthetic import TINY

from stellar_emulator.grid.importing.darkening import read_darkening
from stellar_emulator.grid.importing.importer import Wanted, import_grid
from stellar_emulator.grid.nodes import within_hull
from stellar_emulator.grid.readers.names import label_source
from stellar_emulator.grid.source import open_source
from stellar_emulator.grid.split import SplitRows
from stellar_emulator.grid.store import run_hashes
from stellar_emulator.networks.preset import read_preset
from stellar_emulator.training import cross_validation, teacher
from stellar_emulator.training.cross_validation import (
    cross_validate,
    cross_validation_rows,
    cross_validation_table,
    label_errors,
)
from stellar_emulator.training.teacher import BlendedTeacher, teach

INPUTS = TINY.run_labels


def square(count: int) -> np.ndarray:
    """Runs on nodes of two labels, scaled to [-1, 1], those of one corner missing."""
    axis = np.linspace(-1.0, 1.0, count)
    nodes = np.array([(x, y) for x in axis for y in axis], dtype=np.float32)
    return nodes[nodes.sum(axis=1) <= 1.0]


def test_a_blend_is_no_worse_than_the_better_half() -> None:
    nodes = square(5)
    asked = np.random.default_rng(2).uniform(-0.9, 0.4, (50, 2)).astype(np.float32)

    def smooth(places: np.ndarray) -> np.ndarray:
        return np.stack([np.sin(2.0 * places[:, 0]), places[:, 1] * np.exp(places[:, 0])], axis=1)

    def error(made: np.ndarray) -> float:
        return float(np.abs(made - smooth(asked)).mean())

    blended = BlendedTeacher(nodes, INPUTS, smooth(nodes), 1)
    assert blended._cubic is not None
    halves = error(blended._process(asked)), error(np.asarray(blended._cubic(asked.astype(np.float64))))
    assert 0.0 <= blended.share <= 1.0
    assert error(blended(asked)) < 1.1 * min(halves)


def test_too_few_runs_for_cubic_functions_leave_the_process() -> None:
    nodes = np.array([[-1.0, -1.0], [1.0, 1.0]], dtype=np.float32)
    assert BlendedTeacher(nodes, INPUTS, nodes.copy(), 1).share == 1.0


def test_lessons_of_few_runs_lie_in_their_hull(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher, "LEAST_LESSONS", 64)
    nodes = square(5)
    everything = np.arange(len(nodes))
    split = SplitRows(everything, everything[:3], everything[:0])
    lessons = teach(nodes, INPUTS, nodes.copy(), split, 10, 1, cubic=True)
    assert len(lessons.labels) == len(nodes) + 64
    assert within_hull(nodes.astype(float), lessons.labels.astype(float), 0.1 + 1e-6).all()
    spread = teach(nodes, INPUTS, nodes.copy(), split, 64, 1)
    assert not within_hull(nodes.astype(float), spread.labels.astype(float), 0.1).all()


def test_errors_of_few_runs_come_from_folds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher, "LEAST_LESSONS", 512)
    wanted = Wanted(label_source(None), read_darkening(None))
    contract = import_grid([foreign.ferre(tmp_path / "grid.dat")], wanted, tmp_path / "grid").contract
    grid = open_source(str(tmp_path / "grid"), contract, tmp_path).grid
    flux = grid.take(np.arange(grid.rows))
    preset = read_preset("few_learned")
    short = {"epochs": 10, "patience": 10}
    preset = preset.model_copy(
        update={
            "basis": 4,
            "fine_tuning": preset.fine_tuning.model_copy(update=short),
            "validator": preset.validator.model_copy(
                update={"training": preset.validator.training.model_copy(update=short)}
            ),
        }
    )
    seen: list[str] = []

    def report(name: str):
        seen.append(name)
        return lambda epoch, values: None

    monkeypatch.setattr(cross_validation, "FOLDS", 2)
    found = cross_validate(grid, None, run_hashes(grid, contract), contract, preset, 1, tmp_path / "folds", report)
    assert (found.runs, found.folds) == (12, 2)
    np.testing.assert_array_equal(found.rows, np.arange(12))
    assert {name.split()[1] for name in seen} == {"1", "2"}
    assert found.inner.sum() == 8  # all but the corners
    told = cross_validation_rows(contract, grid, found)
    assert {(row["what"], row["where"]) for row in told} == {
        (what, where) for what in ("emulator", "cubic RBF") for where in ("inner nodes", "all nodes")
    }
    mean = float(np.abs(flux - flux.mean(axis=0)).mean())
    assert all(float(row["mae"]) < mean for row in told), told
    table = cross_validation_table(contract, told, label_errors(contract, grid, found), found)
    assert table.startswith("errors by 2-fold cross-validation over")
    assert "RMSE of teff" in table
