import json
from pathlib import Path

import numpy as np
import pytest

from stellar_emulator.contract.axis import IntrinsicAxis
from stellar_emulator.contract.contract import Contract, read_contract
from stellar_emulator.errors import InputError
from stellar_emulator.grid import sampling, shards
from stellar_emulator.grid.shards import IntrinsicGrid

SEED = 7


@pytest.fixture(scope="module")
def contract() -> Contract:
    axis = IntrinsicAxis(start=8490.0, stop=8500.0, velocity_step=1.5, flux_per_count=2.5e-4)
    return read_contract("gaia_rvs").model_copy(update={"intrinsic": axis})


def rows(contract: Contract, first: int, stop: int) -> IntrinsicGrid:
    """Smooth made-up spectra: the store must not care."""
    assert contract.intrinsic is not None
    number = np.arange(first, stop)
    depth = 0.9 * np.random.default_rng(first).random((len(number), 1))
    wave = np.sin(0.05 * np.arange(len(contract.intrinsic.wavelength)))
    return IntrinsicGrid(
        run_id=number,
        labels=sampling.run_labels(contract, SEED, first, len(number)),
        flux=(1.0 - depth * wave**2).astype(np.float32),
        continuum=(1e6 * (1.0 + depth + np.zeros(32))).astype(np.float32),
        limb_darkening=0.2 + 0.4 * depth[:, 0],
        atmosphere_distance=depth[:, 0],
    )


def write_grid(folder: Path, contract: Contract) -> list[IntrinsicGrid]:
    """Two shards and their provenance."""
    pieces = [rows(contract, 0, 5), rows(contract, 5, 8)]
    digests = {
        shards.shard_name(k): shards.write_shard(folder / shards.shard_name(k), contract, SEED, piece)
        for k, piece in enumerate(pieces)
    }
    shards.write_provenance(folder, {"shards": digests, "seed": SEED})
    return pieces


def test_round_trip_keeps_flux_within_half_a_count_and_all_else_exactly(tmp_path: Path, contract: Contract) -> None:
    first, second = write_grid(tmp_path, contract)
    grid = shards.read_intrinsic_grid(tmp_path, contract)
    assert contract.intrinsic is not None
    error = np.abs(grid.flux - np.concatenate([first.flux, second.flux]))
    assert grid.flux.dtype == np.float32
    assert error.max() <= 0.5 * contract.intrinsic.flux_per_count + 1e-7
    for name in ("run_id", "labels", "continuum", "limb_darkening", "atmosphere_distance"):
        expected = np.concatenate([getattr(first, name), getattr(second, name)])
        np.testing.assert_array_equal(getattr(grid, name), expected)
        assert getattr(grid, name).dtype == expected.dtype
    assert grid.provenance["seed"] == SEED


def test_the_same_rows_give_the_same_bytes_even_when_read_back(tmp_path: Path, contract: Contract) -> None:
    piece = rows(contract, 0, 5)
    digest = shards.write_shard(tmp_path / "a.parquet", contract, SEED, piece)
    assert shards.write_shard(tmp_path / "b.parquet", contract, SEED, piece) == digest
    read_back = shards.read_shard(tmp_path / "a.parquet", contract)
    assert shards.write_shard(tmp_path / "c.parquet", contract, SEED, read_back) == digest
    assert shards.file_digest(tmp_path / "c.parquet") == digest
    assert not list(tmp_path.glob("*.partial"))


def test_negative_flux_is_clipped_at_zero(tmp_path: Path, contract: Contract) -> None:
    piece = rows(contract, 0, 2)
    piece.flux[0, :3] = -0.5
    shards.write_shard(tmp_path / "a.parquet", contract, SEED, piece)
    flux = shards.read_shard(tmp_path / "a.parquet", contract).flux
    assert (flux[0, :3] == 0.0).all()
    assert (flux[1] > 0.0).all()


def test_a_changed_byte_is_refused_by_name(tmp_path: Path, contract: Contract) -> None:
    write_grid(tmp_path, contract)
    content = bytearray((tmp_path / "shard-00001.parquet").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "shard-00001.parquet").write_bytes(content)
    with pytest.raises(InputError, match=r"shard-00001\.parquet was changed or cut short"):
        shards.read_intrinsic_grid(tmp_path, contract)


def test_a_truncated_shard_is_refused_even_if_the_provenance_agrees(tmp_path: Path, contract: Contract) -> None:
    write_grid(tmp_path, contract)
    path = tmp_path / "shard-00000.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"shard-00000\.parquet was changed or cut short"):
        shards.read_intrinsic_grid(tmp_path, contract)
    shards.write_provenance(tmp_path, {"shards": shards.shard_digests(tmp_path)})
    with pytest.raises(InputError, match=r"shard-00000\.parquet is no whole Parquet file"):
        shards.read_intrinsic_grid(tmp_path, contract)


def test_missing_and_unlisted_shards_are_refused(tmp_path: Path, contract: Contract) -> None:
    write_grid(tmp_path, contract)
    (tmp_path / "shard-00001.parquet").rename(tmp_path / "shard-00002.parquet")
    with pytest.raises(InputError, match=r"shard-00001\.parquet is missing"):
        shards.read_intrinsic_grid(tmp_path, contract)
    (tmp_path / "shard-00001.parquet").write_bytes((tmp_path / "shard-00002.parquet").read_bytes())
    with pytest.raises(InputError, match=r"shard-00002\.parquet is not listed"):
        shards.read_intrinsic_grid(tmp_path, contract)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"velocity_step": 1.6}, "intrinsic_velocity_step 1.5, .*says 1.6"),
        ({"start": 8489.0}, "intrinsic_start"),
        ({"flux_per_count": 5e-4}, "flux_per_count"),
    ],
)
def test_another_axis_is_refused(tmp_path: Path, contract: Contract, change: dict[str, float], named: str) -> None:
    write_grid(tmp_path, contract)
    assert contract.intrinsic is not None
    other = contract.model_copy(update={"intrinsic": contract.intrinsic.model_copy(update=change)})
    with pytest.raises(InputError, match=named):
        shards.read_intrinsic_grid(tmp_path, other)


def test_other_columns_are_refused(tmp_path: Path, contract: Contract) -> None:
    write_grid(tmp_path, contract)
    other = contract.model_copy(update={"labels": contract.labels[::-1]})
    with pytest.raises(InputError, match=r"has columns run_id .*teff.*needs run_id .*vmicro"):
        shards.read_intrinsic_grid(tmp_path, other)


def test_a_missing_folder_an_empty_one_and_missing_provenance_are_refused(tmp_path: Path, contract: Contract) -> None:
    with pytest.raises(InputError, match="nowhere is no folder"):
        shards.read_intrinsic_grid(tmp_path / "nowhere", contract)
    with pytest.raises(InputError, match="holds no shard"):
        shards.read_intrinsic_grid(tmp_path, contract)
    write_grid(tmp_path, contract)
    (tmp_path / shards.PROVENANCE).write_text(json.dumps([1]))
    with pytest.raises(InputError, match="must hold a JSON object"):
        shards.read_intrinsic_grid(tmp_path, contract)
    (tmp_path / shards.PROVENANCE).unlink()
    with pytest.raises(InputError, match=r"provenance\.json is missing"):
        shards.read_intrinsic_grid(tmp_path, contract)
