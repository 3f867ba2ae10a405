"""Imports of foreign grids: what becomes of the spectra, the drafted contract, faults, kills, merges."""

import json
from pathlib import Path
from typing import Any

import foreign
import numpy as np
import pytest

from stellar_emulator.broadening.broadening import contract_broadening
from stellar_emulator.contract.contract import Contract, read_contract
from stellar_emulator.errors import InputError
from stellar_emulator.grid.importing import importer, parts
from stellar_emulator.grid.importing.darkening import linear_of_claret, read_darkening
from stellar_emulator.grid.importing.importer import Imported, Wanted, import_grid
from stellar_emulator.grid.importing.merge import merge
from stellar_emulator.grid.importing.normalise import pseudo_continuum
from stellar_emulator.grid.nodes import hull_corners, node_weights
from stellar_emulator.grid.readers.foreign import Member
from stellar_emulator.grid.readers.names import label_source
from stellar_emulator.grid.shards import read_intrinsic_grid
from stellar_emulator.grid.source import open_source
from stellar_emulator.validation.check import check


def imported(source: Path, output: Path, **wanted: object) -> Imported:
    asked = {"labels": label_source(None), "darkening": read_darkening(None), **wanted}
    return import_grid([source], Wanted(**asked), output)  # type: ignore[arg-type]


def require_valid(made: Imported, folder: Path, scratch: Path) -> Contract:
    contract = read_contract(folder / "contract.yaml")
    assert contract == made.contract
    verdict = check(open_source(str(folder), contract, scratch).grid, contract).verdict
    assert verdict.passed, verdict.summary()
    return contract


def test_unbroadened_spectra_become_intrinsic_ones(tmp_path: Path) -> None:
    made = imported(foreign.turbospectrum(tmp_path / "t"), tmp_path / "out")
    contract = require_valid(made, tmp_path / "out", tmp_path)
    assert contract.label_names == ["teff", "logg", "vsini", "resolution"]
    assert contract.sampling.on_nodes
    assert contract.gate is None
    assert contract.limb_darkening is not None
    assert contract.limb_darkening.value == 0.6
    assert "m_h = 0 in all spectra: noted here, not a label" in made.notes
    grid = read_intrinsic_grid(tmp_path / "out" / "intrinsic", contract)
    assert contract.intrinsic is not None
    widths = np.diff(contract.intrinsic.edges)
    fine = foreign.fine()
    for labels, flux in zip(grid.labels, grid.flux, strict=True):
        node = dict(zip(("teff", "logg"), labels, strict=True))
        # Flux is conserved: the equivalent width is that of the file.
        wanted = np.trapezoid(1.0 - foreign.line(fine, node), fine)
        assert ((1.0 - flux) * widths).sum() == pytest.approx(wanted, abs=2e-3)
    # And rotation keeps it, on the drafted axis.
    convolve = contract_broadening(contract)
    at = np.tile([5000.0, 4.5, 0.0, contract.upper[3]], (2, 1))
    at[1, 2] = contract.upper[2]
    row = np.flatnonzero((grid.labels == [5000.0, 4.5]).all(axis=1))
    flux = convolve.at_labels(contract, convolve.modes(grid.flux[np.repeat(row, 2)]), at, np.full(2, 0.6))
    assert flux[1].min() > flux[0].min() + 0.02


def test_absolute_flux_is_normalised_by_its_maxima(tmp_path: Path) -> None:
    made = imported(foreign.bt_settl(tmp_path / "b"), tmp_path / "out")
    contract = require_valid(made, tmp_path / "out", tmp_path)
    grid = read_intrinsic_grid(tmp_path / "out" / "intrinsic", contract)
    assert np.quantile(grid.flux, 0.9, axis=1) == pytest.approx(np.ones(12), abs=0.01)
    assert any("pseudo-continuum" in note for note in made.notes)


def test_emission_does_not_lift_the_pseudo_continuum() -> None:
    wavelength = np.linspace(6660.0, 6700.0, 600)
    plain = 1e8 * (1.0 - 0.4 * np.exp(-0.5 * ((wavelength - 6680.0) / 2.0) ** 2) + 1e-4 * (wavelength - 6680.0))
    emitting = plain + 1e8 * np.exp(-0.5 * ((wavelength - 6680.0) / 1.0) ** 2)
    for flux in (plain, emitting):
        ends = (flux / pseudo_continuum(wavelength, flux))[[0, -1]]
        assert ends == pytest.approx([1.0, 1.0], abs=0.02)


