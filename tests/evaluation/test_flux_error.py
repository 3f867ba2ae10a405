"""Flux errors on numbers small enough to work out by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stellar_emulator.contract.contract import read_contract
from stellar_emulator.contract.regions import ALL, HARD
from stellar_emulator.evaluation.flux_error import FluxErrorRow, dead_units, find, flux_error_rows, flux_error_table

TINY = read_contract(Path(__file__).parents[1] / "data" / "tiny_contract.yaml")
PIXELS = TINY.wavelength.pixels
CORE = np.abs(PIXELS - 5050.0) <= 1.0
WINDOW = np.abs(PIXELS - 5050.0) <= 10.0

# The first two lie in the hard region.
LABELS = np.array([[4500.0, 0.0, 10.0], [5500.0, 0.0, 20.0], [7500.0, 0.0, 90.0]])
WEIGHT = np.array([1.0, 2.0, 5.0])
RUN_ID = np.array([7, 8, 9])


def computed() -> np.ndarray:
    return np.random.default_rng(0).random((3, 777)).astype(np.float32)


def measured(approximated: np.ndarray, weight: np.ndarray = WEIGHT) -> list[FluxErrorRow]:
    return flux_error_rows(TINY, "chain", LABELS, weight, RUN_ID, computed(), approximated.astype(np.float32))


def test_mean_errors_are_weighted_in_the_box_alone() -> None:
    rows = measured(computed() + np.array([[0.01], [-0.02], [0.04]]))
    box = find(rows, "chain")
    assert box.mae == pytest.approx((0.01 + 2 * 0.02 + 5 * 0.04) / 8, rel=1e-4)
    assert box.mse == pytest.approx((1e-4 + 2 * 4e-4 + 5 * 16e-4) / 8, rel=1e-4)
    assert box.core_mae == pytest.approx(box.mae, rel=1e-4)
    assert find(rows, "chain", ALL).mae == pytest.approx(0.07 / 3, rel=1e-4)
    hard = find(rows, "chain", HARD)
    assert hard.n == 2
    assert hard.mae == pytest.approx(0.015, rel=1e-4)
    with pytest.raises(KeyError):
        find(rows, "autoencoder")


def test_the_worst_spectrum_is_named_by_its_run() -> None:
    rows = measured(computed() + np.array([[0.01], [-0.05], [0.04]]))
    assert find(rows, "chain").worst_run == 8
    assert find(rows, "chain").worst_mae == pytest.approx(0.05, rel=1e-4)
    assert find(rows, "chain", "teff 6000-8000").worst_run == 9


def test_quantiles_are_over_spectra_and_weighted() -> None:
    rows = measured(computed() + np.array([[0.01], [0.02], [0.04]]))
    box, everything = find(rows, "chain"), find(rows, "chain", ALL)
    assert box.median_mae == pytest.approx(0.04, rel=1e-4)  # five of eight parts
    assert everything.median_mae == pytest.approx(0.02, rel=1e-4)
    assert everything.p90_mae == pytest.approx(0.04, rel=1e-4)


def test_line_cores_and_equivalent_widths_see_their_pixels_alone() -> None:
    shifted = computed() + 0.01 * CORE
    row = find(measured(shifted), "chain")
    assert row.core_mae == pytest.approx(0.01, rel=1e-4)
    assert row.mae == pytest.approx(0.01 * CORE.sum() / 777, rel=1e-4)
    # 0.2 Angstrom a pixel, in milli-Angstrom.
    assert row.equivalent_width_error == {"line 5050": pytest.approx(1000 * 0.2 * 0.01 * CORE.sum(), rel=1e-3)}
    outside = find(measured(computed() + 0.01 * ~WINDOW), "chain")
    assert outside.core_mae == 0.0
    assert outside.equivalent_width_error == {"line 5050": 0.0}


def test_equivalent_width_errors_cancel_within_a_line_but_not_between_spectra() -> None:
    wave = np.zeros(777)
    wave[np.flatnonzero(WINDOW)[:100]] = 0.01 * np.tile([1, -1], 50)
    assert find(measured(computed() + wave), "chain").equivalent_width_error["line 5050"] < 0.01
    rows = measured(computed() + np.array([[0.01], [-0.01], [0.0]]) * WINDOW)
    one = 1000 * 0.2 * 0.01 * WINDOW.sum()
    assert find(rows, "chain").equivalent_width_error["line 5050"] == pytest.approx(one * np.sqrt(3 / 8), rel=1e-3)
    assert find(rows, "chain", HARD).equivalent_width_error["line 5050"] == pytest.approx(one, rel=1e-3)


def test_shares_of_equivalent_widths() -> None:
    """A tenth of a line too deep in every spectrum, against its own width."""
    row = find(measured(computed() - 0.1 * (1.0 - computed()) * WINDOW), "chain")
    assert row.p90_equivalent_width == {"line 5050": pytest.approx(0.1, rel=1e-3)}
    assert find(measured(computed()), "chain").p90_equivalent_width == {"line 5050": 0.0}


def test_both_definitions_of_r2_and_explained_variance() -> None:
    """Against their definitions; scikit-learn's names: variance_weighted and uniform_average."""
    from sklearn.metrics import explained_variance_score, r2_score

    truth = computed().astype(np.float64)
    truth[:, :300] *= 0.05  # pixels of small variance count less in one of the two
    made = truth + 0.02 * np.random.default_rng(1).normal(size=truth.shape) + 0.01
    (row,) = [
        row
        for row in flux_error_rows(
            TINY, "chain", LABELS, WEIGHT, RUN_ID, truth.astype(np.float32), made.astype(np.float32)
        )
        if row.region == "box"
    ]
    for uniform, share in (("", "variance_weighted"), ("_uniform", "uniform_average")):
        expected = r2_score(truth, made, sample_weight=WEIGHT, multioutput=share)
        assert getattr(row, f"r2{uniform}") == pytest.approx(expected, abs=1e-3 * abs(1 - expected))
        expected = explained_variance_score(truth, made, sample_weight=WEIGHT, multioutput=share)
        assert getattr(row, f"explained_variance{uniform}") == pytest.approx(expected, abs=1e-3 * abs(1 - expected))
    assert row.explained_variance > row.r2 > row.r2_uniform  # the constant offset, then the quiet pixels


def test_an_exact_approximation_has_no_error() -> None:
    row = find(measured(computed()), "chain")
    assert (row.mse, row.mae, row.p90_mae, row.worst_mae) == (0.0, 0.0, 0.0, 0.0)
    assert (row.r2, row.explained_variance, row.r2_uniform) == (1.0, 1.0, 1.0)


def test_the_table_shows_the_box_and_the_hard_region() -> None:
    lines = flux_error_table(measured(computed() + 0.01)).splitlines()
    assert len(lines) == 3
    assert lines[1].split()[:3] == ["chain", "box", "1.00e-02"]
    assert lines[2].split()[:4] == ["chain", "hard", "region", "1.00e-02"]


def test_dead_units_are_constant_ones() -> None:
    latent = np.array([[0.0, 1.0, 3.0, 0.0], [0.0, 2.0, 3.0, 1e-3]], dtype=np.float32)
    assert dead_units(latent) == 2


def test_a_contract_without_line_cores_has_a_dash_for_their_error() -> None:
    rows = [replace(row, core_mae=float("nan")) for row in measured(computed() + 0.01)]
    table = flux_error_table(rows)
    assert "nan" not in table
    assert table.splitlines()[1].split()[5] == "-"
