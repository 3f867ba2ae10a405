"""Coefficients and corrections as columns of a table: nothing is lost, whatever their number and sign."""

import numpy as np
import pyarrow as pa
import pytest
from seams import LOGG, RESOLUTION, TEFF, VSINI, seam_contract

from stellar_emulator.grid.engines.intrinsic import require_intrinsic_axis
from stellar_emulator.grid.reduced import CORRECTIONS, GAPS, Reduced, columns, read_columns, sharpest_view, types

CONTRACT = seam_contract(TEFF, LOGG, VSINI, RESOLUTION)


@pytest.mark.parametrize("rows", [slice(None), slice(1, 2), slice(3, 5)])
def test_columns_read_back_as_they_were(rows: slice) -> None:
    counts = np.zeros((5, 40), dtype=np.int16)
    counts[0, [0, 7, 39]] = [5, -1, 300]
    counts[2, [39]] = -32768
    counts[3, :] = np.arange(1, 41) * np.where(np.arange(40) % 2, -1, 1)
    kept = Reduced(np.array([[0, -1], [1, -200000], [7, 8], [-7, 2], [3, 70000]], dtype=np.int32)[rows], counts[rows])
    made = columns(kept)
    assert {name: column.type for name, column in made.items()} == types(2)
    read = read_columns(pa.table(made), 40)
    np.testing.assert_array_equal(read.coefficients, kept.coefficients)
    np.testing.assert_array_equal(read.corrections, kept.corrections)
    assert [column.dtype.name for column in (read.coefficients, read.corrections)] == ["int32", "int16"]


def test_a_gap_is_counted_from_the_correction_before() -> None:
    counts = np.zeros((2, 9), dtype=np.int16)
    counts[0, [2, 6]], counts[1, [3]] = [1, -1], [2]
    made = columns(Reduced(np.zeros((2, 1), dtype=np.int32), counts))
    assert made[GAPS].to_pylist() == [[2, 4], [3]]
    assert made[CORRECTIONS].to_pylist() == [[2, 1], [4]]


def test_the_view_has_a_pixel_at_each_bin_and_the_contract_s_sharpest_instrument() -> None:
    axis, view = require_intrinsic_axis(CONTRACT), sharpest_view(CONTRACT)
    assert view.pixels == view.bins == len(axis.wavelength)
    flux = np.zeros((1, view.bins))
    flux[0, 300] = 1.0
    shown = view.synthesis(view.modes(flux))[0]
    assert shown.argmax() == 300
    assert shown.sum() == pytest.approx(1.0, abs=1e-3)
    sigma = np.sqrt((shown * (np.arange(view.bins) - 300) ** 2).sum()) * axis.velocity_step
    assert sigma == pytest.approx(299792.458 / 14500.0 / 2.3548, rel=0.02)
