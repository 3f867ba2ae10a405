"""The check of a grid and the check of a request agree on every value: what one refuses, the other refuses."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from synthetic import ROOT, TINY, synthetic_rows, write_rows

from stellar_emulator.contract.checks import check_flux, check_labels
from stellar_emulator.errors import InputError
from stellar_emulator.validation.check import check


def around(bound: float, kind: type[np.floating]) -> list[float]:
    """A bound as a precision holds it, and its two neighbours there."""
    at = kind(bound)
    return [float(at), float(np.nextafter(at, kind(-np.inf))), float(np.nextafter(at, kind(np.inf)))]


def refused(call: Callable[[], object]) -> bool:
    try:
        call()
    except InputError:
        return True
    return False


def test_labels_are_refused_alike(tmp_path: Path) -> None:
    rows = synthetic_rows(runs=40)
    values = [
        (column, value)
        for column, label in enumerate(TINY.labels)
        for bound in (label.lower, label.upper)
        for value in around(bound, np.float64)
    ]
    values += [(0, np.nan), (1, np.inf), (2, -np.inf)]
    for row, (column, value) in enumerate(values):
        rows.labels[row, column] = value
    found = set(check(write_rows(tmp_path / "grid.parquet", rows), TINY).violations["row"])
    alone = [refused(partial(check_labels, TINY, TINY.label_names, row[np.newaxis])) for row in rows.labels]
    assert found == set(np.flatnonzero(alone))
    assert len(found) == 9


def test_fluxes_are_refused_alike(tmp_path: Path) -> None:
    rows = synthetic_rows(runs=40)
    values = [value for bound in (TINY.flux.lower, TINY.flux.upper) for value in around(bound, np.float32)]
    values += [np.nan, np.inf, -np.inf]
    for row, value in enumerate(values):
        rows.flux[row, 100 + row] = value
    found = set(check(write_rows(tmp_path / "grid.parquet", rows), TINY).violations["row"])
    alone = [refused(partial(check_flux, TINY, row[np.newaxis])) for row in rows.flux]
    assert found == set(np.flatnonzero(alone))
    assert len(found) == 5


@pytest.mark.parametrize("module", ["saved.bundle", "serving.emulator_model"])
def test_models_are_loaded_without_what_checks_grids(module: str) -> None:
    code = f"import sys, stellar_emulator.{module}; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "src", capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "stellar_emulator.contract.contract" in loaded
    assert not loaded & {"great_expectations", "stellar_emulator.validation"}
