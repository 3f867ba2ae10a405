"""Observed spectra that cover too little of the default pair's range: a pair of the same networks reads them."""

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from stellar_emulator import Emulator
from stellar_emulator.cli import main

SUN = {"teff": 5777.0, "logg": 4.44, "vsini": 12.0, "m_h": 0.0, "vmicro": 1.0}


def written(path: Path, emulator: Emulator, flux: np.ndarray) -> Path:
    noise = np.random.default_rng(1).normal(0.0, 0.005, flux.shape)
    columns = [emulator.contract.wavelength.pixels / 10.0, flux + noise, np.full(len(flux), 0.005)]
    Table(columns, names=["wavelength", "flux", "flux_error"]).write(path)
    return path


def test_a_spectrum_of_gaia_s_archive_is_read_by_the_archive_s_pair(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = Emulator.load("gaia_dr3_rvs")
    seen = written(tmp_path / "RVS.csv", archive, archive(**SUN))
    output = tmp_path / "labels.csv"
    assert main(["infer", str(seen), "--medium", "vacuum", "--unit", "nm", "--output", str(output)]) == 0
    told = capsys.readouterr()
    assert "taking gaia_dr3_rvs, the same networks on less" in told.err
    row = Table.read(output)[0]
    assert "resolution" not in row.colnames
    for name, true in SUN.items():
        assert abs(row[name] - true) < 4.0 * row[f"{name}_error"]


def test_one_that_covers_the_default_s_range_is_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wide = Emulator.load()
    seen = written(tmp_path / "star.csv", wide, wide(**SUN, resolution=11500.0))
    words = ["--medium", "air", "--unit", "nm", "--output", str(tmp_path / "labels.csv")]
    assert main(["infer", str(seen), *words]) == 0
    assert "taking" not in capsys.readouterr().err
