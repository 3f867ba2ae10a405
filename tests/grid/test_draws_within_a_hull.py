"""Labels that are drawn where stars are: within a hull of two of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import QuadMesh
from scipy.stats import qmc
from synthetic import TINY, synthetic_rows, write_rows

from stellar_emulator import figures
from stellar_emulator.contract.contract import Contract, parse_contract, read_contract
from stellar_emulator.contract.hull import hull_bounds, hull_distance
from stellar_emulator.errors import InputError
from stellar_emulator.explorer.app import _start
from stellar_emulator.gate.coverage import coverage
from stellar_emulator.gate.fresh_labels import box_labels, line_labels
from stellar_emulator.grid import sampling
from stellar_emulator.grid.expand import drawn_labels
from stellar_emulator.grid.label_coverage import describe_voids, pair_coverage
from stellar_emulator.training.teacher import spread_labels
from stellar_emulator.validation.boxed import boxed_table
from stellar_emulator.validation.check import check
from stellar_emulator.validation.statistics import statistics_of
from stellar_emulator.validation.twins import run_spacing
from stellar_emulator.validation.weights import unevenness

STARS = read_contract("rvs_stars")
RUNS, SEED = 2048, 5


def drawn() -> tuple[np.ndarray, np.ndarray]:
    """Labels (rows, labels) and run_id of a grid as `synthesize` draws it."""
    own = sampling.run_labels(STARS, SEED, 0, RUNS)
    each = STARS.sampling.realisations
    return drawn_labels(STARS, SEED, np.arange(RUNS), own, each), np.repeat(np.arange(RUNS), each)


def table_of(labels: np.ndarray, run_id: np.ndarray) -> pd.DataFrame:
    columns = dict(zip(STARS.label_names, labels.T, strict=True))
    return pd.DataFrame({"run_id": run_id, **columns, "weight": sampling.weights(STARS, labels)})


def test_the_bounds_at_a_temperature_are_those_of_the_hull() -> None:
    lower, upper = hull_bounds(STARS, np.array([3500.0, 4600.0, 6300.0, 7000.0, 8000.0]))
    np.testing.assert_allclose(lower, [0.0, 0.0, 1.4, 1.9765, 2.8], atol=1e-3)
    np.testing.assert_allclose(upper, [5.2, 5.2, 5.125, 4.95, 4.7], atol=1e-3)


def test_draws_lie_within_the_hull_and_extend_one_another() -> None:
    labels, _ = drawn()
    assert hull_distance(STARS, labels).max() < 1e-4
    assert labels[:, 0].max() > 7900.0
    assert labels[:, 1].min() < 0.1
    own = sampling.run_labels(STARS, SEED, 0, 64)
    np.testing.assert_array_equal(sampling.run_labels(STARS, SEED, 40, 10), own[40:50])


def test_draws_fill_the_unit_cube_evenly() -> None:
    own = sampling.run_labels(STARS, SEED, 0, RUNS)
    unit = sampling.unit_places(STARS, own)
    np.testing.assert_allclose(sampling.placed(STARS, unit), own, atol=1e-6)
    np.testing.assert_allclose(unit.mean(axis=0), 0.5, atol=0.002)
    cells, *_ = np.histogram2d(unit[:, 0], unit[:, 1], bins=8)
    assert np.abs(cells - RUNS / 64).max() < 8


def test_weights_make_the_hull_uniform() -> None:
    labels, _ = drawn()
    weight = sampling.weights(STARS, labels)
    assert weight.mean() == pytest.approx(1.0, abs=0.02)
    cool = np.average(labels[:, 0] < 4600.0, weights=weight)
    fine = np.linspace(3500.0, 8000.0, 2001)
    lower, upper = hull_bounds(STARS, fine)
    assert cool == pytest.approx((upper - lower)[fine < 4600.0].sum() / (upper - lower).sum(), abs=0.01)


def test_the_contract_finds_no_fault_in_its_own_draws() -> None:
    labels, run_id = drawn()
    table = table_of(labels, run_id)
    assert describe_voids(STARS, pair_coverage(STARS, labels, run_id)) == []
    assert len(coverage(STARS, labels[:: STARS.sampling.realisations, :6]).empty) < 100
    assert max(unevenness(STARS, boxed_table(STARS, table)).values()) < 2.0
    assert run_spacing(STARS, boxed_table(STARS, table)).min() > 0.05
    limited = {one.column: one for one in statistics_of(table, _limiting())}
    assert 0.95 < limited["mean weight"].observed < 1.05
    holes = [one for name, one in limited.items() if name.startswith("hole of")]
    assert holes
    assert all(one.observed <= (one.upper or 0.0) for one in holes)


def test_a_part_of_the_hull_that_was_left_out_is_found() -> None:
    labels, run_id = drawn()
    kept = ~((labels[:, 0] > 6500.0) & (labels[:, 1] > 3.5))
    voids = describe_voids(STARS, pair_coverage(STARS, labels[kept], run_id[kept]))
    assert any("logg (as in the whole box)" in void for void in voids)
    holes = [one for one in statistics_of(table_of(labels[kept], run_id[kept]), _limiting()) if "hole" in one.column]
    assert any(one.observed > (one.upper or 0.0) for one in holes)


def _limiting() -> Contract:
    """The contract with the limits on distributions that the first contract has."""
    asked = read_contract("gaia_rvs").expectations
    limits = STARS.expectations.model_copy(update={"weights": asked.weights, "hole": asked.hole})
    return STARS.model_copy(update={"expectations": limits})


def test_the_explorer_starts_within() -> None:
    hot = {"teff": (6900.0, 8000.0), "logg": (0.0, 1.0)}
    contract = STARS.model_copy(update={"regions": STARS.regions.model_copy(update={"hard": hot})})
    start = np.array([_start(contract)])
    assert hull_distance(contract, start).max() < 0.0


def test_what_the_gate_and_the_teacher_ask_lies_within() -> None:
    fresh = np.concatenate(list(box_labels(STARS, 3, 2000, 500)))
    assert len(fresh) == 2000
    assert hull_distance(STARS, fresh).max() < 1e-9
    for column in range(len(STARS.labels)):
        for line in line_labels(STARS, 3, column, 4, 48):
            assert hull_distance(STARS, line).max() < 2e-3
            assert (np.diff(line[:, column]) > 0).all()
    asked = spread_labels(STARS, STARS.run_labels, 1000, 3)
    lower, upper = (np.array([getattr(label, end) for label in STARS.run_labels]) for end in ("lower", "upper"))
    physical = np.hstack([lower + (asked + 1.0) / 2.0 * (upper - lower), np.zeros((1000, 2))])
    assert hull_distance(STARS, physical).max() < 1e-6


def test_without_a_hull_every_point_of_the_sequence_is_taken() -> None:
    box = STARS.model_copy(update={"hull": None})
    points = sampling.even_places(box, box.labels, qmc.Sobol(8, rng=np.random.default_rng(1)), 100)
    np.testing.assert_array_equal(points, sampling.sobol_points(qmc.Sobol(8, rng=np.random.default_rng(1)), 100))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("labels: [teff, logg, m_h]", "hull: give each corner 3 values, one for each of hull.labels"),
        ("labels: [logg, teff]", "hull.labels: give labels of kind run, each once and in their order"),
        ("labels: [teff, vsini]", "hull.labels: give labels of kind run, each once and in their order"),
        ("labels: [teff, alpha_m]", "hull.corners: alpha_m must reach from bound to bound"),
    ],
)
def test_a_hull_that_no_draws_can_follow_is_refused(said: str, message: str) -> None:
    text = STARS.source.replace("labels: [teff, logg]", said)
    assert text != STARS.source
    with pytest.raises(InputError, match=message.replace("[", r"\[")):
        parse_contract(text)


def test_a_contract_without_labels_of_its_hull_is_written_as_before() -> None:
    hull = STARS.hull
    assert hull is not None
    assert hull.model_dump()["labels"] == ("teff", "logg")
    assert "labels" not in hull.model_copy(update={"labels": None}).model_dump()


def test_spectra_beyond_the_hull_break_the_contract(tmp_path: Path) -> None:
    hull = "{outside: refuse, distance: 0.02, labels: [teff, m_h], corners: [[4000, -1], [4000, 0.5], [8000, 0.5]]}"
    contract = parse_contract(f"{TINY.source}hull: {hull}\n")
    rows = synthetic_rows(contract)
    assert check(write_rows(tmp_path / "inside.parquet", rows, contract), contract).verdict.passed
    moved = rows.labels.copy()
    moved[8:12, :2] = [7900.0, -0.9]
    broken = check(write_rows(tmp_path / "beyond.parquet", replace(rows, labels=moved), contract), contract)
    assert not broken.verdict.passed
    found = broken.violations[broken.violations["expectation"] == "ExpectLabelsToLieWithinHull"]
    assert found["row"].tolist() == [8, 9, 10, 11]
    assert found["message"].str.contains("teff and m_h lie beyond the hull in which the contract draws them").all()


def test_the_figure_of_coverage_draws_cells_where_they_lie() -> None:
    labels, run_id = drawn()
    figure = figures.coverage(STARS, labels, pair_coverage(STARS, labels, run_id))
    (panel,) = [
        one for one in figure.axes if one.collections and one.get_ylim() == (0.0, 5.2) and one.get_xlim()[0] == 3500.0
    ]
    (mesh,) = [one for one in panel.collections if isinstance(one, QuadMesh)]
    corners = np.asarray(mesh.get_coordinates()).reshape(-1, 2)
    rows = np.zeros((len(corners), len(STARS.labels)))
    rows[:, :2] = corners
    assert hull_distance(STARS, rows).max() < 1e-6
    assert corners[:, 1].min() == 0.0
    assert any("depend on" in text.get_text() for text in figure.texts)
