"""Departures of Ca II from LTE: what the table holds, and where it is applied."""

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from stellar_emulator.contract.contract import Contract, parse_contract, read_contract
from stellar_emulator.errors import InputError
from stellar_emulator.grid.departures.departures import (
    CA_II,
    INSTEAD,
    LIMIT,
    LINES,
    VELOCITIES,
    WIDTH,
    depart,
    known_limits,
    read_departures,
    stated,
)
from stellar_emulator.grid.shards import read_intrinsic_grid
from stellar_emulator.grid.source import embedded_folder

STARS = read_contract("rvs_stars")
IN_LTE = parse_contract(STARS.source.replace("departures: ca_ii\n", ""))
SUN = (5772.0, 4.44, 0.0, 0.0, 1.0)
POOR_GIANT = (4620.0, 1.4, -2.6, 0.4, 2.0)


def runs(*stars: tuple[float, ...]) -> np.ndarray:
    """Run labels of rvs_stars, of stars in the order of the table's labels."""
    teff, logg, m_h, alpha_m, vmicro = np.array(stars).T
    return np.column_stack([teff, logg, m_h, alpha_m, np.zeros(len(teff)), vmicro])


def departed(contract: Contract, *stars: tuple[float, ...]) -> np.ndarray:
    """Their flux over that in LTE, which is half of the continuum everywhere."""
    flux = np.full((len(stars), len(contract.intrinsic.wavelength)), 0.5, dtype=np.float32)
    depart(contract, runs(*stars), flux)
    return 2.0 * flux


def test_cores_are_deeper_and_lines_of_metal_poor_giants_wider() -> None:
    """As of HD 122563, whose cores at a resolution of 25,000 are half as bright as in LTE (docs/grid.md)."""
    table = read_departures()
    sun, giant = table.at(np.array([SUN, POOR_GIANT]))
    core, shoulder = np.abs(VELOCITIES) < 1.0, (np.abs(VELOCITIES) > 7.0) & (np.abs(VELOCITIES) < 10.0)
    assert (sun[:, core] < -0.3).all()
    assert (giant[:, core] < -0.5).all()
    strong = slice(1, 3)
    assert (giant[strong][:, shoulder].mean(axis=1) < sun[strong][:, shoulder].mean(axis=1) - 0.03).all()
    assert (np.abs(sun[:, np.abs(VELOCITIES) > 30.0]) < 0.01).all()
    np.testing.assert_allclose(table.at(np.array([SUN]))[:, :, [0, -1]], 0.0, atol=1e-6)


def test_lines_alone_are_changed_in_air_and_in_vacuum() -> None:
    axis = STARS.intrinsic
    assert axis is not None
    flux = departed(STARS, SUN, POOR_GIANT)
    away = np.abs(axis.wavelength[:, np.newaxis] / np.array(LINES) - 1.0).min(axis=1) * 299792.458
    assert (flux[:, away > 200.0] == 1.0).all()
    for line in LINES:
        near = np.flatnonzero(np.abs(axis.wavelength - line) < 1.0)
        assert abs(axis.wavelength[near[flux[1, near].argmin()]] - line) < 0.05
    vacuum = STARS.model_copy(update={"intrinsic": axis.model_copy(update={"medium": "vacuum"})})
    moved = departed(vacuum, SUN)
    assert abs(axis.wavelength[moved[0].argmin()] - axis.wavelength[flux[0].argmin()] - 2.34) < 0.1


def test_runs_are_read_with_departures_where_the_contract_says_so() -> None:
    folder = embedded_folder(STARS, "gate")
    ours, in_lte = read_intrinsic_grid(folder, STARS), read_intrinsic_grid(folder, IN_LTE)
    expected = in_lte.flux.copy()
    depart(STARS, in_lte.labels, expected)
    np.testing.assert_array_equal(ours.flux, expected)
    assert np.abs(ours.flux - in_lte.flux).max(axis=1).min() > 0.005
    assert ours.provenance["departures"] == stated(STARS)["departures"]
    before, after = (list(one.provenance["known_limits"]) for one in (in_lte, ours))  # type: ignore[call-overload]
    assert after == [INSTEAD if limit == LIMIT else limit for limit in before]
    assert LIMIT in before


def test_no_line_rises_above_what_is_beside_it() -> None:
    """Overionisation leaves hardly any line of hot stars of low metallicity, and Paschen lines lower what is beside."""
    in_lte = read_intrinsic_grid(embedded_folder(IN_LTE, "gate"), IN_LTE)
    hot = np.flatnonzero((in_lte.labels[:, 0] > 7000.0) & (in_lte.labels[:, 2] < -2.0))
    flux = in_lte.flux[hot].copy()
    depart(STARS, in_lte.labels[hot], flux)
    before, after = (as_seen(each) for each in (in_lte.flux[hot], flux))
    for line in LINES:
        away = np.abs(STARS.intrinsic.wavelength / line - 1.0) * 299792.458
        near, beside = away < 20.0, away < 60.0
        highest = np.maximum(before[:, beside].max(axis=1), 0.0)
        assert (after[:, near].max(axis=1) < highest + 5e-3).all()
    assert np.abs(after - before).max() > 0.1


