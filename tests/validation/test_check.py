import json

import numpy as np
import pytest
from synthetic import GAIA, TINY, synthetic_rows, write_rows

from stellar_emulator.contract.expectation_limits import Expectations, Identity
from stellar_emulator.errors import InputError, RefusedError
from stellar_emulator.grid.store import open_parquet
from stellar_emulator.validation.check import check
from stellar_emulator.validation.rules import evaluate, rules
from stellar_emulator.validation.summaries import FLUX_COLUMNS, summaries
from stellar_emulator.validation.verdict import ROWS_NAMED, require_passed

AXIS = TINY.wavelength

# Synthetic lines are not those of stars: of the Gaia RVS contract, only the bounds are checked here.
BOUNDS = GAIA.model_copy(update={"expectations": Expectations()})


@pytest.fixture
def rows():
    return synthetic_rows()


@pytest.fixture
def verdict_of(tmp_path, rows):
    """Write the rows as a grid of the tiny contract and check it."""

    def written(contract=TINY, **axis):
        return check(write_rows(tmp_path / "grid.parquet", rows, **axis), contract).verdict

    return written


@pytest.mark.parametrize("contract", [TINY, BOUNDS], ids=lambda contract: contract.name)
def test_a_good_grid_passes(tmp_path, contract):
    grid = write_rows(tmp_path / "grid.parquet", synthetic_rows(contract, 4), contract)
    verdict = check(grid, contract).verdict
    assert verdict.passed
    assert verdict.faults == ()
    assert verdict.rows == 4 * contract.sampling.realisations
    assert verdict.digest == grid.digest
    assert verdict.contract_digest == contract.digest
    assert verdict.summary() == f"{verdict.rows} spectra obey the data contract"


def test_summaries_hold_one_row_a_spectrum(tmp_path, rows):
    rows.flux[3, :2] = np.nan
    rows.flux[4, 5] = np.inf
    rows.flux[5] = np.nan
    table = summaries(write_rows(tmp_path / "grid.parquet", rows), TINY)[0]
    assert list(table.columns) == ["run_id", *TINY.label_names, "weight", *FLUX_COLUMNS]
    np.testing.assert_array_equal(table[TINY.label_names].to_numpy(), rows.labels)
    assert list(table["non_finite"][2:7]) == [0, 2, 1, 777, 0]
    assert np.float32(table["flux_minimum"][3]) == np.nanmin(rows.flux[3])
    assert np.float32(table["flux_maximum"][4]) == np.delete(rows.flux[4], 5).max()
    assert np.isnan(table["flux_minimum"][5])
    assert list(table["non_finite_pixel"][2:7]) == [0, 0, 5, 0, 0]
    assert rows.flux[6, table["minimum_pixel"][6]] == rows.flux[6].min()
    assert table["flux_hash"].nunique() == len(table)


def test_a_nan_in_one_flux_is_named(verdict_of, rows):
    rows.flux[17, 300] = np.nan
    verdict = verdict_of()
    assert not verdict.passed
    assert verdict.summary() == "flux of 1 spectrum holds NaN or infinite pixels: row 17 (run 4, 1 at 5060)"
    (fault,) = verdict.faults
    assert (fault.column, fault.rows, fault.run_ids, fault.count) == ("non_finite", (17,), (4,), 1)
    assert fault.bounds == (0, 0)


def test_equal_labels_are_noted_where_the_contract_does_not_forbid_them(verdict_of, rows):
    assert not any("same labels" in note for note in verdict_of().notes)
    rows.labels[8:10] = rows.labels[0:2]
    (told,) = [note for note in verdict_of().notes if "same labels" in note]
    assert told.startswith(f"4 of {len(rows.labels)} spectra have the same labels as another: ")
    strict = TINY.model_copy(update={"expectations": Expectations(identity=Identity(run_distance=1e-6))})
    refused = verdict_of(strict)
    assert not any("same labels" in note for note in refused.notes)
    assert any(fault.column == "label_vector" for fault in refused.faults)


