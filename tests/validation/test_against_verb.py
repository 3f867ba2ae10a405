"""The verb ``validate`` with ``--against``: what it prints, what it writes, and which references it refuses."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from synthetic import GAIA, ROOT, in_batches
from workplace import working_in

from stellar_emulator.cli.command import main
from stellar_emulator.grid.expand import expanded
from stellar_emulator.grid.shards import read_intrinsic_grid
from stellar_emulator.grid.source import embedded_folder
from stellar_emulator.grid.store import Rows, write_grid

RUNS = 64


def write(path: Path, tilt: float) -> None:
    """Good spectra whose continua fall by a share over the range."""
    runs = read_intrinsic_grid(embedded_folder(GAIA, "gate"), GAIA).take(np.arange(RUNS))
    (rows,) = expanded(GAIA, runs, 5, 8)
    flux = rows.flux * (1.0 - tilt * np.linspace(0.0, 1.0, GAIA.wavelength.count)).astype(np.float32)
    tilted = Rows(rows.run_id, rows.labels, rows.weight, flux.astype(np.float32))
    axis = GAIA.wavelength
    write_grid(path, GAIA, in_batches(tilted, 64), axis.pixels, axis.medium, {"made_by": "a test"})


@pytest.mark.parametrize("tilt", [0.0, 3e-3])
def test_it_warns_of_a_tilt_and_refuses_nothing(
    tmp_path: Path, tilt: float, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "grid.parquet", tilt)
    with working_in(tmp_path, f"sqlite:///{tmp_path}/store.db"):
        code = main(["validate", "--grid", "grid.parquet", "--against", "gaia_rvs", "--output", "out"])
    said = capsys.readouterr().out
    assert code == 0
    verdict = json.loads((tmp_path / "out" / "verdict.json").read_text())
    page = (tmp_path / "out" / "data_docs" / "index.html").read_text()
    warned = tilt > 0
    assert verdict["passed"] is True
    assert ("warning: flux at 8780.0 to 8799.9 Angstrom departs from gaia_rvs" in said) == warned
    assert bool(verdict["warnings"]) == warned
    assert ('<h2 id="warnings">' in page) == warned
    table = pq.read_table(tmp_path / "out" / "departures.parquet").to_pandas()
    assert set(table["label"]) == set(GAIA.label_names)
    assert (np.abs(table["mean"]).max() > 1e-3) == warned


@pytest.mark.parametrize(
    ("contract", "reference", "message"),
    [
        ("gaia_rvs", "nobody", "nobody is no model's folder"),
        (str(ROOT / "tests" / "data" / "tiny_contract.yaml"), "gaia_rvs", "of the reference has a label logg"),
    ],
)
def test_a_reference_that_can_t_serve_is_refused_before_anything_is_written(
    tmp_path: Path, contract: str, reference: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with working_in(tmp_path, f"sqlite:///{tmp_path}/store.db"):
        code = main(["validate", "--contract", contract, "--against", reference, "--output", "out"])
    assert code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
