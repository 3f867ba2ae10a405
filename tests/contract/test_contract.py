"""Every rule of a data contract is enforced, and a broken one is named with its value in one line."""

import hashlib
import math
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from stellar_emulator.contract.contract import Contract, parse_contract, read_contract
from stellar_emulator.contract.medium import to_vacuum
from stellar_emulator.contract.roles import Kind
from stellar_emulator.errors import InputError

ROOT = Path(__file__).parents[2]
GAIA = ROOT / "data_contracts" / "gaia_rvs.yaml"
TINY = ROOT / "tests" / "data" / "tiny_contract.yaml"
TEXT = TINY.read_text()

AXIS = "wavelength: {start: 5000.0, step: 0.2, count: 777, unit: Angstrom, medium: vacuum}"
INTRINSIC = "intrinsic: {start: 4900.0, stop: 5200.0, velocity_step: 0.0, flux_per_count: 2.5e-4}\nsplit"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: tiny\n", "name: Tiny Stars\n", r"field name: .*\(got 'Tiny Stars'\)"),
        ("description: Three", "colour: blue\ndescription: Three", r"field colour: Extra inputs are not permitted"),
        ("models: {emulator: tiny-emulator, ", "models: {", r"field models\.emulator: Field required"),
        ("kind: broadening", "kind: guessed", r"field labels\.2\.kind: .*\(got 'guessed'\)"),
        (
            "accuracy: true}\n  - {name: m_h",
            "accuracy: dunno}\n  - {name: m_h",
            r"labels\.0\.accuracy: .*\(got 'dunno'\)",
        ),
        ("unit: K, ", "unit: K, units: K, ", r"field labels\.0\.units: Extra inputs"),
        ("name: m_h", "name: M/H", r"field labels\.1\.name: .*\(got 'M/H'\)"),
        ("name: m_h", "name: teff", r"labels: names must be unique, got teff, teff, vsini"),
        ("kind: run", "kind: broadening", r"labels: at least one must be of kind run"),
        ("step: 0.2", "step: 0.0", r"field wavelength\.step: .*greater than 0 \(got 0\.0\)"),
        ("step: 0.2", "step: -0.2", r"field wavelength\.step: .*\(got -0\.2\)"),
        ("count: 777", "count: 1", r"field wavelength\.count: .*greater than or equal to 2 \(got 1\)"),
        ("count: 777", "count: 77.5", r"field wavelength\.count: .*\(got 77\.5\)"),
        ("unit: Angstrom", "unit: nm", r"field wavelength\.unit: .*'Angstrom' \(got 'nm'\)"),
        ("medium: vacuum", "medium: water", r"field wavelength\.medium: .*\(got 'water'\)"),
        (AXIS, "wavelength: 5000", r"field wavelength: .*\(got 5000\)"),
        ("flux: {lower: 0.0, upper: 1.1}", "flux: {lower: 0.0}", r"field flux\.upper: Field required"),
        (
            "flux: {lower: 0.0, upper: 1.1}",
            "flux: {lower: 1.1, upper: 0.0}",
            r"flux: lower \(1\.1\) must be below upper",
        ),
        ("split", INTRINSIC, r"field intrinsic\.velocity_step: .*greater than 0 \(got 0\.0\)"),
        ("gate_seed: 4", "gate_seed: 3", r"sampling: seed and gate_seed must differ"),
        ("realisations: 4", "realisations: 0", r"field sampling\.realisations: .*\(got 0\)"),
        ("train: 0.8", "train: 0.9", r"split: train, validation and test must sum to 1"),
        ("train: 0.8, validation: 0.1", "train: 0.9, validation: 0.0", r"field split\.validation: .*\(got 0\.0\)"),
        ("  vsini: [0.0, 50.0, 100.0]", "  zeal: [0.0, 50.0, 100.0]", r"regions: zeal is no label of this contract"),
        ("hard: {teff", "hard: {logg", r"regions: logg is no label of this contract \(teff, m_h, vsini\)"),
        ("line_core_half_width: 1.0", "line_core_half_width: 0", r"line_core_half_width: .*\(got 0\)"),
        ("equivalent_width_half_width: 10.0", "equivalent_width_half_width: -1", r"half_width: .*\(got -1\)"),
        ("  vsini: [0.0, 50.0, 100.0]", "  vsini: 50.0", r"field regions\.vsini: .*list.*\(got 50\.0\)"),
        (
            "  vsini: [0.0, 50.0, 100.0]",
            "  vsini: [50.0, 0.0]",
            r"regions: edges of vsini must ascend, .*\[50\.0, 0\.0\]",
        ),
        ("  vsini: [0.0, 50.0, 100.0]", "  vsini: [50.0]", r"regions: edges of vsini must ascend, two or more"),
        (
            "split",
            INTRINSIC.replace("stop: 5200.0", "stop: 4800.0").replace("step: 0.0", "step: 1.0"),
            "intrinsic: start",
        ),
        ("sampling: {", "sampling: {seeds: 1, ", r"field sampling\.seeds: Extra inputs"),
        ("name: tiny\n", "name: tiny\n1: 2\n", r"should be strings"),
    ],
)
def test_a_broken_rule_is_named_with_its_value(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(InputError, match=message) as refused:
        parse_contract(TEXT.replace(old, new), "mine.yaml")
    assert str(refused.value).startswith("mine.yaml: ")
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name: [tiny", r"mine\.yaml is no valid YAML: "),
        (b"- teff\n- logg\n", r"mine\.yaml must hold a mapping of fields, got list"),
        (b"", r"mine\.yaml must hold a mapping of fields, got NoneType"),
        (b"\xff\xfe\x00", r"mine\.yaml can't be read"),
    ],
)
def test_a_file_that_is_no_contract_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "mine.yaml").write_bytes(content)
    with pytest.raises(InputError, match=message) as refused:
        read_contract(tmp_path / "mine.yaml")
    assert len(str(refused.value).splitlines()) == 1


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data contract .*nowhere\.yaml can't be read"):
        read_contract(tmp_path / "nowhere.yaml")
    with pytest.raises(InputError, match="can't be read"):
        read_contract(tmp_path)


