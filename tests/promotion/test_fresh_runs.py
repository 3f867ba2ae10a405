"""Further runs of the gate's sequence, computed by an engine of one line."""

from pathlib import Path

import numpy as np
import pytest
from line_engine import LineEngine
from seams import LINEAR, TEFF, VSINI, seam_contract
from synthetic import write_rows

from stellar_emulator.contract.contract import Contract, parse_contract, read_contract
from stellar_emulator.errors import InputError
from stellar_emulator.gate.coverage import coverage
from stellar_emulator.grid import sampling
from stellar_emulator.grid.engines.intrinsic import IntrinsicSpectrum
from stellar_emulator.grid.engines.synspec.engine import Synspec
from stellar_emulator.grid.store import Rows
from stellar_emulator.promotion.fresh_runs import SEARCHED, chosen, fresh_runs
from stellar_emulator.promotion.gate_set import judged_spectra

CALCIUM = "{name: ca_m, symbol: Ca, unit: dex, lower: -0.5, upper: 0.5, kind: run, role: element, accuracy: false}"
INSTRUMENT = "instrument: {resolution: 11500.0, sharpest: 14500.0}"
IN_AIR = seam_contract(TEFF, CALCIUM, VSINI, axis=LINEAR, more=INSTRUMENT)
CONTRACT = parse_contract(IN_AIR.source.replace("medium: air}\nsampling", "medium: vacuum}\nsampling"))
SEED = CONTRACT.sampling.gate_seed
OWN = sampling.run_labels(CONTRACT, SEED, 0, 60)


def gate_rows() -> Rows:
    labels = np.column_stack([OWN, np.full(len(OWN), 10.0)])
    weight = np.ones(len(OWN))
    flux = np.linspace(0.5, 1.0, len(OWN) * CONTRACT.wavelength.count).reshape(len(OWN), -1).astype(np.float32)
    return Rows(np.arange(len(OWN)), labels, weight, flux)


def test_runs_in_empty_cells_come_first_and_all_follow_from_the_sequence() -> None:
    holed = OWN[OWN[:, 0] < 6000.0]
    numbers = chosen(CONTRACT, holed, 60, 20)
    np.testing.assert_array_equal(numbers, chosen(CONTRACT, holed, 60, 20))
    assert (np.diff(numbers) > 0).all()
    assert numbers.min() >= 60
    labels = sampling.run_labels(CONTRACT, SEED, 60, SEARCHED)[numbers - 60]
    assert coverage(CONTRACT, holed).holds(CONTRACT, labels).all()
    with pytest.raises(InputError, match=f"at most {SEARCHED} at once, got {SEARCHED + 1}"):
        chosen(CONTRACT, OWN, 60, SEARCHED + 1)


def test_they_are_computed_as_the_contract_says_with_its_line_data_and_departures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stars, asked = read_contract("rvs_stars"), []

    def featureless(engine: Synspec, contract: Contract, labels: np.ndarray) -> list[IntrinsicSpectrum]:
        asked.append(engine.line_data.name)
        bins = len(contract.intrinsic.wavelength)
        return [IntrinsicSpectrum(np.ones(bins), limb_darkening=0.6) for _ in labels]

    monkeypatch.setattr("stellar_emulator.promotion.fresh_runs.compute_runs", featureless)
    own = sampling.run_labels(stars, stars.sampling.gate_seed, 0, 60)
    labels = np.column_stack([own, np.full(60, 10.0), np.full(60, 11500.0)])
    flux = np.ones((60, stars.wavelength.count), dtype=np.float32)
    grid = write_rows(tmp_path / "gate.parquet", Rows(np.arange(60), labels, np.ones(60), flux), stars)
    found = fresh_runs(stars, grid, 0, 2)
    assert asked == ["calibrated"]
    calcium = np.abs(stars.wavelength.pixels - 8542.09) < 1.0
    assert found.flux[:, calcium].min() < 0.9
    assert found.flux[:, np.abs(stars.wavelength.pixels - 8600.0) < 10.0].min() > 0.999


def test_fresh_runs_are_computed_broadened_and_judged_after_the_gate_sets_own(tmp_path: Path) -> None:
    grid, engine = write_rows(tmp_path / "gate.parquet", gate_rows(), CONTRACT), LineEngine(darkening=0.6)
    found = fresh_runs(CONTRACT, grid, 1, 3, engine)
    numbers = np.unique(found.run_id)
    assert len(numbers) == 3
    assert numbers.min() >= len(OWN) + SEARCHED
    assert len(found.run_id) == 3 * CONTRACT.sampling.realisations
    wanted = sampling.run_labels(CONTRACT, SEED, 0, int(numbers.max()) + 1)[found.run_id]
    np.testing.assert_array_equal(found.labels[:, :2], wanted)
    assert found.flux.min() < 0.95
    spectra = judged_spectra(grid, SEED, found)
    np.testing.assert_array_equal(spectra.run_id, [*grid.run_id, *found.run_id])
    assert spectra.flux.shape == (69, CONTRACT.wavelength.count)
    np.testing.assert_array_equal(spectra.flux[50:66], np.concatenate([gate_rows().flux[50:], found.flux[:6]]))
    np.testing.assert_array_equal(spectra.flux[62:69], found.flux[2:])
    np.testing.assert_array_equal(spectra.flux[3:7], gate_rows().flux[3:7])


def test_a_run_that_fails_is_left_out_and_none_left_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = write_rows(tmp_path / "gate.parquet", gate_rows(), CONTRACT)
    with pytest.raises(InputError, match="none of the 2 fresh runs succeeded: too hot for line"):
        fresh_runs(CONTRACT, grid, 0, 2, LineEngine(darkening=0.6, fails_above=0.0))
    assert "is left out: too hot for line" in capsys.readouterr().err
