"""The seam between grids and engines: another code, other labels, another medium, and what it does not know."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from line_engine import LineEngine
from seams import INSTRUMENT, LOGG, MACRO, TEFF, VSINI, seam_contract, seam_runs
from synthetic import GAIA, SMALL

from stellar_emulator.contract.contract import Contract, parse_contract, read_contract
from stellar_emulator.errors import InputError
from stellar_emulator.grid import shards
from stellar_emulator.grid.engines.base import RunFailedError, require_served, synthesised
from stellar_emulator.grid.engines.intrinsic import OPTIONAL, IntrinsicSpectrum
from stellar_emulator.grid.engines.journal import FailedRun, Journal
from stellar_emulator.grid.engines.runs import compute_run, synthesize_runs
from stellar_emulator.grid.engines.synspec import run as synspec
from stellar_emulator.grid.engines.synspec.engine import SYNSPEC, synspec_for
from stellar_emulator.grid.expand import expanded, limb_darkening

CALCIUM = "{name: ca_m, symbol: Ca, unit: dex, lower: -0.5, upper: 0.5, kind: run, role: element, accuracy: false}"


def vacuum(contract: Contract, more: str = "") -> Contract:
    text = contract.source.replace("medium: air}\nsampling", "medium: vacuum}\nsampling") + more
    return parse_contract(text)


CALCIUM_CONTRACT = vacuum(seam_contract(TEFF, CALCIUM, VSINI, more=INSTRUMENT))


def test_another_engine_fills_shards_and_is_named(tmp_path: Path) -> None:
    contract, engine = CALCIUM_CONTRACT, LineEngine(fails_above=6900.0)
    done = synthesize_runs(contract, 3, 40, tmp_path, workers=1, engine=engine)
    assert done.computed == 40
    assert done.failed
    assert all(run.reason == "too hot for line" for run in done.failed.values())
    provenance: dict[str, Any] = shards.read_provenance(tmp_path)
    assert provenance["engine"] == "line"
    assert provenance["line"] == "Ca II 8544"
    assert provenance["known_limits"] == ["It is one line."]
    assert provenance["syntheses"][0]["computer"] == "any"
    grid = shards.read_intrinsic_grid(tmp_path, contract)
    assert grid.known == ()
    assert grid.labels.shape == (40 - len(done.failed), 2)
    with pytest.raises(InputError, match="holds a grid with engine line, now asked for is other"):
        synthesize_runs(contract, 3, 41, tmp_path, workers=1, engine=LineEngine(name="other"))
    again = synthesize_runs(contract, 3, 44, tmp_path, workers=1, engine=engine)
    assert again.computed == 4


def test_what_an_engine_does_not_serve_is_named() -> None:
    with pytest.raises(
        InputError,
        match=r"seam can't be synthesised with synspec: it needs .* vmicro, and no other than alpha_m .got teff",
    ):
        require_served(SYNSPEC, seam_contract(TEFF))
    with pytest.raises(InputError, match=r"needs an intrinsic axis in vacuum \(got air\) and the run labels teff"):
        require_served(LineEngine(), seam_contract(TEFF))
    with pytest.raises(InputError, match="label ca_m is of an element that it does not vary; those are none"):
        require_served(LineEngine(elements=frozenset()), CALCIUM_CONTRACT)
    with pytest.raises(InputError, match="it has no intrinsic axis; give it the field intrinsic"):
        require_served(SYNSPEC, GAIA.model_copy(update={"intrinsic": None}))
    with pytest.raises(InputError, match="label calcium: role element wants the symbol and _m for its name"):
        seam_contract(TEFF, CALCIUM.replace("ca_m", "calcium"))


def test_synspec_takes_abundances_of_single_elements() -> None:
    lines = synspec._control(synspec.Stellar(5777.0, 4.44, 0.1, 1.0, elements={"ca": 0.3, "n": -0.2})).splitlines()
    plain = synspec._control(synspec.Stellar(5777.0, 4.44, 0.1, 1.0)).splitlines()
    changed = [number for number, pair in enumerate(zip(plain, lines, strict=True)) if pair[0] != pair[1]]
    ratios = {number - 5: float(lines[number].split()[1]) / float(plain[number].split()[1]) for number in changed}
    assert {synspec.SYMBOLS[place] for place in ratios} == {"ca", "n"}
    assert ratios[synspec.SYMBOLS.index("ca")] == pytest.approx(10.0**0.3, rel=1e-5)
    enhanced = synspec.Stellar(5777.0, 4.44, 0.1, 1.0, alpha_m=0.4, elements={"ca": 0.1, "n": 0.2})
    assert enhanced.ratios == {**dict.fromkeys(synspec.ALPHA_ELEMENTS, 0.4), "ca": 0.1, "n": 0.2}
    assert len(synspec.SYMBOLS) == 99
    assert "fe" in SYNSPEC.elements
    assert "h" not in SYNSPEC.elements


def test_a_spectrum_of_another_length_or_not_finite_is_a_failed_run() -> None:
    class Short(LineEngine):
        def synthesise(self, axis, labels):
            return IntrinsicSpectrum(np.ones(3))

    class Broken(LineEngine):
        def synthesise(self, axis, labels):
            return IntrinsicSpectrum(np.full(len(axis.wavelength), np.nan))

    with pytest.raises(RunFailedError, match=r"line gave \(3,\) for"):
        synthesised(Short(), CALCIUM_CONTRACT, np.array([5000.0, 0.0]))
    failed = compute_run(Broken(), CALCIUM_CONTRACT, np.array([5000.0, 0.0]))
    assert isinstance(failed, FailedRun)
    assert failed.reason == "flux or continuum is not finite"


@pytest.mark.parametrize("absent", ["continuum", "limb_darkening", "atmosphere_distance"])
def test_what_is_unknown_is_no_column(absent: str, tmp_path: Path) -> None:
    whole = seam_runs(SMALL, 4)
    known = {name: None if name == absent else getattr(whole, name) for name in OPTIONAL}
    part = shards.IntrinsicGrid(whole.run_id, whole.labels, whole.flux, **known)
    shards.write_shard(tmp_path / "a.parquet", SMALL, 7, part)
    read = shards.read_shard(tmp_path / "a.parquet", SMALL)
    assert getattr(read, absent) is None
    assert read.known == part.known
    np.testing.assert_array_equal(read.take(np.array([1])).flux, read.flux[[1]])
    digests = {
        shards.shard_name(number): shards.write_shard(tmp_path / shards.shard_name(number), SMALL, 7, one)
        for number, one in enumerate((part, whole))
    }
    shards.write_provenance(tmp_path, {"shards": digests})
    with pytest.raises(InputError, match=r"shard-00001.parquet has the columns .*: all shards of a grid have the same"):
        shards.read_intrinsic_grid(tmp_path, SMALL)


def test_some_runs_with_and_some_without_are_refused() -> None:
    spectra = [IntrinsicSpectrum(np.ones(3), limb_darkening=value) for value in (0.5, None)]
    with pytest.raises(InputError, match="run 8 has no limb_darkening, run 7 has"):
        shards.stacked([7, 8], np.zeros((2, 1)), spectra)


TABLE = "limb_darkening: {label: teff, at: [4000.0, 7000.0], values: [0.8, 0.4]}"


def test_the_contract_gives_limb_darkening_where_spectra_have_none() -> None:
    contract = seam_contract(TEFF, LOGG, VSINI, more=INSTRUMENT)
    runs = seam_runs(contract, 6)
    without = shards.IntrinsicGrid(runs.run_id, runs.labels, runs.flux)
    constant = seam_contract(TEFF, LOGG, VSINI, more=INSTRUMENT + "\nlimb_darkening: {value: 0.6}")
    table = seam_contract(TEFF, LOGG, VSINI, more=f"{INSTRUMENT}\n{TABLE}")
    np.testing.assert_array_equal(limb_darkening(constant, runs), runs.limb_darkening)
    np.testing.assert_array_equal(limb_darkening(constant, without), 0.6)
    np.testing.assert_allclose(limb_darkening(table, without), 0.8 - 0.4 * (runs.labels[:, 0] - 4000.0) / 3000.0)
    with pytest.raises(InputError, match="contract seam broadens by vsini, which takes limb darkening, and these"):
        limb_darkening(contract, without)
    np.testing.assert_array_equal(limb_darkening(seam_contract(TEFF, LOGG, more=INSTRUMENT), without), 0.0)
    own, fixed = (np.concatenate([rows.flux for rows in expanded(constant, one, 1, 2)]) for one in (runs, without))
    assert np.abs(own - fixed).max() > 1e-4


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{value: 1.5}", r"limb_darkening\.value: .*less than or equal to 1"),
        ("{}", "limb_darkening: give value, or label, at and values"),
        ("{value: 0.5, label: teff, at: [1.0, 2.0], values: [0.1, 0.2]}", "give value, or label, at and values"),
        ("{label: teff, at: [1.0, 2.0]}", "give value, or label, at and values"),
        ("{label: teff, at: [1.0, 2.0], values: [0.1]}", "must be equally many, two or more, got 2 and 1"),
        ("{label: teff, at: [2.0, 1.0], values: [0.1, 0.2]}", r"at must ascend, got \[2.0, 1.0\]"),
        ("{label: vmacro, at: [1.0, 2.0], values: [0.1, 0.2]}", "limb_darkening: vmacro is no label of kind run"),
    ],
)
def test_a_misuse_of_limb_darkening_is_named(given: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        seam_contract(TEFF, MACRO, more=f"{INSTRUMENT}\nlimb_darkening: {given}")


def test_contracts_of_before_are_dumped_as_before() -> None:
    assert "limb_darkening" not in GAIA.model_dump()


def test_a_journal_of_before_is_read(tmp_path: Path) -> None:
    """A synthesis that an older version left unfinished goes on."""
    scalars = np.array([0.5, 0.1])
    np.savez(tmp_path / "0000003.npz", labels=[5000.0], flux=np.ones(4), continuum=np.ones(32), scalars=scalars)
    labels, spectrum = Journal(tmp_path).read(3)
    assert labels.tolist() == [5000.0]
    assert (spectrum.limb_darkening, spectrum.atmosphere_distance) == (0.5, 0.1)
    assert spectrum.continuum is not None
    Journal(tmp_path).record(4, labels, IntrinsicSpectrum(np.ones(4)))
    assert Journal(tmp_path).read(4)[1].continuum is None


def test_the_contract_names_its_line_data() -> None:
    stars = read_contract("rvs_stars")
    assert synspec_for(stars).line_data.name == "calibrated"
    assert synspec_for(stars, "published").line_data == SYNSPEC.line_data
    assert synspec_for(GAIA) == SYNSPEC
    assert "line_data" not in GAIA.model_dump()
    assert "line_data" not in SYNSPEC.provenance()
    told = synspec_for(stars).provenance()
    assert set(told["line_data"]) == {"name", "sha256", "changed_lines", "weakest_molecules"}
    require_served(synspec_for(stars), stars)
    limits = synspec_for(stars).known_limits
    assert not any("[alpha/M] = 0" in limit for limit in limits)
    assert len(limits) == len(SYNSPEC.known_limits)
    with pytest.raises(InputError, match="line_data: Input should be 'published' or 'calibrated'"):
        parse_contract(stars.source.replace("line_data: calibrated", "line_data: best"))


def element(name: str) -> str:
    return CALCIUM.replace("ca_m", name)


def further(*names: str) -> list[str]:
    template = "{{name: {}, symbol: x, unit: dex, lower: -1.0, upper: 4.0, kind: run, accuracy: false}}"
    return [template.format(name) for name in names]


@pytest.mark.synspec
@pytest.mark.skipif(shutil.which("gfortran") is None, reason="gfortran is not installed")
def test_each_further_element_is_one_line_of_the_contract() -> None:
    labels = [TEFF, LOGG, *further("m_h", "vmicro", "alpha_m"), element("n_m"), element("ca_m"), element("ti_m")]
    contract = seam_contract(*labels)
    plain = np.array([4500.0, 3.0, 0.0, 1.2, 0.0, 0.0, 0.0, 0.0])
    changed = {name: plain + step * np.eye(8)[place] for place, (name, step) in enumerate(STEPS.items(), start=4)}
    base = synthesised(SYNSPEC, contract, plain).flux
    moved = {name: synthesised(SYNSPEC, contract, labels).flux - base for name, labels in changed.items()}
    assert contract.intrinsic is not None
    wavelength = contract.intrinsic.wavelength
    titanium, calcium = np.abs(wavelength - 8548.09) < 0.2, np.abs(wavelength - 8541.0) < 0.2
    assert (moved["ti_m"][titanium].min(), moved["ca_m"][calcium].mean()) < (-0.03, -0.03)
    assert np.abs(moved["ti_m"][calcium]).max() < 0.002
    # CN lies everywhere, a little of it.
    assert moved["n_m"].mean() < -0.002
    # Alone, elements given by themselves leave [alpha/M] what the structure and the others make of it.
    assert np.abs(moved["alpha_m"]).max() > 0.003
    free = synthesised(SYNSPEC, seam_contract(*labels[:5]), np.array([4500.0, 3.0, 0.0, 1.2, 0.3])).flux - base
    assert free[titanium].min() < moved["alpha_m"][titanium].min() - 0.02


STEPS = {"alpha_m": 0.3, "n_m": 0.5, "ca_m": 0.3, "ti_m": 0.3}


@pytest.mark.synspec
@pytest.mark.skipif(shutil.which("gfortran") is None, reason="gfortran is not installed")
def test_calcium_alone_deepens_its_lines() -> None:
    contract = seam_contract(TEFF, LOGG, *further("m_h", "vmicro"), CALCIUM)
    plain, more = (synthesised(SYNSPEC, contract, np.array([5777.0, 4.44, 0.0, 1.0, ca])) for ca in (0.0, 0.4))
    assert contract.intrinsic is not None
    wing = np.abs(np.abs(contract.intrinsic.wavelength - 8542.09) - 1.0) < 0.2
    assert (more.flux[wing] < plain.flux[wing] - 0.02).all()
    far = contract.intrinsic.wavelength > 8560.0
    assert np.abs(more.flux[far] - plain.flux[far]).mean() < 0.01