@pytest.mark.parametrize("name", ["ferre", "apogee"])
def test_broadened_spectra_keep_their_pixels(name: str, tmp_path: Path) -> None:
    source = foreign.ferre(tmp_path / "g.dat") if name == "ferre" else foreign.apogee(tmp_path / "g.fits")
    made = imported(source, tmp_path / "out")
    contract = require_valid(made, tmp_path / "out", tmp_path)
    assert contract.intrinsic is None
    assert contract.label_names == ["teff", "logg"]
    assert contract.wavelength.spacing == "logarithmic"
    grid = open_source(str(tmp_path / "out"), contract, tmp_path).grid
    moved = contract.wavelength.pixels - 15091.0 + foreign.CENTRE - 2.0
    for labels, flux in zip(grid.labels, grid.take(np.arange(12)), strict=True):
        node = dict(zip(("teff", "logg"), labels, strict=True))
        np.testing.assert_allclose(flux, foreign.line(moved, node), atol=2e-5)
    assert grid.weight.mean() == pytest.approx(1.0)


def test_a_grid_of_intensities_has_limb_darkening_of_its_own(tmp_path: Path) -> None:
    made = imported(foreign.msg(tmp_path / "g.h5"), tmp_path / "out")
    contract = require_valid(made, tmp_path / "out", tmp_path)
    assert contract.limb_darkening is None
    grid = read_intrinsic_grid(tmp_path / "out" / "intrinsic", contract)
    assert grid.limb_darkening == pytest.approx(np.full(12, 0.5), abs=1e-6)


def test_limb_darkening_comes_from_a_table(tmp_path: Path) -> None:
    table = tmp_path / "u.csv"
    table.write_text("teff,logg,u\n5000,3,0.7\n7000,3,0.5\n5000,4.5,0.7\n7000,4.5,0.5\n")
    made = imported(foreign.turbospectrum(tmp_path / "t"), tmp_path / "out", darkening=read_darkening(str(table)))
    grid = read_intrinsic_grid(tmp_path / "out" / "intrinsic", made.contract)
    assert made.contract.limb_darkening is None
    assert grid.limb_darkening == pytest.approx(0.7 - 0.2 * (grid.labels[:, 0] - 5000.0) / 2000.0)
    # The linear law is Claret's with a2 alone.
    assert linear_of_claret(np.array([[0.0, 0.6, 0.0, 0.0]])) == pytest.approx([0.6])
    for wrong, said in (("1.2", "no linear coefficient"), (str(tmp_path / "absent.csv"), "can't be read")):
        with pytest.raises(InputError, match=said):
            read_darkening(wrong)


def test_bad_files_are_listed_and_the_rest_is_imported(tmp_path: Path) -> None:
    folder = foreign.turbospectrum(tmp_path / "t")
    first, second, *_ = sorted(folder.iterdir())
    first.write_text("6660.0 abc\n")
    second.write_text("\n".join(second.read_text().splitlines()[:100]))
    made = imported(folder, tmp_path / "out")
    assert made.spectra == 10
    assert set(made.failed) == {first.name, second.name}
    assert "covers 6660 to 6664.95 A" in made.failed[second.name]
    listed = (tmp_path / "out" / "spectra.csv").read_text()
    assert first.name in listed
    assert "covers" in listed
    require_valid(made, tmp_path / "out", tmp_path)


FAULTS = {
    "nothing states whether the wavelengths": lambda p: imported(foreign.moog(p / "out2"), p / "o"),
    "no label that varies": lambda p: imported(foreign.turbospectrum(p / "t", foreign.NODES[:1]), p / "o"),
    "against the sampling": lambda p: None,
    "a label that tells them apart is missing": lambda p: imported(
        foreign.turbospectrum(p / "t"), p / "o", labels=label_source("{teff}g")
    ),
    "--resolution is for intrinsic spectra": lambda p: imported(
        foreign.ferre(p / "g.dat"), p / "o", resolution=(5000.0, 20000.0)
    ),
    "hold no continuum": lambda p: imported(foreign.bt_settl(p / "b"), p / "o", rule="continuum"),
    "narrow|fewer than two": lambda p: imported(foreign.ferre(p / "g.dat"), p / "o", span=(100.0, 200.0)),
}
del FAULTS["against the sampling"]


