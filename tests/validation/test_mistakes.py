"""Kinds of honest mistakes, each done to real spectra beside a control that differs in the mistake alone.

All of them, on more spectra: `python -m benchmarks.mistakes`.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from benchmarks.mistakes.every import MISTAKES
from benchmarks.mistakes.material import Material, in_memory
from synthetic import GAIA

from stellar_emulator import Emulator
from stellar_emulator.contract.contract import Contract
from stellar_emulator.grid.shards import read_intrinsic_grid
from stellar_emulator.grid.source import embedded_folder
from stellar_emulator.validation.against import hold_against
from stellar_emulator.validation.check import check, check_summaries
from stellar_emulator.validation.departures import PARTS
from stellar_emulator.validation.grid_statistics import rank_correlation
from stellar_emulator.validation.statistics import largest_empty, statistics_of
from stellar_emulator.validation.summaries import summaries
from stellar_emulator.validation.twins import row_distance, run_spacing
from stellar_emulator.validation.weights import unevenness, weight_residuals

RUNS = 250
BY_NAME = {mistake.name: mistake for mistake in MISTAKES}

FOUND = {
    "vmicro constant": "ExpectLabelsToVary",
    "weights infinite": "ExpectColumnValuesToBeBetween",
    "weights of one": "ExpectWeightsToFitTheDensity",
    "weights ten times in some": "ExpectWeightsToFollowLabels",
    "some runs again with coarser labels": "ExpectRunsToKeepApart",
    "spectra again in their runs": "ExpectSpectraToKeepApart",
    "no hot giants": "ExpectNoHolesInLabels",
    "hot stars at 3 km s": "ExpectLinesAtTheirMedianPlaces",
    "m h of the wrong sign in some": "ExpectRunsToFollowTheirLabels",
    "ca 8498 missing": "ExpectLinesToBeThere",
}
"""Which expectation a mistake breaks, among others."""

WARNED = ["slope of 1 percent", "scattered light", "calcium weak", "limb darkening of 0", "teff high in half"]


def few(contract: Contract) -> Contract:
    """The contract with medians of lines taken over the few cool stars of a small grid."""
    limits = contract.expectations
    lines = {name: tuple(one.model_copy(update={"spectra": 20}) for one in getattr(limits, name)) for name in LINES}
    return contract.model_copy(update={"expectations": limits.model_copy(update=lines)})


LINES = ("line_depth", "line_place")
FEW = few(GAIA)


@pytest.fixture(scope="module")
def good() -> Material:
    runs = read_intrinsic_grid(embedded_folder(GAIA, "gate"), GAIA).take(np.arange(RUNS))
    return Material.drawn(FEW, runs, Emulator.load(), 7)


@pytest.fixture(scope="module")
def summarised(good: Material) -> pd.DataFrame:
    return summaries(in_memory(FEW, good.rows), FEW)[0]


def test_there_are_85_of_other_names_each_with_a_sentence() -> None:
    assert len(BY_NAME) == len(MISTAKES) == 85
    assert all(mistake.sentence.endswith(".") for mistake in MISTAKES)


def test_a_good_grid_is_neither_refused_nor_warned_of(good: Material) -> None:
    grid = in_memory(FEW, good.rows)
    assert check(grid, FEW).verdict.summary() == f"{8 * RUNS} spectra obey the data contract"
    compared = hold_against(grid, FEW, good.emulator)
    assert compared.warnings == ()
    assert set(compared.cells["label"]) == set(FEW.label_names)
    assert len(compared.cells) <= 20 * PARTS * len(FEW.labels)
    assert (compared.shifts["share"] < 1.0).all()


@pytest.mark.parametrize("name", FOUND)
def test_a_mistake_breaks_its_expectation(good: Material, name: str) -> None:
    spoilt = BY_NAME[name].do(good.anew(3))
    faults = check_summaries(summaries(in_memory(FEW, spoilt), FEW)[0], FEW)[1].faults
    broken = {fault.expectation: fault.message for fault in faults}
    assert FOUND[name] in broken
    assert "\n" not in broken[FOUND[name]]
    assert "nan" not in broken[FOUND[name]]


@pytest.mark.parametrize("name", WARNED)
def test_a_mistake_is_warned_of_by_band(good: Material, name: str) -> None:
    compared = hold_against(in_memory(FEW, BY_NAME[name].do(good.anew(3))), FEW, good.emulator)
    bands = [warning for warning in compared.warnings if warning.startswith("flux at 8")]
    assert bands
    assert all("departs from gaia_rvs: most at" in warning for warning in bands)


def test_a_biased_label_is_named(good: Material) -> None:
    compared = hold_against(in_memory(FEW, BY_NAME["teff high in half"].do(good.anew(3))), FEW, good.emulator)
    (named,) = [warning for warning in compared.warnings if not warning.startswith("flux")]
    assert named.startswith("teff departs from gaia_rvs: the labels that it would need lie up to ")
    # Half of the spectra have a Teff that is 100 K too high.
    assert compared.shifts.set_index("label").loc["teff", "mean"] == pytest.approx(-50.0, abs=20.0)


def test_warnings_are_of_the_band_that_was_changed(good: Material) -> None:
    flux = good.rows.flux.copy()
    flux[:, 2010:2020] *= 0.99
    compared = hold_against(in_memory(FEW, replace(good.rows, flux=flux)), FEW, good.emulator)
    assert [warning.split(" departs")[0] for warning in compared.warnings if warning.startswith("flux")] == [
        "flux at 8600.0 to 8619.9 Angstrom"
    ]


def test_what_lies_outside_the_reference_is_noted(good: Material) -> None:
    contract = FEW.model_copy(
        update={
            "labels": tuple(
                label.model_copy(update={"upper": 16000.0}) if label.name == "teff" else label for label in FEW.labels
            )
        }
    )
    rows = good.anew(1).rows
    rows.labels[:5, 0] = 15500.0
    compared = hold_against(in_memory(contract, rows), contract, good.emulator)
    assert compared.notes == (
        f"held against gaia_rvs: {8 * RUNS - 5} of {8 * RUNS} spectra, which lie in its label box",
    )


def test_microturbulence_wrong_in_a_third_weakens_a_curved_correlation(
    good: Material, summarised: pd.DataFrame
) -> None:
    where = {"teff": [4000.0, 6500.0], "vsini": [0.0, 100.0]}
    others = [name for name in FEW.label_names if name != "vmicro"]
    wrong = BY_NAME["vmicro wrong in a third"].do(good.anew(3)).labels[:, good.column("vmicro")]

    def correlation(table: pd.DataFrame, curved: bool) -> float:
        found = rank_correlation(table, "depth Fe I 8514", "vmicro", others, where, 10, curved)
        assert found is not None
        return found.value

    assert correlation(summarised, True) > max(0.75, correlation(summarised, False))
    assert correlation(summarised.assign(vmicro=wrong), True) < 0.6


def test_weights_are_smooth_in_the_labels_and_make_them_uniform(summarised: pd.DataFrame) -> None:
    assert weight_residuals(FEW, summarised).max() < 1e-5
    assert max(unevenness(FEW, summarised).values()) < 1.7
    ten = summarised.assign(weight=summarised["weight"].where(summarised.index != 7, summarised["weight"] * 10.0))
    residual = weight_residuals(FEW, ten)
    assert residual[7] == pytest.approx(np.log(10.0), rel=1e-3)
    assert np.delete(residual, 7).max() < 1e-5
    assert max(unevenness(FEW, summarised.assign(weight=1.0)).values()) > 3.0


def test_a_run_that_moved_little_is_a_twin_and_one_that_moved_far_is_none(summarised: pd.DataFrame) -> None:
    first, second = summarised["run_id"].unique()[:2]
    source = summarised[summarised["run_id"] == first].iloc[0]
    table = summarised.copy()
    for move, near in ((0.001, True), (0.9, False)):
        for name in ("teff", "logg", "m_h", "vmicro"):
            table.loc[table["run_id"] == second, name] = source[name]
        table.loc[table["run_id"] == second, "logg"] = source["logg"] + (move if source["logg"] < 4.0 else -move)
        spacing = run_spacing(FEW, table)
        assert (spacing[(table["run_id"] == second).to_numpy()] < 0.1).all() == near
    assert run_spacing(FEW, summarised).min() > 0.1


def test_rows_of_one_run_keep_apart_and_those_of_two_don_t_count(summarised: pd.DataFrame) -> None:
    table = summarised.copy()
    names = ["vsini", "resolution"]
    table.loc[8, names] = table.loc[0, names].to_numpy()  # of the next run
    assert row_distance(FEW, table).min() > 0.01
    table.loc[1, names] = table.loc[0, names].to_numpy()
    table.loc[1, "vsini"] = float(table["vsini"].iloc[0]) + 1e-3
    np.testing.assert_array_equal(np.flatnonzero(row_distance(FEW, table) < 3e-4), [0, 1])


def test_the_largest_hole_is_found_with_its_edges() -> None:
    empty = np.zeros((6, 8), dtype=bool)
    assert largest_empty(empty) == ((0, 0), (0, 0))
    empty[1:4, 2:7] = True
    empty[5] = True
    assert largest_empty(empty) == ((1, 4), (2, 7))


def test_a_hole_is_named_by_both_labels_ranges(summarised: pd.DataFrame) -> None:
    table = summarised[~(summarised["logg"].between(2.0, 3.0) & (summarised["teff"] > 8000.0))]
    found = {one.column: one for one in statistics_of(table.reset_index(drop=True), FEW)}
    hole = found["hole of teff and logg"]
    assert hole.observed > GAIA.expectations.hole.due
    assert hole.phrase.startswith("teff ")
    assert " with logg 2 to 3 dex holds no spectrum" in hole.phrase


def test_a_grid_too_small_to_tell_is_not_evaluated(summarised: pd.DataFrame) -> None:
    few_rows = summarised.iloc[:400].reset_index(drop=True)
    found = {one.column: one.observed for one in statistics_of(few_rows, FEW)}
    assert np.isnan([found["values of teff"], found["mean weight"], found["hole of teff and logg"]]).all()