def as_seen(flux: np.ndarray) -> np.ndarray:
    return gaussian_filter1d(flux, WIDTH / STARS.intrinsic.velocity_step, axis=1)


def test_what_the_compact_form_loses_stays_lost() -> None:
    """Its spectra are right as the sharpest instrument sees them, and wrong by up to 0.15 in single bins."""
    runs_in_lte = read_intrinsic_grid(embedded_folder(IN_LTE, "gate"), IN_LTE).take(np.arange(200))
    flux, other = runs_in_lte.flux.copy(), runs_in_lte.flux.copy()
    other[:, ::2] += 0.1
    other[:, 1::2] -= 0.1
    unseen = np.abs(as_seen(other) - as_seen(flux)).max()
    depart(STARS, runs_in_lte.labels, flux)
    depart(STARS, runs_in_lte.labels, other)
    assert np.abs(as_seen(other) - as_seen(flux)).max() < unseen + 1e-4
    assert np.abs(flux - runs_in_lte.flux).max() > 0.1


def test_nothing_is_said_or_changed_without_departures() -> None:
    assert stated(IN_LTE) == {}
    assert known_limits(IN_LTE, [LIMIT]) == [LIMIT]
    assert (departed(IN_LTE, SUN) == 1.0).all()
    assert "departures" not in IN_LTE.model_dump()


def test_contracts_that_lack_what_departures_need_are_refused() -> None:
    without = STARS.source.replace("name: vmicro", "name: micro")
    with pytest.raises(InputError, match=r"departures: ca_ii needs labels of kind run \(vmicro missing\)"):
        parse_contract(without.replace("vmicro:", "micro:"))
    with pytest.raises(InputError, match="departures: Input should be 'ca_ii'"):
        parse_contract(STARS.source.replace("departures: ca_ii", "departures: na_i"))


def test_labels_beyond_the_table_and_calcium_by_itself_are_refused() -> None:
    wider = parse_contract(STARS.source.replace("lower: 0.3, upper: 4.0", "lower: 0.2, upper: 4.0"))
    flux = np.ones((1, len(STARS.intrinsic.wavelength)), dtype=np.float32)
    with pytest.raises(InputError, match=r"known for vmicro from 0\.3 to 4, not from 0\.2 to 4: narrow the label"):
        depart(wider, runs(SUN), flux)
    calcium = STARS.source.replace("name: n_m,", "name: ca_m,")
    with pytest.raises(InputError, match="departures: ca_ii follows alpha_m, not ca_m"):
        parse_contract(calcium)


def test_runs_beyond_the_nodes_are_refused() -> None:
    flux = np.ones((2, len(STARS.intrinsic.wavelength)), dtype=np.float32)
    with pytest.raises(InputError, match=r"not known at Teff = 7900 K and log g = 0\.5: draw runs within the hull"):
        depart(STARS, runs(SUN, (7900.0, 0.5, -1.0, 0.0, 2.0)), flux)
    corners = runs(*((teff, logg, -1.0, 0.0, 2.0) for teff, logg in STARS.hull.corners))
    depart(STARS, corners, np.ones((len(corners), flux.shape[1]), dtype=np.float32))


@pytest.mark.parametrize(("start", "stop"), [(8380.0, 8600.0), (8545.0, 8893.0), (8367.0, 8493.0), (8700.0, 8893.0)])
def test_axes_that_lack_a_line_or_half_of_it_are_changed_elsewhere(start: float, stop: float) -> None:
    part = STARS.model_copy(update={"intrinsic": STARS.intrinsic.model_copy(update={"start": start, "stop": stop})})
    flux, whole = departed(part, POOR_GIANT)[0], departed(STARS, POOR_GIANT)[0]
    assert np.isfinite(flux).all()
    seen = [line for line in LINES if start + 10.0 < line < stop - 10.0]
    for line in seen:
        assert flux[np.abs(part.intrinsic.wavelength - line).argmin()] < 0.7
    away = np.abs(part.intrinsic.wavelength[:, np.newaxis] - np.array(LINES)).min(axis=1) > 6.0
    assert (flux[away] == 1.0).all()
    assert whole.min() < 0.7


def test_dark_runs_stay_dark() -> None:
    flux = np.zeros((1, len(STARS.intrinsic.wavelength)), dtype=np.float32)
    depart(STARS, runs(SUN), flux)
    assert (flux == 0.0).all()


@pytest.mark.parametrize("size", [0, 4, 5000])
def test_a_damaged_table_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "ca_ii.npz"
    path.write_bytes(CA_II.read_bytes()[:size])
    with pytest.raises(InputError, match=r"ca_ii\.npz is no table of departures: install the package again"):
        read_departures(path)