@pytest.mark.parametrize("said", FAULTS)
def test_what_can_t_be_imported_is_refused_and_nothing_is_left(said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        FAULTS[said](tmp_path)
    assert not (tmp_path / "o").exists()


def test_a_medium_is_asked_for_and_taken(tmp_path: Path) -> None:
    made = imported(foreign.moog(tmp_path / "out2"), tmp_path / "out", medium="air", resolution=(20000.0, 60000.0))
    assert made.contract.wavelength.medium == "air"


def test_a_killed_import_goes_on_with_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = foreign.turbospectrum(tmp_path / "t")
    monkeypatch.setattr(parts, "MOST_RUNS", 5)
    read: list[str] = []
    converted = importer._converted

    def counted(member: Member, *others: Any) -> Any:
        if len(read) == 8:
            read.append("killed")
            raise KeyboardInterrupt
        read.append(member.key)
        return converted(member, *others)

    monkeypatch.setattr(importer, "_converted", counted)
    with pytest.raises(KeyboardInterrupt):
        imported(folder, tmp_path / "out")
    made = imported(folder, tmp_path / "out")
    assert len(read) == 9 + 7  # five of the eight were in a part
    whole = imported(folder, tmp_path / "whole")
    killed, once = (read_intrinsic_grid(tmp_path / name / "intrinsic", made.contract) for name in ("out", "whole"))
    np.testing.assert_array_equal(killed.run_id, np.arange(12))
    np.testing.assert_array_equal(killed.flux, once.flux)
    assert made.contract.source == whole.contract.source
    state = json.loads((tmp_path / "out" / "import.json").read_text())
    assert len(state["parts"]) == 3
    # A folder takes no other import, and the same one again does nothing.
    with pytest.raises(InputError, match="holds an import of other spectra"):
        imported(folder, tmp_path / "out", resolution=(5000.0, 15000.0))
    before = len(read)
    assert imported(folder, tmp_path / "out").spectra == 12
    assert len(read) == before


def test_imports_of_one_contract_merge_with_their_provenance(tmp_path: Path) -> None:
    cool, hot = foreign.NODES[:6], foreign.NODES[6:]
    for name, nodes in (("cool", cool), ("hot", hot)):
        imported(foreign.turbospectrum(tmp_path / f"t_{name}", nodes), tmp_path / name)
    contract, runs = merge([tmp_path / "cool", tmp_path / "hot"], "both", "the command", tmp_path / "both")
    assert runs == 12
    grid = read_intrinsic_grid(tmp_path / "both" / "intrinsic", contract)
    np.testing.assert_array_equal(grid.run_id, np.arange(12))
    assert {tuple(labels) for labels in grid.labels.tolist()} == {(n["teff"], n["logg"]) for n in foreign.NODES}
    assert (contract.labels[0].lower, contract.labels[0].upper) == (5000.0, 7000.0)
    told = json.loads((tmp_path / "both" / "intrinsic" / "provenance.json").read_text())
    assert [(part["first_run"], part["last_run"]) for part in told["parts"]] == [(0, 5), (6, 11)]
    assert told["parts"][1]["provenance"]["format"] == "turbospectrum"
    with pytest.raises(InputError, match="both hold a run at"):
        merge([tmp_path / "cool", tmp_path / "cool"], None, "", tmp_path / "twice")
    imported(foreign.turbospectrum(tmp_path / "t_other", hot), tmp_path / "other", resolution=(5000.0, 15000.0))
    with pytest.raises(InputError, match="can't be merged: their broadening labels differ"):
        merge([tmp_path / "cool", tmp_path / "other"], None, "", tmp_path / "different")


def test_dense_nodes_count_less() -> None:
    from stellar_emulator.contract.contract import parse_contract

    text = (Path(__file__).parents[1] / "data" / "tiny_contract.yaml").read_text()
    contract = parse_contract(text.replace("realisations: 4", "realisations: 4, runs: nodes"))
    dense = np.array([[teff, 0.0] for teff in (4000.0, 4050.0, 4100.0, 6000.0, 8000.0)])
    weight = node_weights(contract, dense)
    assert weight.mean() == pytest.approx(1.0)
    assert weight[3] > 5.0 * weight[1]
    corners = hull_corners(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.5, 0.5]]))
    np.testing.assert_array_equal(corners, [0, 1, 2, 3])
    assert len(hull_corners(dense)) == 0  # all on one line
