"""The embedded grid is what it says: sound shards, disjoint sequences, and spectra that SYNSPEC gives again."""

import shutil
from typing import Any

import numpy as np
import pytest

from stellar_emulator.contract.contract import Contract, read_contract
from stellar_emulator.grid import sampling
from stellar_emulator.grid.corrections import seen
from stellar_emulator.grid.departures.departures import depart
from stellar_emulator.grid.engines.base import synthesised
from stellar_emulator.grid.engines.runs import synthesize_runs
from stellar_emulator.grid.engines.synspec.engine import SYNSPEC, synspec_for
from stellar_emulator.grid.reduced import sharpest_view
from stellar_emulator.grid.shards import read_intrinsic_grid, read_provenance, write_provenance
from stellar_emulator.grid.source import embedded_folder

LARGEST_FILE, LARGEST_TOTAL = 25e6, 95e6


@pytest.fixture(scope="module")
def contract() -> Contract:
    return read_contract("gaia_rvs")


@pytest.mark.synspec
@pytest.mark.skipif(shutil.which("gfortran") is None, reason="gfortran is not installed")
@pytest.mark.parametrize("number", [7, 700, 9000])
def test_synspec_gives_an_embedded_run_again(contract, number):
    grid = read_intrinsic_grid(embedded_folder(contract), contract)
    again = synthesised(SYNSPEC, contract, grid.labels[number])
    assert np.abs(again.flux - grid.flux[number]).max() < 1e-3
    assert again.limb_darkening == pytest.approx(grid.limb_darkening[number], abs=1e-3)
    np.testing.assert_allclose(again.continuum, grid.continuum[number], rtol=1e-4)


@pytest.mark.synspec
@pytest.mark.skipif(shutil.which("gfortran") is None, reason="gfortran is not installed")
@pytest.mark.parametrize("number", [7, 1700])
def test_synspec_gives_the_broadened_flux_of_a_compact_run_again(number):
    stars = read_contract("rvs_stars")
    grid = read_intrinsic_grid(embedded_folder(stars), stars)
    again = synthesised(synspec_for(stars), stars, grid.labels[number])
    flux = again.flux[np.newaxis].copy()
    depart(stars, grid.labels[[number]], flux)
    assert 0.0 < np.abs(seen((flux[0] - grid.flux[number])[np.newaxis], sharpest_view(stars))).max() < 1e-3
    np.testing.assert_allclose(again.continuum, grid.continuum[number], rtol=1e-4)


def test_labels_are_those_of_the_contracts_sequence(contract):
    grid = read_intrinsic_grid(embedded_folder(contract), contract)
    drawn = sampling.run_labels(contract, contract.sampling.seed, 0, int(grid.run_id[-1]) + 1)
    np.testing.assert_array_equal(grid.labels, drawn[grid.run_id])
    assert len(grid.run_id) >= 4096


@pytest.mark.parametrize("sequence", ["seed", "gate"])
def test_an_embedded_grid_can_be_extended(contract, sequence, tmp_path):
    """Its provenance agrees with all that decides a spectrum today: a copy of the folder takes further runs."""
    kept: dict[str, Any] = read_provenance(embedded_folder(contract, sequence))
    write_provenance(tmp_path, kept)
    found = synthesize_runs(contract, kept["seed"], 1, tmp_path)
    assert (found.runs, found.computed) == (kept["runs"], 0)


def test_files_are_small_enough_to_live_in_the_repository(contract):
    files = list(embedded_folder(contract).parent.rglob("*.parquet"))
    sizes = [file.stat().st_size for file in files]
    assert files
    assert max(sizes) < LARGEST_FILE
    assert sum(sizes) < LARGEST_TOTAL


def test_gate_runs_are_no_seed_runs(contract):
    gate = embedded_folder(contract, "gate")
    if not gate.is_dir():
        pytest.skip("the gate set is not in this checkout")
    seed = read_intrinsic_grid(embedded_folder(contract), contract)
    judged = read_intrinsic_grid(gate, contract)
    assert not set(sampling.run_hash(seed.labels)) & set(sampling.run_hash(judged.labels))