def test_labels_out_of_bounds_are_named(verdict_of, rows):
    rows.labels[[17, 30], 0] = 8100.0, np.inf
    assert verdict_of().summary() == (
        "teff of 2 spectra lies outside 4000 to 8000 K: rows 17 (run 4, 8100.0), 30 (run 7, inf)"
    )


def test_missing_labels_are_named(verdict_of, rows):
    rows.labels[9, 1] = np.nan
    assert verdict_of().summary() == "m_h of 1 spectrum is missing or NaN: row 9 (run 2, nan)"


@pytest.mark.parametrize("weight", [0.0, -1.0, np.inf])
def test_a_weight_must_be_a_finite_number_above_zero(verdict_of, rows, weight):
    rows.weight[2] = weight
    assert verdict_of().summary() == f"weight of 1 spectrum is not a finite number above 0: row 2 (run 0, {weight})"


def test_flux_out_of_range_is_named(verdict_of, rows):
    rows.flux[1, 4] = -0.2
    rows.flux[2, 4] = 1.25
    assert verdict_of().summary().splitlines() == [
        "flux of 1 spectrum falls below 0: row 1 (run 0, -0.2 at 5000.8)",
        "flux of 1 spectrum exceeds 1.1: row 2 (run 0, 1.25 at 5000.8)",
    ]


def test_flux_at_its_bounds_passes_in_single_precision(verdict_of, rows):
    rows.flux[1, 4], rows.flux[2, 4] = TINY.flux.lower, TINY.flux.upper
    assert verdict_of().passed


def test_all_copies_of_a_spectrum_are_named(verdict_of, rows):
    rows.flux[21] = rows.flux[6]
    (fault,) = verdict_of().faults
    assert fault.rows == (6, 21)
    assert fault.observed[0] == fault.observed[1]
    assert fault.message.startswith("flux of 2 spectra is the same as another's, pixel for pixel: rows 6 (run 1, ")


def test_many_offenders_are_counted_and_the_first_are_named(verdict_of, rows):
    rows.labels[:, 2] = -1.0
    (fault,) = verdict_of().faults
    assert fault.count == 40
    assert fault.rows == tuple(range(ROWS_NAMED))
    assert fault.message.endswith("rows 0 (run 0, -1.0), 1 (run 0, -1.0), 2 (run 0, -1.0) and 37 more")


def test_an_empty_grid_is_refused(verdict_of, rows):
    for name in ("run_id", "labels", "weight", "flux"):
        object.__setattr__(rows, name, getattr(rows, name)[:0])
    assert verdict_of().summary() == "the grid holds no spectrum"


def test_label_columns_of_another_contract_are_refused(tmp_path, rows):
    table = summaries(write_rows(tmp_path / "grid.parquet", rows), TINY)[0]

    def faults(given):
        return evaluate(given, rules(TINY, list(table.columns)), TINY.wavelength.pixels).faults

    swapped = table[[table.columns[0], "m_h", "teff", *table.columns[3:]]]
    assert [fault.message for fault in faults(swapped)] == [
        "the columns are not those of the contract, in its order (teff, m_h, vsini)"
    ]
    messages = "\n".join(fault.message for fault in faults(table.drop(columns="vsini")))
    assert "ExpectColumnValuesToNotBeNull of vsini could not be evaluated: " in messages


