from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from synthetic import TINY, in_batches, synthetic_rows, write_rows

from stellar_emulator.errors import InputError
from stellar_emulator.grid.store import axis_matches, flux_matrix, open_parquet, run_hashes, write_grid

AXIS = TINY.wavelength


@pytest.fixture
def rows():
    return synthetic_rows()


@pytest.fixture
def grid(tmp_path, rows):
    return write_rows(tmp_path / "grid.parquet", rows)


def test_a_grid_reads_back_as_written(grid, rows):
    assert grid.rows == len(rows.flux)
    assert grid.medium == AXIS.medium
    np.testing.assert_array_equal(grid.labels, rows.labels)
    np.testing.assert_array_equal(grid.run_id, rows.run_id)
    np.testing.assert_array_equal(grid.weight, rows.weight)
    np.testing.assert_array_equal(np.concatenate([flux for _, flux in grid.batches()]), rows.flux)


def test_chosen_rows_come_in_the_order_asked_for(grid, rows):
    chosen = np.array([33, 2, 17, 2])
    np.testing.assert_array_equal(grid.take(chosen), rows.flux[chosen])


def test_the_digest_ignores_row_groups_and_compression(tmp_path, grid, rows):
    other = write_rows(tmp_path / "other.parquet", rows, batch=7)
    assert other.file.num_row_groups != grid.file.num_row_groups
    plain = tmp_path / "plain.parquet"
    pq.write_table(pq.read_table(grid.path), plain, compression="none", row_group_size=40)
    assert other.digest == grid.digest
    assert open_parquet(plain, TINY).digest == grid.digest


@pytest.mark.parametrize("change", ["flux", "label", "order", "wavelength", "medium"])
def test_the_digest_sees_every_change(tmp_path, grid, rows, change):
    axis: dict[str, Any] = {}
    if change == "flux":
        rows.flux[5, 100] += 1e-6
    elif change == "label":
        rows.labels[5, 0] += 1e-3
    elif change == "order":
        rows.flux[[3, 4]] = rows.flux[[4, 3]]
    elif change == "wavelength":
        axis["wavelength"] = AXIS.pixels + 0.01
    else:
        axis["medium"] = "air"
    assert write_rows(tmp_path / "changed.parquet", rows, **axis).digest != grid.digest


def test_a_failed_write_leaves_nothing(tmp_path, rows):
    def broken():
        yield from in_batches(rows, 16)
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        write_grid(tmp_path / "grid.parquet", TINY, broken(), AXIS.pixels, AXIS.medium, {})
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_grid_that_was_there(grid, rows):
    before = grid.path.read_bytes()
    short = synthetic_rows()
    object.__setattr__(short, "run_id", short.run_id[:-1])
    with pytest.raises(pa.ArrowInvalid):
        write_grid(grid.path, TINY, [rows, short], AXIS.pixels, AXIS.medium, {})
    assert grid.path.read_bytes() == before
    assert list(grid.path.parent.iterdir()) == [grid.path]


def test_a_missing_spectrum_is_nan_and_the_others_stay_in_their_rows(rows):
    spectra = [list(map(float, flux)) for flux in rows.flux[:6]]
    column = pa.array([*spectra[:3], None, *spectra[4:]], pa.list_(pa.float32()))
    flux = flux_matrix(column[1:], 777, first=1)
    assert np.isnan(flux[2]).all()
    np.testing.assert_array_equal(flux[[0, 1, 3, 4]], rows.flux[[1, 2, 4, 5]])


def test_a_spectrum_of_another_length_is_named_by_its_row(rows):
    column = pa.array([rows.flux[0], rows.flux[1], rows.flux[2][:-1]])
    with pytest.raises(InputError, match="flux of row 1002 has 776 pixels, but there are 777 wavelengths"):
        flux_matrix(column, 777, first=1000)


def test_one_flipped_bit_is_found(grid):
    flux = grid.file.metadata.row_group(1).column(5)
    content = bytearray(grid.path.read_bytes())
    content[flux.data_page_offset + flux.total_compressed_size // 2] ^= 1
    grid.path.write_bytes(bytes(content))
    damaged = open_parquet(grid.path, TINY)
    with pytest.raises(InputError, match=r"grid .*grid\.parquet is damaged or lacks a spectrum"):
        list(damaged.batches())


def test_a_missing_run_id_is_named_by_its_row(tmp_path, grid):
    table = pq.read_table(grid.path)
    run_id = table["run_id"].to_pylist()
    run_id[7] = None
    pq.write_table(table.set_column(0, "run_id", pa.array(run_id, pa.int64())), tmp_path / "gap.parquet")
    with pytest.raises(InputError, match="has no run_id in row 7"):
        _ = open_parquet(tmp_path / "gap.parquet", TINY).run_id


def test_wrong_columns_are_named(tmp_path, grid):
    table = pq.read_table(grid.path)
    pq.write_table(table.drop_columns(["m_h"]), tmp_path / "lacking.parquet")
    with pytest.raises(InputError, match="lacks the column\\(s\\) m_h"):
        open_parquet(tmp_path / "lacking.parquet", TINY)
    text = table.set_column(1, "teff", pa.array(["hot"] * table.num_rows))
    pq.write_table(text, tmp_path / "text.parquet")
    with pytest.raises(InputError, match=r"column teff of grid .* is string, but must be double"):
        open_parquet(tmp_path / "text.parquet", TINY)
    pq.write_table(table.replace_schema_metadata(None), tmp_path / "silent.parquet")
    with pytest.raises(InputError, match="says nothing of its wavelengths"):
        open_parquet(tmp_path / "silent.parquet", TINY)
    pq.write_table(table.replace_schema_metadata({"stellar_emulator": "{"}), tmp_path / "damaged.parquet")
    with pytest.raises(InputError, match="damaged metadata"):
        open_parquet(tmp_path / "damaged.parquet", TINY)


def test_a_run_has_one_hash(grid):
    hashes = run_hashes(grid, TINY)
    assert len(np.unique(hashes)) == 10
    assert all(len(set(hashes[grid.run_id == run])) == 1 for run in range(10))


def test_single_precision_wavelengths_match_and_a_tenth_of_a_step_does_not():
    assert axis_matches(AXIS.pixels.astype(np.float32), AXIS)
    assert not axis_matches(AXIS.pixels + 0.1 * AXIS.step, AXIS)
    assert not axis_matches(AXIS.pixels[:-1], AXIS)
