"""Several exposures in one file are one star: one fit with a velocity each, unless they are to be fitted apart."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table

from stars import ARCHIVE, pair_folder, pair_of, star
from stellar_emulator.cli import main
from stellar_emulator.contract.axis import SPEED_OF_LIGHT

VELOCITIES = (-30.0, 25.0, 60.0)
PIXELS, STEP, START = 2000, 6e-6, float(np.log10(8462.0))

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*words: str | Path) -> tuple[int, str, str]:
        code = main(["fit", *map(str, words), "--model", str(pair_folder(ARCHIVE)), "--workers", "1"])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def flux_of(velocity: float, seed: int) -> np.ndarray:
    axis = 10.0 ** (START + STEP * np.arange(PIXELS)) / (1.0 + velocity / SPEED_OF_LIGHT)
    made = pair_of(ARCHIVE).emulator.flux(star(ARCHIVE))[0].astype(float)
    flux = 300.0 * np.interp(axis, ARCHIVE.wavelength.pixels, made)
    return flux + 3.0 * np.random.default_rng(seed).standard_normal(PIXELS)


@pytest.fixture
def visits(tmp_path: Path) -> Path:
    """apStar: two combinations, then the visits, as APOGEE's files are laid out; the last visit holds nothing."""
    own = [flux_of(velocity, seed) for seed, velocity in enumerate(VELOCITIES)]
    flux = np.stack([np.mean(own, axis=0)] * 2 + [*own, np.zeros(PIXELS)])
    axis = {"CRVAL1": START, "CDELT1": STEP, "CRPIX1": 1, "CTYPE1": "LOG-LINEAR"}
    units = "(10^-17 erg/s/cm^2/Ang)"

    def hdu(values: np.ndarray, unit: str) -> fits.ImageHDU:
        made = fits.ImageHDU(values)
        made.header.update({**axis, "BUNIT": unit})
        return made

    path = tmp_path / "apStar-2M0.fits"
    error = np.where(flux == 0.0, 1e10, 3.0)
    fits.HDUList(
        [
            fits.PrimaryHDU(),
            hdu(flux, f"Flux {units}"),
            hdu(error, f"Error {units}"),
            hdu(np.zeros(flux.shape, np.int16), "Flag Mask (bitwise)"),
        ]
    ).writeto(path)
    return path


# Astropy, of texts in Parquet files that others than itself wrote.
@pytest.mark.filterwarnings("ignore:No table..len..:astropy.utils.exceptions.AstropyUserWarning")
@pytest.mark.parametrize("suffix", [".csv", ".fits", ".parquet"])
def test_exposures_are_one_fit_with_a_velocity_each(suffix: str, visits: Path, command: Command) -> None:
    output = visits.with_name(f"labels{suffix}")
    code, out, err = command(visits, "--select", "exposure=all", "--output", output)
    assert code == 0, err
    (row,) = Table.read(output)
    assert row["name"] == str(visits)
    assert row["epochs"] == 3
    np.testing.assert_allclose(list(map(float, row["epoch_velocity"].split()[:3])), VELOCITIES, atol=2.0)
    assert row["epoch_name"].split() == ["visit_1", "visit_2", "visit_3", "unusable"]
    assert row["velocity_p_value"] < 1e-3
    for name, true in zip(ARCHIVE.label_names, star(ARCHIVE)[0], strict=True):
        assert abs(row[name] - true) < 4.0 * row[f"{name}_error"]
    assert "3 exposures in one fit, a velocity each; the first: APOGEE apStar; row 2; exposure visit 1" in out
    assert "warning: the velocity varies between the exposures" in out
    assert "1 of 4 exposures can't be used" in out
    assert "km/s (each: " in out


def test_exposures_that_are_fitted_apart_have_a_row_each(visits: Path, command: Command) -> None:
    output = visits.with_name("labels.csv")
    code, _, err = command(visits, "--select", "exposure=all", "--epochs", "apart", "--output", output)
    assert code == 1  # the visit that holds nothing
    table = Table.read(output)
    assert len(table) == 4
    assert "epochs" not in table.colnames
    np.testing.assert_allclose([float(one) for one in table["radial_velocity"][:3]], VELOCITIES, atol=2.0)
    assert "1 of 4 spectra could not be used" in err


