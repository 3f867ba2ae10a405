"""Principal components: how many are kept, and how closely spectra and their rounded shapes come back."""

from pathlib import Path

import numpy as np
import pytest
from seams import LOGG, RESOLUTION, TEFF, VSINI, seam_contract, seam_runs

from stellar_emulator.grid import principal
from stellar_emulator.grid.corrections import seen
from stellar_emulator.grid.principal import coefficients_of, components_of, read_components, write_components
from stellar_emulator.grid.reduced import sharpest_view

CONTRACT = seam_contract(TEFF, LOGG, VSINI, RESOLUTION)
VIEW, FLUX = sharpest_view(CONTRACT), seam_runs(CONTRACT, 40).flux


def test_components_that_change_no_run_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    found = components_of(FLUX, VIEW)
    assert 3 < len(found) < 20
    left = FLUX - found.flux(coefficients_of(FLUX, found, VIEW))
    assert np.abs(seen(left, VIEW)).max() < 5e-4
    monkeypatch.setattr(principal, "MOST_COMPONENTS", 3)
    fewer = components_of(FLUX, VIEW)
    np.testing.assert_array_equal(fewer.counts, found.counts[:3])
    left = FLUX - fewer.flux(coefficients_of(FLUX, fewer, VIEW))
    assert np.abs(seen(left, VIEW)).max() > 1e-3


def test_broadened_components_are_orthonormal_but_for_rounding() -> None:
    modes = VIEW.modes(components_of(FLUX, VIEW).shapes)[:4].astype(np.float64)
    np.testing.assert_allclose(modes @ modes.T, np.eye(4), atol=0.01)


def test_spectra_without_lines_are_a_sum_of_nothing() -> None:
    flat = np.ones((3, VIEW.bins), dtype=np.float32)
    found = components_of(flat, VIEW)
    np.testing.assert_array_equal(found.flux(coefficients_of(flat, found, VIEW)), flat)


def test_a_file_of_components_reads_back(tmp_path: Path) -> None:
    found = components_of(FLUX, VIEW)
    write_components(tmp_path / "components.parquet", found)
    read = read_components(tmp_path / "components.parquet")
    np.testing.assert_array_equal(read.counts, found.counts)
    np.testing.assert_array_equal(read.scales, found.scales)
