"""Accuracies on numbers small enough to work out by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stellar_emulator.contract.axis import WavelengthAxis
from stellar_emulator.contract.contract import read_contract
from stellar_emulator.contract.regions import ALL, BOX, HARD
from stellar_emulator.evaluation.accuracy import (
    SIGNAL_TO_NOISE,
    AccuracyRow,
    accuracy_rows,
    accuracy_table,
    find,
    paper_values,
    ratios,
    with_noise,
)

ROOT = Path(__file__).parents[2]
GAIA = read_contract(ROOT / "data_contracts" / "gaia_rvs.yaml")
TINY = read_contract(ROOT / "tests" / "data" / "tiny_contract.yaml")

# teff, m_h, vsini: the first two lie in the hard region.
TRUE: Any = np.array([[4500.0, 0.0, 10.0], [5500.0, 0.1, 20.0], [7500.0, 0.2, 90.0]])
ERROR = np.array([[30.0, 0.1, 0.0], [-10.0, 0.1, 0.0], [50.0, -0.1, 3.0]])
WEIGHT = np.array([1.0, 2.0, 5.0])
FLUX = np.ones((3, 777), dtype=np.float32)


def rows(split: str = "test", scale: float = 1.0) -> list[AccuracyRow]:
    return accuracy_rows(TINY, lambda flux: TRUE + scale * ERROR, split, TRUE, WEIGHT, FLUX, seed=1)


def test_the_box_is_weighted_and_bias_is_inferred_minus_true() -> None:
    teff = find(rows(), "test", "teff")
    assert teff.rmse == pytest.approx(np.sqrt((900 + 2 * 100 + 5 * 2500) / 8))
    assert teff.mae == pytest.approx((30 + 2 * 10 + 5 * 50) / 8)
    assert teff.bias == pytest.approx((30 - 2 * 10 + 5 * 50) / 8)
    assert teff.n == 3
    assert find(rows(), "test", "m_h").bias == pytest.approx((0.1 + 0.2 - 0.5) / 8)
    assert find(rows(), "test", "vsini").mae == pytest.approx(15.0 / 8)


def test_other_regions_are_not_weighted() -> None:
    everything = find(rows(), "test", "teff", ALL)
    assert everything.rmse == pytest.approx(np.sqrt((900 + 100 + 2500) / 3))
    assert everything.bias == pytest.approx(70 / 3)
    hard = find(rows(), "test", "teff", HARD)
    assert hard.n == 2
    assert (hard.mae, hard.bias) == pytest.approx((20.0, 10.0))
    assert find(rows(), "test", "vsini", "vsini 50-100").rmse == pytest.approx(3.0)


def test_every_noise_region_and_label_has_a_row_and_empty_regions_none() -> None:
    assert len(rows()) == len(SIGNAL_TO_NOISE) * 7 * 3
    cool = accuracy_rows(TINY, lambda flux: TRUE[:2], "test", TRUE[:2], WEIGHT[:2], FLUX[:2], seed=1)
    assert {row.region for row in cool} == {BOX, ALL, HARD, "teff 4000-6000", "vsini 0-50"}
    with pytest.raises(KeyError):
        find(cool, "test", "teff", "teff 6000-8000")
    with pytest.raises(KeyError):
        find(cool, "train", "teff")


def test_noise_reaches_the_inference_and_only_its_own_rows() -> None:
    seen = []

    def infer(flux: np.ndarray) -> np.ndarray:
        seen.append(flux)
        return TRUE + np.float64(flux.std() > 0)

    found = accuracy_rows(TINY, infer, "test", TRUE, WEIGHT, FLUX, seed=1)
    assert [float(np.round(1.0 / flux.std(), -1)) if flux.std() else None for flux in seen] == [None, 100.0, 50.0]
    assert {row.signal_to_noise for row in found if row.mae == 0.0} == {None}
    assert find(found, "test", "teff").mae == 0.0  # the noise-free row
    assert {row.signal_to_noise: row.mae for row in found if row.label == "teff" and row.region == BOX} == {
        None: 0.0,
        100.0: pytest.approx(1.0),
        50.0: pytest.approx(1.0),
    }


def test_noise_is_that_of_the_seed_alone() -> None:
    noisy = with_noise(FLUX, 100.0, seed=3)
    np.testing.assert_array_equal(with_noise(FLUX, 100.0, seed=3), noisy)
    np.testing.assert_allclose(with_noise(0.5 * FLUX, 100.0, seed=3) - 0.5, noisy - 1.0, atol=1e-6)
    np.testing.assert_allclose(with_noise(FLUX, 50.0, seed=3) - 1.0, 2.0 * (noisy - 1.0), atol=1e-6)
    assert np.abs(with_noise(FLUX, 100.0, seed=4) - noisy).max() > 0.01
    assert noisy.std() == pytest.approx(0.01, rel=0.05)
    assert noisy.mean() == pytest.approx(1.0, abs=1e-3)
    assert noisy.dtype == np.float32
    assert with_noise(FLUX, None, seed=3) is FLUX


def test_ratios_are_generated_over_test_for_gated_labels_alone() -> None:
    both = rows() + rows("generated", 1.5)
    assert ratios(TINY, both) == {name: pytest.approx(1.5) for name in ("teff", "m_h", "vsini")}
    labels: Any = 0.5 * (GAIA.lower + GAIA.upper)[np.newaxis]
    one = [
        row
        for split in ("test", "generated")
        for row in accuracy_rows(GAIA, lambda flux: labels + 1.0, split, labels, np.ones(1), FLUX[:1], seed=1)
    ]
    assert list(ratios(GAIA, one)) == ["teff", "logg", "vsini", "m_h", "vmicro"]


def test_the_table_shows_the_splits_there_are() -> None:
    four = [row for split in ("train", "validation", "test", "generated") for row in rows(split, 0.2)]
    head, teff, *_ = accuracy_table(TINY, four).splitlines()
    assert head.split() == ["RMSE", "(MAE)", "train", "validation", "test", "generated", "generated/test"]
    assert teff.split()[:2] == ["teff", "(K)"]
    assert teff.split()[-1] == "1.000"
    two = rows() + rows("generated", 2.0)
    head, teff, *others = accuracy_table(TINY, two).splitlines()
    assert not any("paper" in line for line in others)
    assert head.split() == ["RMSE", "(MAE)", "test", "generated", "generated/test"]
    assert teff.split() == ["teff", "(K)", "41.2", "(37.5)", "82.5", "(75.0)", "2.000"]


def test_the_papers_errors_stand_beside_like_grids_alone() -> None:
    assert paper_values(GAIA)["teff"]["test"] == 120.0
    assert paper_values(read_contract("gaia_dr3_rvs")) == paper_values(GAIA)
    assert paper_values(TINY) == {}
    wavelength = WavelengthAxis(start=6400.0, step=0.1, count=4000, unit="Angstrom", medium="air")
    labels = [label.model_copy(update={"name": "vturb"} if label.name == "vmicro" else {}) for label in GAIA.labels]
    hot = [GAIA.labels[0].model_copy(update={"lower": 14000.0, "upper": 30000.0}), *GAIA.labels[1:]]
    for change in ({"wavelength": wavelength}, {"labels": tuple(labels)}, {"labels": tuple(hot)}):
        assert paper_values(GAIA.model_copy(update=change)) == {}, change
    lowest: Any = GAIA.lower[np.newaxis]
    two = [
        row
        for split in ("test", "generated")
        for row in accuracy_rows(GAIA, lambda flux: lowest + 1.0, split, lowest, np.ones(1), FLUX[:1], seed=1)
    ]
    paper = [line.split() for line in accuracy_table(GAIA, two).splitlines() if "paper" in line]
    assert paper[0] == ["paper,", "another", "grid", "120", "119"]
    assert len(paper) == 5
