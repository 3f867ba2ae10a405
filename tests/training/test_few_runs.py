"""Few runs: an emulator that interpolates, and errors by cross-validation."""

from pathlib import Path

import foreign
import numpy as np
import pytest

from stellar_emulator.grid.importing.darkening import read_darkening
from stellar_emulator.grid.importing.importer import Wanted, import_grid
from stellar_emulator.grid.readers.names import label_source
from stellar_emulator.grid.source import open_source
from stellar_emulator.grid.store import run_hashes
from stellar_emulator.networks.preset import read_any_preset
from stellar_emulator.training import cross_validation
from stellar_emulator.training.cross_validation import (
    cross_validate,
    cross_validation_rows,
    cross_validation_table,
    label_errors,
)


def test_errors_of_few_runs_come_from_folds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = Wanted(label_source(None), read_darkening(None))
    contract = import_grid([foreign.ferre(tmp_path / "grid.dat")], wanted, tmp_path / "grid").contract
    grid = open_source(str(tmp_path / "grid"), contract, tmp_path).grid
    flux = grid.take(np.arange(grid.rows))
    preset = read_any_preset("few_learned")
    short = {"epochs": 10, "patience": 10}
    preset = preset.model_copy(
        update={
            "basis": 4,
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
    assert {(name.split()[1], name.split()[2]) for name in seen} == {
        (fold, what) for fold in "12" for what in ("interpolation", "validator")
    }
    assert found.inner.sum() == 8  # all but the corners
    told = cross_validation_rows(contract, grid, found)
    assert {(row["what"], row["where"]) for row in told} == {
        (what, where) for what in ("emulator", "cubic RBF") for where in ("inner nodes", "all nodes")
    }
    mean = float(np.abs(flux - flux.mean(axis=0)).mean())
    assert all(float(row["mae"]) < mean for row in told), told
    error = {row["what"]: float(row["mae"]) for row in told if row["where"] == "inner nodes"}
    assert error["emulator"] < 0.2 * mean
    table = cross_validation_table(contract, told, label_errors(contract, grid, found), found)
    assert table.startswith("errors by 2-fold cross-validation over")
    assert "RMSE of teff" in table
