from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from world import CONTRACT, GOOD, LIMITS, SPECTRA

from stellar_emulator.contract.regions import HARD
from stellar_emulator.evaluation.flux_error import find, flux_error_rows
from stellar_emulator.gate.bootstrap import resample_counts, run_sums
from stellar_emulator.gate.fidelity import flux_figures
from stellar_emulator.gate.label_statistics import label_statistics
from stellar_emulator.gate.measured_spectra import measure

MEASURED = measure(CONTRACT, SPECTRA, GOOD, None)
FIGURES = label_statistics(CONTRACT, LIMITS, MEASURED, 7)


def test_resamples_draw_as_many_runs_as_there_are_and_repeat_with_the_seed():
    counts = resample_counts(30, 2000, 1)
    assert counts.shape == (2000, 30)
    assert (counts.sum(axis=1) == 30).all()
    assert counts.mean() == 1.0
    assert counts.var() == pytest.approx(29 / 30, rel=0.05)
    resample_counts(31, 2000, 1)
    np.testing.assert_array_equal(resample_counts(30, 2000, 1), counts)
    assert (resample_counts(30, 2000, 2) != counts).any()


def test_run_sums_add_the_rows_of_each_run():
    sums = run_sums(np.array([1, 0, 1]), np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]]))
    np.testing.assert_array_equal(sums, [[2.0, 20.0], [5.0, 50.0]])


def test_figures_follow_their_definitions():
    weight = MEASURED.weight / MEASURED.weight.sum()

    def rms(values):
        return np.sqrt(np.mean([np.average(v**2, axis=0, weights=weight) for v in values], axis=0))

    truth = SPECTRA.labels[:, CONTRACT.columns(CONTRACT.accuracy_labels)]
    centred = truth - np.average(truth, axis=0, weights=weight)
    np.testing.assert_allclose(FIGURES.rmse_test, rms(MEASURED.test))
    np.testing.assert_allclose(FIGURES.ratio, rms(MEASURED.generated) / rms(MEASURED.test))
    np.testing.assert_allclose(FIGURES.skill, 1 - (rms(MEASURED.test) / rms([centred])) ** 2)
    np.testing.assert_allclose(FIGURES.judged_shift, rms(MEASURED.generated - MEASURED.test))
    means = [np.mean([weight @ v for v in errors], axis=0) for errors in (MEASURED.generated, MEASURED.test)]
    np.testing.assert_allclose(FIGURES.bias, (means[0] - means[1]) / rms(MEASURED.test))


def test_bounds_are_those_of_a_bootstrap_that_draws_whole_runs():
    random, drawn = np.random.default_rng(3), []
    rows_of = [np.flatnonzero(MEASURED.run == run) for run in range(MEASURED.runs)]
    for _ in range(600):
        rows = np.concatenate([rows_of[run] for run in random.integers(MEASURED.runs, size=MEASURED.runs)])
        squares = [(e[:, rows] ** 2).mean(axis=0) for e in (MEASURED.generated, MEASURED.test)]
        drawn.append(np.sqrt((MEASURED.weight[rows] @ squares[0]) / (MEASURED.weight[rows] @ squares[1])))
    lower, upper = np.quantile(drawn, (0.05, 0.95), axis=0)
    width = upper - lower
    np.testing.assert_allclose((FIGURES.ratio_upper - upper) / width, 0.0, atol=0.12)
    np.testing.assert_allclose((FIGURES.ratio_lower - lower) / width, 0.0, atol=0.12)


def test_repeating_the_spectra_of_a_run_tells_nothing_more():
    twice: dict[str, Any] = {
        **{
            name: np.concatenate([getattr(MEASURED, name)] * 2)
            for name in ("run", "labels", "weight", "shift", "error")
        },
        **{name: np.concatenate([getattr(MEASURED, name)] * 2, axis=1) for name in ("test", "generated")},
    }
    doubled = replace(MEASURED, **twice)
    again = label_statistics(CONTRACT, LIMITS, doubled, 7)
    np.testing.assert_allclose(again.ratio_upper, FIGURES.ratio_upper)
    np.testing.assert_allclose(again.bias_lower, FIGURES.bias_lower)


@pytest.mark.rounding
def test_flux_figures_are_those_of_the_flux_error_file():
    errors = flux_error_rows(
        CONTRACT, "chain", SPECTRA.labels, SPECTRA.weight, SPECTRA.run_id, SPECTRA.flux, GOOD.emulator(SPECTRA.labels)
    )
    box, figures = find(errors, "chain"), flux_figures(CONTRACT, MEASURED, MEASURED.flux)
    expected = {"mae": box.mae, "p90_mae": box.p90_mae, "hard_mae": find(errors, "chain", HARD).mae}
    assert figures == pytest.approx(expected | {"core_mae": box.core_mae}, rel=1e-5)
    np.testing.assert_allclose(
        MEASURED.residual, (GOOD.emulator(SPECTRA.labels) - SPECTRA.flux)[MEASURED.shown], atol=1e-7
    )


@pytest.mark.rounding
def test_chunks_do_not_change_what_is_measured(monkeypatch):
    monkeypatch.setattr("stellar_emulator.gate.measured_spectra.CHUNK_ROWS", 333)
    again = measure(CONTRACT, SPECTRA, GOOD, GOOD)
    np.testing.assert_allclose(again.shift, MEASURED.shift, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(again.generated, MEASURED.generated, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(again.residual, MEASURED.residual, atol=1e-7)
    np.testing.assert_array_equal(again.champion_test, again.test)
