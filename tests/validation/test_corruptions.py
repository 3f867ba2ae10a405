"""Every kind of corruption is found in a grid of 5,000 real spectra, and the message names fault and spectra."""

from itertools import combinations

import numpy as np
import pytest
from corruptions import NAMES, PIXELS, SINGLE, column, copy_of, good_rows, in_memory, swapped, with_flux, with_labels
from synthetic import GAIA

from stellar_emulator.contract.contract import parse_contract
from stellar_emulator.validation.check import check, check_summaries
from stellar_emulator.validation.summaries import label_table

# Without the further expectations, whose kinds of mistakes have tests of their own.
CONTRACT = parse_contract(GAIA.source)

CORRELATION = "ExpectRankCorrelationToBeBetween"


@pytest.fixture(scope="module")
def rows():
    return good_rows()


@pytest.fixture(scope="module")
def good(rows):
    return check(in_memory(rows), CONTRACT)


@pytest.fixture(scope="module")
def corrupted(rows):
    """All kinds of corruption of one spectrum in one grid, each in a run of its own: rows by kind, and the check."""
    bad, named = copy_of(rows), {}
    for number, single in enumerate(SINGLE):
        named[single.kind] = single.do(bad, number)
    return named, check(in_memory(bad), CONTRACT)


def faults_of_labels(good, rows):
    """Check other labels with the good spectra's flux, which need not be read again."""
    table = good.summaries.assign(**label_table(in_memory(rows)))
    further = ["label_vector", "label_residual", "run_label_share", "run_part_share", "run_distance"]
    return check_summaries(table.drop(columns=further), CONTRACT)[1].faults


def breaches(validation, row, expectation):
    table = validation.violations
    return table[(table["row"] == row) & (table["expectation"] == expectation)]


def messages(faults, expectation):
    return [fault.message for fault in faults if fault.expectation == expectation]


def test_the_untouched_grid_passes(good):
    assert good.verdict.summary() == "5000 spectra obey the data contract"
    assert good.violations.empty
    assert good.verdict.notes == ("the grid carries no digest: it can't be compared with what was once written",)


@pytest.mark.parametrize("single", SINGLE, ids=lambda single: single.kind)
def test_one_bad_spectrum_is_found(corrupted, single):
    named, validation = corrupted
    of_row = breaches(validation, named[single.kind], single.expectation)
    assert len(of_row)
    assert single.says.replace(" of 1 spectrum", "") in " ".join(of_row["message"])
    assert any(single.says in message for message in messages(validation.verdict.faults, single.expectation))


def test_good_spectra_beside_bad_ones_are_not_blamed(corrupted, rows):
    named, validation = corrupted
    touched = {int(rows.run_id[row]) for row in named.values()}
    blamed = {int(rows.run_id[row]) for row in validation.violations["row"] if row >= 0}
    # The run that a row was moved to, the runs whose spectra were copied or exchanged.
    assert len(blamed - touched) <= 3


def test_a_spike_is_named_with_its_pixel(corrupted):
    named, validation = corrupted
    (found,) = breaches(validation, named["a spike upward"], "ExpectNoSpikes").itertuples()
    assert (found.pixel, found.wavelength) == (2000, PIXELS[2000])
    assert found.observed == pytest.approx(0.01, abs=2e-3)


@pytest.mark.parametrize("pair", list(combinations(NAMES, 2)), ids="-".join)
def test_two_swapped_label_columns_are_found(good, rows, pair):
    found = messages(faults_of_labels(good, swapped(rows, *pair)), CORRELATION)
    assert any(f"with {name}, other labels" in message for message in found for name in pair)
    assert "labels and flux don't belong together (swapped columns, shifted or shuffled rows)" in found[0]


@pytest.mark.parametrize("shift", [1, 8])
def test_labels_shifted_by_rows_or_runs_are_found(good, rows, shift):
    faults = faults_of_labels(good, with_labels(rows, np.roll(rows.labels, shift, axis=0)))
    assert messages(faults, CORRELATION)