@pytest.mark.parametrize(
    ("axis", "message"),
    [
        (
            {"wavelength": AXIS.pixels / 10},
            "wavelengths 500-515.52 look like nm: multiply by 10 to get Angstrom",
        ),
        ({"wavelength": AXIS.pixels * 1e-4}, "look like micrometres: multiply by 10000"),
        ({"medium": "air"}, "wavelengths are in air, the contract wants vacuum: convert them"),
        ({"wavelength": AXIS.pixels / 1.00028}, "look like air, the contract wants vacuum"),
        (
            {"wavelength": AXIS.pixels + AXIS.step},
            "wavelengths 5000.2-5155.4 are not the contract's: pixel 0 lies at 5000.2 instead of 5000",
        ),
        (
            {"wavelength": AXIS.start + 0.2001 * np.arange(777)},
            "pixel 20 lies at 5004.002 instead of 5004: resample the flux to 777 pixels, 5000 to 5155.2",
        ),
        ({"wavelength": AXIS.pixels[::-1]}, "don't increase from pixel to pixel"),
        ({"wavelength": np.where(np.arange(777) == 5, np.nan, AXIS.pixels)}, "are not finite numbers"),
    ],
)
def test_wrong_wavelengths_are_named_before_any_flux_is_read(tmp_path, rows, axis, message):
    rows.flux[:] = np.nan
    grid = write_rows(tmp_path / "grid.parquet", rows, **axis)
    verdict = check(grid, TINY).verdict
    assert (verdict.passed, verdict.digest, len(verdict.faults)) == (False, "", 1)
    assert message in verdict.summary()
    with pytest.raises(InputError) as caught:
        require_passed(verdict, grid)
    assert message in str(caught.value)


def test_vacuum_wavelengths_for_an_air_contract_are_named(tmp_path):
    rows = synthetic_rows(GAIA, 1)
    grid = write_rows(tmp_path / "grid.parquet", rows, GAIA, wavelength=GAIA.wavelength.pixels * 1.000275)
    assert "wavelengths 8402.31-8802.3" in check(grid, GAIA).verdict.summary()
    assert "look like vacuum, the contract wants air" in check(grid, GAIA).verdict.summary()


def test_a_wrong_pixel_count_is_named(tmp_path, rows):
    object.__setattr__(rows, "flux", rows.flux[:, :-1].copy())
    grid = write_rows(tmp_path / "grid.parquet", rows, wavelength=AXIS.pixels[:-1])
    with pytest.raises(InputError, match=r"the spectra have 776 pixels \(5000-5155\), the contract wants 777"):
        require_passed(check(grid, TINY).verdict, grid)


def test_a_refusal_is_one_line_naming_the_first_faults(tmp_path, rows):
    rows.flux[17, 300] = np.nan
    rows.flux[18, 300] = 9.0
    rows.labels[:, :] = 1e9
    rows.weight[0] = -1.0
    grid = write_rows(tmp_path / "grid.parquet", rows)
    with pytest.raises(RefusedError) as caught:
        require_passed(check(grid, TINY).verdict, grid)
    message = str(caught.value)
    assert message.startswith("grid grid.parquet breaks the data contract: teff of 40 spectra lies outside")
    assert message.endswith("; and 3 more faults")
    assert "\n" not in message


def test_a_verdict_is_plain_json(verdict_of, rows):
    rows.labels[3, 0] = np.nan
    content = json.loads(json.dumps(verdict_of().to_dict(), allow_nan=False))
    assert content["passed"] is False
    assert content["faults"][0]["rows"] == [3]
    assert content["faults"][0]["observed"] == ["nan"]


def test_the_verdict_s_digest_ignores_row_groups(tmp_path, verdict_of, rows):
    other = write_rows(tmp_path / "other.parquet", rows, batch=5)
    assert check(open_parquet(other.path, TINY), TINY).verdict.digest == verdict_of().digest


def test_rules_follow_the_contract_alone():
    narrow = TINY.labels[0].model_copy(update={"upper": 5000.0})
    changed = TINY.model_copy(update={"labels": (narrow, *TINY.labels[1:])})
    differing = [
        (old, new) for old, new in zip(rules(TINY, ["teff"]), rules(changed, ["teff"]), strict=True) if old != new
    ]
    assert [(old.column, old.bounds, new.bounds) for old, new in differing] == [
        ("teff", (4000.0, 8000.0), (4000.0, 5000.0))
    ]
