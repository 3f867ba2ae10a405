"""The interpolation that emulators must beat."""

from pathlib import Path

import foreign
import numpy as np
import pytest

from stellar_emulator.grid.importing.darkening import read_darkening
from stellar_emulator.grid.importing.importer import Wanted, import_grid
from stellar_emulator.grid.readers.names import label_source
from stellar_emulator.grid.source import open_source
from stellar_emulator.training import baseline
from stellar_emulator.training.baseline import interpolated


@pytest.mark.parametrize("exact", [False, True])
def test_the_nearest_of_many_nodes_tell_what_all_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exact: bool
) -> None:
    made = foreign.turbospectrum(tmp_path / "files") if exact else foreign.ferre(tmp_path / "grid.dat")
    wanted = Wanted(label_source(None), read_darkening(None))
    contract = import_grid([made], wanted, tmp_path / "grid").contract
    source = open_source(str(tmp_path / "grid"), contract, tmp_path)
    assert (source.intrinsic is not None) == exact
    nodes = np.unique(source.grid.run_id)
    test = np.flatnonzero(np.isin(source.grid.run_id, nodes[[4, 7]]))
    known = np.setdiff1d(np.arange(source.grid.rows), test)
    labels = source.grid.labels[test]
    every = interpolated(source.grid, source.intrinsic, known, contract, labels)
    assert every is not None
    monkeypatch.setattr(baseline, "MOST_AT_ONCE", 2)
    monkeypatch.setattr(baseline, "NEAREST", len(nodes) - 2)
    monkeypatch.setattr(baseline, "SPECTRA_AT_ONCE", 1)
    near = interpolated(source.grid, source.intrinsic, known, contract, labels)
    np.testing.assert_allclose(near, every, atol=1e-5)
    flux = source.grid.take(test)
    assert np.abs(every - flux).mean() < 0.2 * np.abs(flux - flux.mean()).mean()


def test_too_few_nodes_are_no_baseline(tmp_path: Path) -> None:
    wanted = Wanted(label_source(None), read_darkening(None))
    contract = import_grid([foreign.ferre(tmp_path / "grid.dat")], wanted, tmp_path / "grid").contract
    grid = open_source(str(tmp_path / "grid"), contract, tmp_path).grid
    assert interpolated(grid, None, np.array([0, 1]), contract, grid.labels[:1]) is None