def test_shuffled_labels_are_found(good, rows):
    order = np.random.default_rng(1).permutation(len(rows.labels))
    assert len(messages(faults_of_labels(good, with_labels(rows, rows.labels[order])), CORRELATION)) == 7


@pytest.mark.parametrize("name", NAMES)
def test_a_label_upside_down_is_found(good, rows, name):
    labels = rows.labels.copy()
    place = column(name)
    labels[:, place] = GAIA.lower[place] + GAIA.upper[place] - labels[:, place]
    found = messages(faults_of_labels(good, with_labels(rows, labels)), CORRELATION)
    assert any(f"with {name}, other labels" in message for message in found)


@pytest.mark.parametrize(("name", "factor"), [("teff", 1e-3), ("vsini", 1e3), ("resolution", 1e-3)])
def test_labels_in_other_units_are_found(good, rows, name, factor):
    labels = rows.labels.copy()
    labels[:, column(name)] *= factor
    faults = faults_of_labels(good, with_labels(rows, labels))
    assert any(fault.column == name and f"{name} of" in fault.message for fault in faults)


def test_an_empty_part_of_a_label_s_range_is_found(good, rows):
    table = good.summaries[~good.summaries["logg"].between(3.1, 3.7)].reset_index(drop=True)
    (fault,) = check_summaries(table, CONTRACT)[1].faults
    assert fault.message == "logg leaves a part of its range empty: no spectrum at 3.2 to 3.5 dex"


@pytest.fixture(scope="module")
def corrupted_throughout(rows):
    """Corruptions of the flux of all spectra, which don't hide each other: a stuck pixel, wavelengths off by one."""
    flux = np.roll(rows.flux, 1, axis=1)
    flux[:, 777] = flux[0, 777]
    return check(in_memory(with_flux(rows, flux)), CONTRACT)


def test_a_stuck_pixel_is_found(corrupted_throughout):
    (message,) = messages(corrupted_throughout.verdict.faults, "ExpectPixelsToVary")
    assert message == "flux of 1 pixel changes by less than 0.01 over the whole grid: pixel 777 (0.0 at 8477.7)"
    (found,) = breaches(corrupted_throughout, -1, "ExpectPixelsToVary").itertuples()
    assert (found.pixel, found.wavelength) == (777, PIXELS[777])


def test_wavelengths_off_by_one_pixel_are_found_in_all_slow_rotators(good, corrupted_throughout):
    (fault,) = [
        fault for fault in corrupted_throughout.verdict.faults if fault.expectation == "ExpectLinesAtTheirPlaces"
    ]
    assert fault.count == good.summaries["position Ca II 8542"].notna().sum() > 100


def test_a_grid_normalised_twice_is_found(good, rows):
    flux = rows.flux / np.quantile(rows.flux, 0.95, axis=1, keepdims=True)
    (fault,) = [
        fault
        for fault in check(in_memory(with_flux(rows, flux)), CONTRACT).verdict.faults
        if fault.expectation == "ExpectContinuumNearOne"
    ]
    assert fault.count > 4000


def test_a_digest_is_held_against_the_content(good, rows):
    small = [part[:40] for part in (rows.run_id, rows.labels, rows.weight, rows.flux)]
    few = type(rows)(*small)
    right = check(in_memory(few), CONTRACT).verdict
    assert right.passed
    assert check(in_memory(few, digest=right.digest), CONTRACT).verdict.passed
    wrong = check(in_memory(few, digest="0" * 64), CONTRACT).verdict
    assert "its provenance recorded another digest" in wrong.summary()


def test_a_small_grid_is_noted_not_refused(rows):
    small = [part[:40] for part in (rows.run_id, rows.labels, rows.weight, rows.flux)]
    verdict = check(in_memory(type(rows)(*small)), CONTRACT).verdict
    assert verdict.passed
    notes = "\n".join(verdict.notes)
    assert "not evaluated, the grid has fewer than 1000 spectra: spectra that don't follow their labels" in notes
    assert (
        "not evaluated, the grid has too few different values: The rank correlation of line width with vsini" in notes
    )
    assert "not evaluated, the grid has too few different values: teff has spectra in each of 10" in notes
