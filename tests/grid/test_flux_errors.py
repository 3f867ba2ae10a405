"""Errors beside flux: read from a user's file, checked, stored, told apart by the digest, and kept by what rewrites."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from synthetic import TINY, synthetic_rows, write_rows

from stellar_emulator.errors import InputError
from stellar_emulator.grid.readers.user_grid import open_grid
from stellar_emulator.grid.store import FLUX_ERROR, Grid, open_parquet, write_grid
from stellar_emulator.networks.basis import fit_grid_basis, project_grid
from stellar_emulator.validation.check import check
from stellar_emulator.validation.set_aside import _batches

ROWS = synthetic_rows(TINY, 10)


def some_errors(rows: int = len(ROWS.flux)) -> np.ndarray:
    errors = np.random.default_rng(1).uniform(0.01, 0.1, (rows, TINY.wavelength.count)).astype(np.float32)
    errors[:, 100:110] = np.inf
    return errors


def npz(path: Path, errors: Any) -> Path:
    labels = dict(zip(TINY.label_names, ROWS.labels.T, strict=True))
    np.savez(path, flux=ROWS.flux, wavelength=TINY.wavelength.pixels, medium="vacuum", flux_error=errors, **labels)
    return path


def parquet(path: Path, errors: np.ndarray) -> Path:
    columns = {name: pa.array(column) for name, column in zip(TINY.label_names, ROWS.labels.T, strict=True)}
    arrays = {"flux": pa.array(list(ROWS.flux)), "flux_error": pa.array(list(errors))}
    note = {"wavelength_start": "5000.0", "wavelength_step": "0.2", "medium": "vacuum"}
    pq.write_table(pa.table(columns | arrays).replace_schema_metadata(note), path)
    return path


@pytest.mark.parametrize("write", [npz, parquet])
def test_errors_of_a_user_s_file_are_stored(write, tmp_path: Path) -> None:
    errors = some_errors()
    grid = open_grid(write(tmp_path / f"mine.{write.__name__}", errors), TINY, tmp_path)
    assert grid.has_errors
    chosen = np.array([33, 2, 17])
    np.testing.assert_array_equal(grid.take(chosen, FLUX_ERROR), errors[chosen])
    np.testing.assert_array_equal(grid.take(chosen), ROWS.flux[chosen])
    again = open_grid(grid.path, TINY, tmp_path / "scratch")
    assert again.path == grid.path  # the project's own form: not rewritten
    assert check(grid, TINY).verdict.passed


@pytest.mark.parametrize("write", [npz, parquet])
@pytest.mark.parametrize("wrong", [0.0, -0.1, np.nan, -np.inf])
def test_what_is_no_standard_deviation_is_named(write, wrong: float, tmp_path: Path) -> None:
    errors = some_errors()
    errors[31, 7] = wrong
    message = f"flux_error = {wrong:g} in row 31, pixel 7: give the standard deviation of the flux, above 0, or inf"
    with pytest.raises(InputError, match=message):
        open_grid(write(tmp_path / f"mine.{write.__name__}", errors), TINY, tmp_path)


@pytest.mark.parametrize(
    ("errors", "message"),
    [
        (some_errors()[:, :-1], r"flux_error has shape \(40, 776\), but flux has \(40, 777\): give one a flux"),
        (some_errors()[:-1], r"flux_error has shape \(39, 777\)"),
        (np.ones(40), r"array flux_error has shape \(40,\), but must be \(spectra, pixels\)"),
        (np.full((40, 777), "small"), "array flux_error holds <U5, not numbers"),
        (np.full((40, 777), np.inf), "flux_error is infinite in all pixels of row 0: leave the spectrum out"),
    ],
)
def test_a_wrong_array_of_errors_is_refused(errors: np.ndarray, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        open_grid(npz(tmp_path / "mine.npz", errors), TINY, tmp_path)


def test_a_misspelt_name_is_told(tmp_path: Path) -> None:
    path = npz(tmp_path / "mine.npz", some_errors())
    with np.load(path) as content:
        arrays = dict(content)
    arrays["flux_err"] = arrays.pop("flux_error")
    np.savez(path, **arrays)
    with pytest.raises(InputError, match="unknown array flux_err: did you mean flux_error"):
        open_grid(path, TINY, tmp_path)


def written(folder: Path, errors: np.ndarray | None, name: str = "grid") -> Grid:
    rows = replace(ROWS, flux_error=errors)
    axis = TINY.wavelength
    return write_grid(folder / f"{name}.parquet", TINY, iter([rows]), axis.pixels, axis.medium, {})


def test_the_digest_is_of_the_errors_too(tmp_path: Path) -> None:
    errors = some_errors()
    plain, noisy = written(tmp_path, None, "plain"), written(tmp_path, errors, "noisy")
    assert plain.digest == write_rows(tmp_path / "other.parquet", ROWS).digest
    assert noisy.digest != plain.digest
    assert noisy.digest == noisy.provenance["digest"]
    errors[3, 3] *= 2.0
    assert written(tmp_path, errors, "changed").digest != noisy.digest
    assert open_parquet(tmp_path / "plain.parquet", TINY).has_errors is False


def test_what_is_set_aside_keeps_its_errors(tmp_path: Path) -> None:
    errors = some_errors()
    rows = list(_batches(written(tmp_path, errors), np.array([4, 9])))
    np.testing.assert_array_equal(np.concatenate([one.flux_error for one in rows]), errors[[4, 9]])


def test_components_of_noisy_spectra_are_the_likeliest(tmp_path: Path) -> None:
    """Each spectrum is read where it is good; pixels without data hold anything."""
    random = np.random.default_rng(2)
    errors = np.where(random.random(ROWS.flux.shape) < 0.5, 0.005, 0.2).astype(np.float32)
    flux = (ROWS.flux + errors * random.standard_normal(errors.shape)).astype(np.float32)
    errors[:, 300:320], flux[:, 300:320] = np.inf, 0.123
    basis = fit_grid_basis(written(tmp_path, None, "clean"), np.arange(40), 4, 1)
    axis = TINY.wavelength
    rows = replace(ROWS, flux=flux, flux_error=errors)
    grid = write_grid(tmp_path / "noisy.parquet", TINY, iter([rows]), axis.pixels, axis.medium, {})
    true = basis.project(ROWS.flux)
    by_errors, plain = (np.abs(project_grid(grid, basis, noisy) - true).mean() for noisy in (True, False))
    assert by_errors < 0.3 * plain
    found = fit_grid_basis(grid, np.arange(40), 4, 1)
    assert np.abs(found.mean[300:320] - 0.123).max() > 0.1 or np.abs(found.components[:, 300:320]).max() < 1e-3
