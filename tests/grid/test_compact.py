"""The compact form of a grid: what it loses, that it grows without changing, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
from line_engine import LineEngine
from seams import LOGG, RESOLUTION, TEFF, VSINI, seam_contract, seam_runs

from stellar_emulator.broadening.broadening import contract_broadening
from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import InputError
from stellar_emulator.grid import compact, principal, shards
from stellar_emulator.grid.engines.runs import synthesize_runs
from stellar_emulator.grid.shards import IntrinsicGrid

CONTRACT = seam_contract(TEFF, LOGG, VSINI, RESOLUTION)
SHARD = 24


@pytest.fixture
def whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A synthesised folder of two full shards and a part."""
    monkeypatch.setattr(shards, "SHARD_RUNS", SHARD)
    return folder_with(tmp_path / "whole", CONTRACT, seam_runs(CONTRACT, 2 * SHARD + 5))


def folder_with(folder: Path, contract: Contract, grid: IntrinsicGrid) -> Path:
    folder.mkdir()
    digests = {}
    for number, first in enumerate(range(0, len(grid.run_id), SHARD)):
        part = grid.take(np.arange(first, min(first + SHARD, len(grid.run_id))))
        name = shards.shard_name(number)
        digests[name] = shards.write_shard(folder / name, contract, 3, part)
    failed = {str(SHARD + 1): {"labels": [1.0, 2.0], "reason": "none"}}
    told = {"seed": 3, "runs": len(grid.run_id), "failed": failed, "shards": digests, "syntheses": []}
    shards.write_provenance(folder, told)
    return folder


def test_a_compact_grid_shows_the_same_spectra_in_less_space(whole: Path, tmp_path: Path) -> None:
    done = compact.compact(whole, CONTRACT, tmp_path / "small")
    before, after = (shards.read_intrinsic_grid(folder, CONTRACT) for folder in (whole, tmp_path / "small"))
    assert done.runs == len(after.run_id) == 2 * SHARD
    np.testing.assert_array_equal(after.labels, before.labels[: 2 * SHARD])
    np.testing.assert_array_equal(after.continuum, before.continuum[: 2 * SHARD])
    loss = principal.losses(before.flux[: 2 * SHARD], after.flux, contract_broadening(CONTRACT))
    assert 0.0 < loss.max() <= principal.TOLERANCE
    assert done.largest_loss == pytest.approx(loss.max(), rel=1e-6)
    failed = shards.read_provenance(tmp_path / "small")["failed"]
    assert failed == {str(SHARD + 1): {"labels": [1, 2], "reason": "none"}}
    assert done.components < SHARD
    assert "largest loss" in done.summary


def test_no_broadened_draw_loses_more_than_the_sharpest(whole: Path, tmp_path: Path) -> None:
    compact.compact(whole, CONTRACT, tmp_path / "small")
    before, after = (shards.read_intrinsic_grid(folder, CONTRACT) for folder in (whole, tmp_path / "small"))
    convolve, runs = contract_broadening(CONTRACT), 2 * SHARD
    drawn = (np.full(runs, 3.0), np.full(runs, 9000.0), np.full(runs, 0.5))
    shown = [convolve(convolve.modes(flux[:runs]), *drawn) for flux in (before.flux, after.flux)]
    assert np.abs(shown[0] - shown[1]).max() <= principal.TOLERANCE


def test_a_longer_grid_appends_and_changes_nothing(whole: Path, tmp_path: Path) -> None:
    small, grid = tmp_path / "small", seam_runs(CONTRACT, 2 * SHARD)
    first = folder_with(tmp_path / "first", CONTRACT, grid.take(np.arange(SHARD)))
    compact.compact(first, CONTRACT, small)
    kept = {path.name: path.read_bytes() for path in small.glob("*.parquet")}
    odd = grid.flux.copy()
    odd[SHARD + 2] -= (0.2 * np.abs(np.sin(0.02 * np.arange(odd.shape[1])))).astype(np.float32)
    longer = IntrinsicGrid(grid.run_id, grid.labels, odd, **{name: getattr(grid, name) for name in grid.known})
    done = compact.compact(folder_with(tmp_path / "longer", CONTRACT, longer), CONTRACT, small)
    assert done.largest_loss <= principal.TOLERANCE
    assert {name: (small / name).read_bytes() for name in kept} == kept
    assert (small / shards.components_name(1)).is_file()
    again = compact.compact(tmp_path / "longer", CONTRACT, small)
    assert (again.runs, again.components, again.largest_loss) == (done.runs, done.components, 0.0)


@pytest.fixture(autouse=True)
def _short_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_RUNS", SHARD)


def test_another_grid_is_not_appended(whole: Path, tmp_path: Path) -> None:
    compact.compact(whole, CONTRACT, tmp_path / "small")
    shards.write_provenance(whole, {**shards.read_provenance(whole), "seed": 4})
    with pytest.raises(InputError, match="holds a grid with seed 3, 4 is to be added"):
        compact.compact(whole, CONTRACT, tmp_path / "small")


def test_components_that_were_changed_or_lost_are_named(whole: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    compact.compact(whole, CONTRACT, small)
    path = small / shards.components_name(0)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"components-00000\.parquet was changed or cut short"):
        shards.read_intrinsic_grid(small, CONTRACT)
    with pytest.raises(InputError, match=r"coefficients of \d+ principal components, but there are 0 in its folder"):
        shards.read_shard(small / shards.shard_name(0), CONTRACT)
    path.unlink()
    with pytest.raises(InputError, match=r"components-00000\.parquet is missing"):
        shards.read_intrinsic_grid(small, CONTRACT)


def test_spectra_without_likeness_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(principal, "MOST_COMPONENTS", 5)
    grid = seam_runs(CONTRACT, SHARD)
    convolve = contract_broadening(CONTRACT)
    with pytest.raises(InputError, match="principal components, at most 5 fit into 2 kB a run"):
        principal.compressed(grid.flux, principal.none_of(grid.flux.shape[1]), convolve)
    few = grid.take(np.arange(4))
    counts, _ = principal.compressed(few.flux, principal.none_of(grid.flux.shape[1]), convolve)
    assert counts.shape[1] <= 5


def test_the_grid_goes_on_where_only_its_compact_form_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_RUNS", SHARD)
    contract, engine = seam_contract(TEFF, VSINI, RESOLUTION), LineEngine(medium="air")
    for work in ("here", "elsewhere"):
        compact.carry_on(tmp_path / "small", tmp_path / work)
        runs = SHARD if work == "here" else 2 * SHARD
        done = synthesize_runs(contract, 3, runs, tmp_path / work, workers=1, engine=engine)
        assert done.computed == SHARD
        compact.compact(tmp_path / work, contract, tmp_path / "small")
    synthesize_runs(contract, 3, 2 * SHARD, tmp_path / "at once", workers=1, engine=engine)
    compact.compact(tmp_path / "at once", contract, tmp_path / "whole")
    joined, whole = (shards.read_intrinsic_grid(tmp_path / name, contract) for name in ("small", "whole"))
    np.testing.assert_array_equal(joined.labels, whole.labels)
    np.testing.assert_array_equal(joined.flux, whole.flux)
    compact.carry_on(tmp_path / "whole", tmp_path / "here")
    assert shards.read_provenance(tmp_path / "here")["runs"] == SHARD
