"""The compact form of a grid: what it loses, that it grows without changing, and what it refuses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from line_engine import LineEngine
from seams import LOGG, RESOLUTION, TEFF, VSINI, seam_contract, seam_runs

from stellar_emulator.broadening.broadening import contract_broadening
from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import InputError
from stellar_emulator.grid import compact, corrections, principal, shards
from stellar_emulator.grid.corrections import seen
from stellar_emulator.grid.engines.runs import synthesize_runs
from stellar_emulator.grid.reduced import sharpest_view
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
    loss = np.abs(seen(before.flux[: 2 * SHARD] - after.flux, sharpest_view(CONTRACT))).max()
    assert 0.0 < loss <= compact.TOLERANCE
    assert done.largest_loss == pytest.approx(loss, rel=1e-6)
    told = shards.read_provenance(tmp_path / "small")
    assert told["failed"] == {str(SHARD + 1): {"labels": [1, 2], "reason": "none"}}
    assert told["largest_loss"] == pytest.approx(loss, abs=1e-7)
    assert done.components < SHARD
    assert f"{done.bytes_a_run:.0f} bytes" in done.summary
    written = [path.stat().st_size for path in (tmp_path / "small").glob("*.parquet")]
    assert done.component_bytes + done.bytes_a_run * done.runs == pytest.approx(sum(written))
    assert sum(written) < 0.7 * sum(path.stat().st_size for path in whole.glob("*.parquet"))


@pytest.mark.parametrize(("vsini", "resolution"), [(0.0, 14500.0), (3.0, 9000.0), (60.0, 5000.0)])
def test_no_broadened_draw_loses_more_than_the_sharpest(
    whole: Path, tmp_path: Path, vsini: float, resolution: float
) -> None:
    compact.compact(whole, CONTRACT, tmp_path / "small")
    before, after = (shards.read_intrinsic_grid(folder, CONTRACT) for folder in (whole, tmp_path / "small"))
    convolve, runs = contract_broadening(CONTRACT), 2 * SHARD
    drawn = (np.full(runs, vsini), np.full(runs, resolution), np.full(runs, 0.5))
    shown = [convolve(convolve.modes(flux[:runs]), *drawn) for flux in (before.flux, after.flux)]
    assert 0.0 < np.abs(shown[0] - shown[1]).max() <= compact.TOLERANCE


def test_a_longer_grid_appends_and_changes_nothing(whole: Path, tmp_path: Path) -> None:
    small, grid = tmp_path / "small", seam_runs(CONTRACT, 2 * SHARD)
    first = folder_with(tmp_path / "first", CONTRACT, grid.take(np.arange(SHARD)))
    compact.compact(first, CONTRACT, small)
    kept = {path.name: path.read_bytes() for path in small.glob("*.parquet")}
    assert len(kept) == 2
    odd = grid.flux.copy()
    odd[SHARD + 2] -= (0.2 * np.abs(np.sin(0.02 * np.arange(odd.shape[1])))).astype(np.float32)
    longer = IntrinsicGrid(grid.run_id, grid.labels, odd, **{name: getattr(grid, name) for name in grid.known})
    done = compact.compact(folder_with(tmp_path / "longer", CONTRACT, longer), CONTRACT, small)
    assert done.largest_loss <= compact.TOLERANCE
    assert {name: (small / name).read_bytes() for name in kept} == kept
    again = compact.compact(tmp_path / "longer", CONTRACT, small)
    assert (again.runs, again.components, again.largest_loss) == (done.runs, done.components, 0.0)


@pytest.mark.parametrize(
    ("dies", "before"),
    [
        ("write_components", False),
        ("write_shard", False),
        ("write_shard", True),
        ("write_provenance", False),
        ("write_provenance", True),
    ],
)
def test_a_killed_call_leaves_what_was_there_and_the_next_one_ends_as_one_that_was_not_killed(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies: str, before: bool
) -> None:
    small, grid = tmp_path / "small", seam_runs(CONTRACT, 2 * SHARD)
    if before:
        compact.compact(folder_with(tmp_path / "first", CONTRACT, grid.take(np.arange(SHARD))), CONTRACT, small)
    kept = {path.name: path.read_bytes() for path in small.glob("*.*")}
    module = compact if dies == "write_components" else shards
    written = getattr(module, dies)

    def killed(*given: Any, **named: Any) -> None:
        written(*given, **named) if dies != "write_provenance" else None
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, dies, killed)
        with pytest.raises(KeyboardInterrupt):
            compact.compact(whole, CONTRACT, small)
    assert {name: (small / name).read_bytes() for name in kept} == kept
    assert not list(small.glob(".*partial*"))
    compact.compact(whole, CONTRACT, small)
    compact.compact(whole, CONTRACT, tmp_path / "at once")
    files = [sorted(folder.glob("*.parquet")) for folder in (small, tmp_path / "at once")]
    assert [path.name for path in files[0]] == [path.name for path in files[1]]
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]
    assert len(shards.read_intrinsic_grid(small, CONTRACT).run_id) == 2 * SHARD


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
    path = small / shards.COMPONENTS
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(InputError, match=r"components\.parquet was changed or cut short"):
        shards.read_intrinsic_grid(small, CONTRACT)
    with pytest.raises(InputError, match=r"components\.parquet is no whole Parquet file"):
        principal.read_components(path)
    with pytest.raises(InputError, match=r"coefficients of \d+ principal components, but there are 0 in its folder"):
        shards.read_shard(small / shards.shard_name(0), CONTRACT)
    path.unlink()
    with pytest.raises(InputError, match=r"components\.parquet is missing"):
        shards.read_intrinsic_grid(small, CONTRACT)


def test_spectra_unlike_those_of_the_first_shard_are_refused_and_nothing_is_left_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, grid = tmp_path / "small", seam_runs(CONTRACT, 2 * SHARD)
    compact.compact(folder_with(tmp_path / "first", CONTRACT, grid.take(np.arange(SHARD))), CONTRACT, small)
    noise = np.random.default_rng(1).normal(0.5, 0.1, (SHARD, grid.flux.shape[1]))
    noisy = np.concatenate([grid.flux[:SHARD], np.clip(noise, 0, 1).astype(np.float32)])
    other = IntrinsicGrid(grid.run_id, grid.labels, noisy, **{name: getattr(grid, name) for name in grid.known})
    before = {path.name: path.read_bytes() for path in small.iterdir() if path.suffix != ".lock"}
    monkeypatch.setattr(corrections, "MOST", 50)
    with pytest.raises(InputError, match="need more than 50 corrections each, which don't fit into 2 kB a run"):
        compact.compact(folder_with(tmp_path / "other", CONTRACT, other), CONTRACT, small)
    assert {path.name: path.read_bytes() for path in small.iterdir() if path.suffix != ".lock"} == before


def test_a_loss_above_the_tolerance_is_refused(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compact, "TOLERANCE", 1e-6)
    with pytest.raises(InputError, match=r"run \d+ would lose .* of its broadened flux, at most 1e-06 is allowed"):
        compact.compact(whole, CONTRACT, tmp_path / "small")
    assert not list((tmp_path / "small").glob("*.parquet"))


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
