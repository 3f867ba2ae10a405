from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from synthetic import GAIA, TINY

from stellar_emulator.grid import sampling
from stellar_emulator.validation.grid_statistics import Correlation, empty_bins, rank_correlation
from stellar_emulator.validation.residuals import RESIDUAL, label_residuals
from stellar_emulator.validation.run_consistency import run_columns
from stellar_emulator.validation.spectrum_measures import measure

PIXELS = GAIA.wavelength.pixels


def line(place=8542.09, width=1.0, depth=0.5):
    return (1.0 - depth * np.exp(-0.5 * ((PIXELS - place) / width) ** 2)).astype(np.float32)


def measured(*spectra):
    return measure(np.array(spectra, dtype=np.float32), GAIA)


def test_the_width_of_a_line_follows_its_blur_and_not_its_depth():
    narrow, wide, shallow = measured(line(), line(width=2.0), line(depth=0.2))["line width"]
    assert wide / narrow == pytest.approx(2.0, rel=1e-2)
    assert shallow == pytest.approx(narrow, rel=1e-2)


def test_the_depth_is_taken_at_the_line_s_place():
    found = measured(line(depth=0.7), line(place=8550.0, depth=0.7))["depth Ca II 8542"]
    np.testing.assert_allclose(found, [0.7, 0.0], atol=0.01)


@pytest.mark.parametrize("shift", [-0.1, 0.0, 0.03, 0.1])
def test_the_centroid_follows_a_line(shift):
    (found,) = measured(line(place=8542.09 + shift, width=0.5))["position Ca II 8542"]
    assert found == pytest.approx(shift, rel=0.35, abs=5e-3)


def test_a_spectrum_without_the_line_has_it_nowhere():
    assert measured(np.full(4000, 0.9))["position Ca II 8542"] == [np.inf]


def test_a_lone_pixel_is_a_spike_of_its_height_and_a_narrow_line_is_none():
    spiky = line()
    spiky[1234] += 0.02
    found = measured(spiky, line(width=0.35))
    assert found["spike"][0] == pytest.approx(0.02, rel=1e-3)
    assert found["spike_pixel"][0] == 1234
    assert found["spike"][1] < GAIA.expectations.spike.upper


def test_the_longest_repeat_counts_its_pixels():
    steps = np.linspace(0.5, 1.0, 4000)
    stuck = steps.copy()
    stuck[100:103], stuck[3990:] = stuck[100], stuck[3990]
    np.testing.assert_array_equal(measured(steps, stuck)["repeated_pixels"], [1, 10])
    pair = steps.copy()
    pair[7] = pair[8]
    assert measured(pair)["repeated_pixels"] == [2]
    assert measured(np.ones(4000))["repeated_pixels"] == [4000]


def test_clipped_pixels_lie_exactly_on_a_bound():
    flux = line()
    flux[[3, 4]], flux[5] = GAIA.flux.lower, GAIA.flux.upper
    assert measured(flux)["clipped_pixels"] == [3]


def correlated(rows=400):
    random = np.random.default_rng(3)
    table = pd.DataFrame(random.random((rows, 2)), columns=["teff", "m_h"])
    table["width"] = np.exp(3.0 * table["teff"]) * np.exp(-2.0 * table["m_h"])
    return table


def value(*given):
    found = rank_correlation(*given)
    assert found is not None
    return found.value


def test_a_rank_correlation_holds_other_labels_fixed():
    table = correlated()
    assert value(table, "width", "teff", [], {}, 10) == pytest.approx(0.8, abs=0.06)
    assert value(table, "width", "teff", ["m_h"], {}, 10) > 0.97
    assert value(table, "width", "m_h", ["teff"], {}, 10) < -0.94


def test_a_rank_correlation_looks_only_where_it_is_told_and_needs_enough_values():
    table = correlated()
    table.loc[table["teff"] > 0.5, "width"] = 1.0
    assert value(table, "width", "teff", ["m_h"], {"teff": (0.0, 0.5)}, 10) > 0.95
    assert rank_correlation(table, "width", "teff", ["m_h"], {"teff": (0.0, 0.01)}, 100) is None
    assert value(table.assign(width=1.0), "width", "teff", [], {}, 10) == 0.0


def test_small_grids_may_miss_a_bound_by_what_chance_makes_of_their_correlation():
    few = rank_correlation(correlated(60), "width", "teff", ["m_h"], {}, 10)
    assert few.lies_between(-1.0, few.value - 0.005)
    assert not few.lies_between(-1.0, few.value - 0.03)
    many = Correlation(few.value, few.spread / 10.0)
    assert not many.lies_between(-1.0, few.value - 0.005)
    weak = Correlation(-0.17, 2.0 * 1.03 / np.sqrt(180.0))
    assert weak.lies_between(-1.0, -0.2)
    assert not replace(weak, value=0.0).lies_between(-1.0, -0.2)


def test_empty_bins_are_those_of_the_sampling_density():
    label = GAIA.labels[0]
    drawn = sampling.warped(label, np.random.default_rng(1).random(1000))
    assert empty_bins(label, drawn, 10, 200) == []
    edges = sampling.warped(label, np.linspace(0.0, 1.0, 11))
    holed = drawn[(drawn < edges[3]) | (drawn > edges[4])]
    assert empty_bins(label, holed, 10, 200) == [f"{edges[3]:.4g} to {edges[4]:.4g}"]
    assert empty_bins(label, holed[:150], 10, 200) is None


def test_unwarping_undoes_the_sampling():
    unit = np.linspace(0.0, 1.0, 50)
    for label in GAIA.labels:
        np.testing.assert_allclose(sampling.unwarped(label, sampling.warped(label, unit)), unit, atol=1e-12)
    assert list(sampling.unwarped(GAIA.labels[0], np.array([0.0, 1e9]))) == [0.0, 1.0]


def of_runs(labels, run_id):
    return run_columns(TINY, pd.DataFrame(labels, columns=TINY.label_names).assign(run_id=run_id))


def test_the_row_that_strays_from_its_run_is_told_from_the_others():
    labels = np.array([[5000.0, 0.0, 1.0], [5000.0, 0.0, 2.0], [5001.0, 0.0, 3.0], [7000.0, 0.1, 1.0]])
    found = of_runs(labels, [0, 0, 0, 1])
    np.testing.assert_allclose(found["run_label_share"], [2 / 3, 2 / 3, 1 / 3, 1.0], atol=1e-4)
    np.testing.assert_allclose(found["run_distance"], 0.5)


def test_a_run_alone_is_infinitely_far_and_missing_labels_tell_nothing():
    found = of_runs(np.array([[5000.0, 0.0, 1.0], [np.nan, 0.0, 2.0]]), [0, 0])
    assert found["run_distance"][0] == np.inf
    assert found.loc[1].isna().all()


def test_too_few_spectra_have_no_residual():
    columns = ["line width", "mean flux", *(f"depth {line}" for line in GAIA.regions.line_cores)]
    columns += [f"band {number}" for number in range(10)]
    table = pd.DataFrame(0.5, index=range(20), columns=["run_id", *GAIA.label_names, *columns])
    assert np.isnan(label_residuals(GAIA, table)[RESIDUAL]).all()
