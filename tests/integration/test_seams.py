"""Contracts that no shipped one is like, from a grid to a registered pair by the command: labels, axis, errors."""

import json
from pathlib import Path

import numpy as np
import pytest
from fresh_store import fresh_store
from seams import INSTRUMENT, LOGARITHMIC, LOGG, MACRO, RESOLUTION, TEFF, VSINI, seam_contract, seam_runs
from synthetic import ROOT, write_runs
from workplace import ONE_JUDGE, Workplace

from stellar_emulator import Emulator, Validator
from stellar_emulator.contract.contract import Contract
from stellar_emulator.grid.expand import expanded
from stellar_emulator.grid.shards import IntrinsicGrid

SMOKE = (ROOT / "src" / "stellar_emulator" / "networks" / "presets" / "smoke.yaml").read_text()
CHANGED = {
    "batch_size: 128": "batch_size: 16",
    "epochs: 8, patience: 8": "epochs: 25, patience: 25",
    "[1, 2, 3]": "[1]",
}
for _old, _new in CHANGED.items():
    assert _old in SMOKE
    SMOKE = SMOKE.replace(_old, _new)
"""The smoke preset with enough steps for tens of runs, and one judge."""

BINS = "teff: [4000, 5500, 7000], "
CONTRACTS = {
    "macroturbulence": seam_contract(TEFF, LOGG, VSINI, MACRO, RESOLUTION, bins=BINS),
    "one label": seam_contract(TEFF, more=INSTRUMENT),
    "without vsini": seam_contract(TEFF, LOGG, RESOLUTION, bins=BINS + "logg: [3, 4, 5], resolution: [5000, 14500], "),
    "logarithmic axis": seam_contract(TEFF, VSINI, axis=LOGARITHMIC, bins=BINS, more=INSTRUMENT),
    "limb darkening by the contract": seam_contract(
        TEFF, LOGG, MACRO, more=f"{INSTRUMENT}\nlimb_darkening: {{value: 0.6}}"
    ),
}


def trained(folder: Path, contract: Contract, grid: Path, preset: str) -> tuple[Emulator, Validator]:
    """What the command leaves in a new folder, loaded."""
    place = Workplace(folder)
    fresh_store(folder)
    (folder / "contract.yaml").write_text(contract.source)
    (folder / "little.yaml").write_text(ONE_JUDGE)
    (folder / "smoke.yaml").write_text(SMOKE)
    ended = place.run(
        "train", "--contract", "contract.yaml", "--grid", grid, "--preset", preset, "--output", "output", "--seed", "1"
    )
    assert ended.code == 0, ended.err
    rows = json.loads((folder / "output" / "accuracy.json").read_text())["rows"]
    assert {row["label"] for row in rows} == set(contract.label_names)
    models = folder / "output" / "models"
    return Emulator.load(models / "emulator"), Validator.load(models / "validator")


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_contract_is_trained_from_runs_to_a_pair(name: str, tmp_path: Path) -> None:
    contract = CONTRACTS[name]
    runs = seam_runs(contract, 80)
    if contract.limb_darkening is not None:
        runs = IntrinsicGrid(runs.run_id, runs.labels, runs.flux, provenance=runs.provenance)
    emulator, validator = trained(tmp_path, contract, write_runs(tmp_path / "runs", runs, contract), "smoke.yaml")
    (rows,) = [next(iter(expanded(contract, runs, 1, 3)))]
    flux = emulator.flux(rows.labels)
    assert np.abs(flux - rows.flux).mean() < 0.5 * np.abs(rows.flux.mean(axis=0) - rows.flux).mean()
    assert emulator.jacobian(rows.labels[:2]).shape == (2, len(contract.labels), contract.wavelength.count)
    assert (emulator.error(rows.labels[:2]) > 0.0).all()
    assert validator.labels(rows.flux).shape == rows.labels.shape
    for role in ("vsini", "macroturbulence", "resolution"):
        if (place := contract.column_of(role)) is not None:
            ends = np.repeat(rows.labels[:1], 2, axis=0)
            ends[:, place] = contract.lower[place], contract.upper[place]
            assert np.ptp(emulator.flux(ends), axis=0).max() > 0.01, role


def test_a_grid_with_errors_is_trained_to_a_pair(tmp_path: Path) -> None:
    contract = seam_contract(TEFF, VSINI, bins=BINS, more=INSTRUMENT)
    (rows,) = [next(iter(expanded(contract, seam_runs(contract, 60), 1, 3)))]
    random = np.random.default_rng(1)
    errors = np.full(rows.flux.shape, 0.01)
    errors[::3, 40:50] = np.inf
    noise = np.where(np.isfinite(errors), errors, 0.0) * random.standard_normal(errors.shape)
    labels = dict(zip(contract.label_names, rows.labels.T, strict=True))
    axis = contract.wavelength
    path = tmp_path / "mine.npz"
    np.savez(path, flux=rows.flux + noise, flux_error=errors, wavelength=axis.pixels, medium=axis.medium, **labels)
    emulator, _ = trained(tmp_path, contract, path, "little.yaml")
    assert emulator.flux(rows.labels).shape == rows.flux.shape