def test_the_digest_is_that_of_the_file() -> None:
    contract = read_contract(TINY)
    assert contract.digest == hashlib.sha256(TINY.read_bytes()).hexdigest()
    assert contract.source == TEXT
    assert parse_contract(TEXT) == contract
    assert parse_contract(TEXT + "# another comment\n").digest != contract.digest


def test_a_file_cannot_state_its_own_digest() -> None:
    forged = parse_contract(f"digest: {'0' * 64}\nsource: mine\n{TEXT}")
    assert forged.digest != "0" * 64
    assert forged.source.startswith("digest: 000")


def test_gaia_contract_is_the_papers_box() -> None:
    contract = read_contract(GAIA)
    box = {label.name: (label.lower, label.upper) for label in contract.labels}
    assert box == {
        "teff": (3600.0, 15000.0),
        "logg": (2.0, 5.0),
        "vsini": (0.0, 300.0),
        "m_h": (-1.5, 1.5),
        "vmicro": (0.0, 4.0),
        "resolution": (5000.0, 14500.0),
    }
    assert len(contract.wavelength.pixels) == 4000
    assert contract.wavelength.pixels[[0, 1, -1]].tolist() == [8400.0, 8400.1, 8799.9]
    assert contract.wavelength.stop == 8799.9
    assert [label.name for label in contract.run_labels] == ["teff", "logg", "m_h", "vmicro"]
    assert [label.name for label in contract.broadening_labels] == ["vsini", "resolution"]
    assert "resolution" not in [label.name for label in contract.accuracy_labels]


@pytest.mark.parametrize(
    ("name", "whose"),
    [("gaia_dr3_rvs", "gaia_rvs"), ("gaia_dr3_rvs_stars", "rvs_stars"), ("gaia_dr4_rvs", "rvs_stars")],
)
def test_the_archive_s_contracts_differ_in_axis_and_instrument_alone(name: str, whose: str) -> None:
    ours, archive = read_contract(whose), read_contract(name)
    assert archive.labels == ours.labels[:-1]
    assert (archive.intrinsic, archive.sampling, archive.split) == (ours.intrinsic, ours.sampling, ours.split)
    assert (archive.hull, archive.line_data, archive.departures) == (ours.hull, ours.line_data, ours.departures)
    assert archive.embedded == ours.name
    assert archive.instrument is not None
    assert archive.instrument.sharpest == ours.labels[-1].upper
    assert archive.wavelength.pixels[[0, -1]].tolist() == [8460.0, 8700.0]
    assert set(archive.models.model_dump().values()).isdisjoint(ours.models.model_dump().values())
    for line, core in zip(archive.regions.line_cores, ours.regions.line_cores.values(), strict=False):
        assert archive.regions.line_cores[line] == pytest.approx(float(to_vacuum(core)), abs=0.011)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "resolution: 11500.0",
            "resolution: 15000.0",
            r"resolution \(15000\.0\) must not exceed sharpest \(14500\.0\)",
        ),
        ("name: vmicro", "name: resolution", r"instrument: resolution is a label of this contract already"),
    ],
)
def test_an_instrument_must_make_sense(old: str, new: str, message: str) -> None:
    text = GAIA.with_name("gaia_dr3_rvs.yaml").read_text()
    assert text.count(old) == 1
    with pytest.raises(InputError, match=message):
        parse_contract(text.replace(old, new))


def test_columns_find_labels_by_name_not_by_place() -> None:
    contract = read_contract(GAIA)
    assert contract.columns(contract.run_labels) == [0, 1, 3, 4]
    assert contract.columns(contract.broadening_labels) == [2, 5]
    assert contract.lower.tolist() == [3600.0, 2.0, 0.0, -1.5, 0.0, 5000.0]
    assert contract.upper.tolist() == [15000.0, 5.0, 300.0, 1.5, 4.0, 14500.0]
    assert {label.kind for label in contract.run_labels} == {Kind.RUN}


def test_intrinsic_axis_has_equal_steps_in_velocity_inside_its_bounds() -> None:
    axis = read_contract(GAIA).intrinsic
    assert axis is not None
    np.testing.assert_allclose(np.diff(np.log(axis.edges)) * 299792.458, axis.velocity_step, rtol=1e-6)
    assert axis.edges[0] == axis.start
    assert axis.stop - 0.05 < axis.edges[-1] <= axis.stop
    np.testing.assert_allclose(np.log(axis.wavelength), 0.5 * (np.log(axis.edges[1:]) + np.log(axis.edges[:-1])))
    # 300 km/s beyond both ends of the pixels.
    assert axis.start < 8400.0 * math.exp(-300.0 / 299792.458)
    assert axis.stop > 8799.9 * math.exp(300.0 / 299792.458)


def test_a_contract_cannot_be_changed() -> None:
    contract: Contract = read_contract(TINY)
    with pytest.raises(ValidationError, match="frozen"):
        contract.name = "other"


def test_an_intrinsic_axis_of_another_range_is_objected_to(tmp_path: Path) -> None:
    path = tmp_path / "copied.yaml"
    path.write_text(GAIA.read_text().replace("start: 8400.0", "start: 5000.0", 1))
    with pytest.raises(InputError, match=r"wavelength, 5000\.0 to 5399\.9 Angstrom in air, reaches beyond intrinsic"):
        read_contract(path)