def test_all_spectra_of_a_file_can_be_one_stars(tmp_path: Path, command: Command) -> None:
    path, output = tmp_path / "night.npz", tmp_path / "labels.ecsv"
    axis = 10.0 ** (START + STEP * np.arange(PIXELS))
    flux = np.stack([flux_of(velocity, seed) for seed, velocity in enumerate(VELOCITIES)])
    np.savez(path, wavelength=axis, flux=flux, flux_error=np.full(flux.shape, 3.0))
    code, _, err = command(path, "--epochs", "file", "--medium", "vacuum", "--output", output)
    assert code == 0, err
    (row,) = Table.read(output)
    np.testing.assert_allclose(list(map(float, row["epoch_velocity"].split())), VELOCITIES, atol=2.0)
    assert command(path, "--medium", "vacuum", "--output", output)[0] == 0
    assert len(Table.read(output)) == 3


@pytest.mark.parametrize("suffix", [".parquet", ".ecsv"])
def test_stars_and_spectra_that_were_fitted_alone_stand_in_one_table(
    suffix: str, tmp_path: Path, command: Command
) -> None:
    night, single, output = tmp_path / "night.npz", tmp_path / "single.csv", tmp_path / f"labels{suffix}"
    axis = 10.0 ** (START + STEP * np.arange(PIXELS))
    flux = np.stack([flux_of(velocity, seed) for seed, velocity in enumerate(VELOCITIES)])
    np.savez(night, wavelength=axis, flux=flux, flux_error=np.full(flux.shape, 3.0))
    Table([axis, flux_of(10.0, 9), np.full(PIXELS, 3.0)], names=["wavelength", "flux", "flux_error"]).write(single)
    code, _, err = command(night, single, "--epochs", "file", "--medium", "vacuum", "--output", output)
    assert code == 0, err
    read = pq.read_table(output).to_pylist() if suffix == ".parquet" else list(Table.read(output))
    star, alone = read
    assert [star["epochs"], alone["epochs"]] == [len(VELOCITIES), 1]
    np.testing.assert_allclose(list(map(float, star["epoch_velocity"].split())), VELOCITIES, atol=2.0)
    assert str(alone["epoch_velocity"]) in ("", "--")
    assert abs(alone["radial_velocity"] - 10.0) < 2.0


def test_a_survey_of_such_files_has_a_row_a_file(visits: Path, command: Command) -> None:
    single, output = visits.with_name("single.csv"), visits.with_name("survey")
    axis = 10.0 ** (START + STEP * np.arange(PIXELS))
    Table([axis, flux_of(10.0, 9), np.full(PIXELS, 3.0)], names=["wavelength", "flux", "flux_error"]).write(single)
    code, _, err = command(visits, single, "--epochs", "file", "--medium", "vacuum", "--output", output)
    assert code == 0, err
    found = pq.read_table(output).to_pylist()
    assert [Path(row["file"]).name for row in found] == [visits.name, single.name]
    assert [row["epochs"] for row in found] == [1, 1]  # the combination alone, since nothing else is selected
    again = visits.with_name("again")
    code, _, err = command(visits, "--select", "exposure=all", "--output", again)
    assert code == 0, err
    (row,) = pq.read_table(again).to_pylist()
    assert row["epochs"] == 3
    assert row["epoch_file_exposure"][:3] == ["visit 1", "visit 2", "visit 3"]
    np.testing.assert_allclose(row["epoch_velocity"][:3], VELOCITIES, atol=2.0)


@pytest.mark.parametrize("words", [["--radial_velocity", "0"], ["--stretch", "fit"]])
def test_what_exposures_cannot_have_together_is_refused(words: list[str], visits: Path, command: Command) -> None:
    code, _, err = command(visits, "--select", "exposure=all", *words, "--output", visits.with_name("labels.csv"))
    assert code == 2
    assert "let --epochs apart fit each" in err
