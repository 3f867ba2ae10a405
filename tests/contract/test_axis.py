"""Axes of three spacings: where their pixels lie, and everything that asks them."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from synthetic import TINY, with_axis

from stellar_emulator.contract.axis import SPEED_OF_LIGHT, WavelengthAxis
from stellar_emulator.contract.contract import Contract, parse_contract
from stellar_emulator.errors import InputError
from stellar_emulator.evaluation.flux_error import _equivalent_width_errors
from stellar_emulator.grid.readers.user_grid import open_grid
from stellar_emulator.grid.store import axis_matches
from stellar_emulator.observed.interpret import Stated, spectra_of
from stellar_emulator.observed.readers.formats import read_tables
from stellar_emulator.observed.spectrum import ObservedSpectrum
from stellar_emulator.observed.velocity import Library, Seen
from stellar_emulator.validation.axis_fault import axis_fault
from stellar_emulator.validation.spectrum_measures import _centroid, _depth
from stellar_emulator.writers.batch import Generated
from stellar_emulator.writers.file import write_spectra

LINEAR = TINY.wavelength
LISTED_PIXELS = np.round(5000.0 + 0.1 * np.arange(400) + 2e-4 * np.arange(400) ** 2, 6)
LOGARITHMIC = with_axis("{start: 5000.0, velocity_step: 12.0, count: 400, unit: Angstrom, medium: air}")
LISTED = with_axis(f"{{wavelengths: {LISTED_PIXELS.tolist()}, unit: Angstrom, medium: vacuum}}")
ALL = pytest.mark.parametrize("contract", [TINY, LOGARITHMIC, LISTED], ids=lambda c: c.wavelength.spacing)


def test_a_logarithmic_axis_has_equal_steps_in_velocity() -> None:
    axis = LOGARITHMIC.wavelength
    assert axis.pixels[0] == 5000.0
    np.testing.assert_allclose(np.diff(np.log(axis.pixels)) * SPEED_OF_LIGHT, 12.0, rtol=1e-4)
    assert axis.stop == pytest.approx(5000.0 * np.exp(399 * 12.0 / SPEED_OF_LIGHT), abs=1e-6)
    assert axis.finest_velocity == 12.0
    assert axis.steps == "12 km/s"


def test_axes_are_the_same_whatever_they_have_computed() -> None:
    one, same = parse_contract(TINY.source), parse_contract(TINY.source)
    assert len(one.wavelength.pixels) == one.wavelength.count
    assert one == same
    assert len(same.wavelength.pixels) == one.wavelength.count
    assert one == same
    assert hash(one.wavelength) == hash(same.wavelength)
    assert one.wavelength != one.wavelength.model_copy(update={"step": 0.3})


def test_a_listed_axis_is_its_list() -> None:
    axis = LISTED.wavelength
    np.testing.assert_array_equal(axis.pixels, LISTED_PIXELS)
    assert (axis.start, axis.count) == (5000.0, 400)
    assert axis.finest == pytest.approx(0.1, abs=1e-3)


@ALL
def test_edges_lie_between_centres_and_widths_between_edges(contract: Contract) -> None:
    axis = contract.wavelength
    assert (axis.edges[:-1] < axis.pixels).all()
    assert (axis.pixels < axis.edges[1:]).all()
    np.testing.assert_allclose(axis.widths, np.diff(axis.edges), rtol=1e-6)
    assert [axis.nearest(pixel) for pixel in axis.pixels[[0, 17, -1]]] == [0, 17, axis.count - 1]
    assert axis.nearest(axis.pixels[0] - 2.0 * axis.widths[0]) < 0
    assert axis.nearest(axis.pixels[-1] + 2.0 * axis.widths[-1]) > axis.count - 1


@ALL
def test_what_a_contract_states_is_all_that_is_dumped(contract: Contract) -> None:
    """Keys of kept trainings are made of it: a linear axis of today is that of yesterday."""
    stated = {"linear": "step", "logarithmic": "velocity_step", "listed": "wavelengths"}[contract.wavelength.spacing]
    dumped = contract.wavelength.model_dump()
    assert set(dumped) == {"start", stated, "count", "unit", "medium"}
    assert WavelengthAxis.model_validate(dumped) == contract.wavelength


@pytest.mark.parametrize(
    ("axis", "message"),
    [
        ("start: 5000.0, count: 9", "give one of step .linear., velocity_step .* got none of them"),
        ("start: 5000.0, step: 0.1, velocity_step: 2.0, count: 9", "got step and velocity_step"),
        ("start: -1.0, velocity_step: 2.0, count: 9", "start must be above 0 on a logarithmic axis, got -1"),
        ("wavelengths: [5000.0, 4999.0]", "must be above 0 and ascend, but 4999 follows on 5000"),
        ("wavelengths: [5000.0]", r"wavelength\.count: .*greater than or equal to 2"),
        ("start: 1.0, wavelengths: [5000.0, 5001.0]", "start 1 and count 2 are not those of the wavelengths listed"),
        ("wavelengths: []", "wavelength.start: Field required"),
    ],
)
def test_a_misuse_is_refused_by_name(axis: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        with_axis(f"{{{axis}, unit: Angstrom, medium: air}}")


@ALL
def test_a_line_is_found_where_it_is(contract: Contract) -> None:
    """Core depth, centroid, equivalent width: the same line on every axis."""
    axis = contract.wavelength
    place = float(axis.pixels[150]) + 0.02
    flux = (1.0 - 0.5 * np.exp(-0.5 * ((axis.pixels - place) / 1.0) ** 2)).astype(np.float32)[None]
    assert _depth(flux, axis, place)[0] == pytest.approx(0.5, abs=0.03)
    assert _centroid(flux, axis, place, 4.0)[0] == pytest.approx(0.0, abs=0.02)
    window = np.abs(axis.pixels - place) < 6.0
    width = axis.integral(1.0 - flux[:, window], window)
    assert width[0] == pytest.approx(0.5 * np.sqrt(2.0 * np.pi), rel=1e-3)


def test_equivalent_widths_are_in_milliangstrom_on_every_axis() -> None:
    """The errors of one and the same wide feature, 0.01 deep over the window of 20 A."""
    for contract in (TINY, with_axis("{start: 5000.0, velocity_step: 12.0, count: 777, unit: Angstrom, medium: air}")):
        error = np.full((1, contract.wavelength.count), 0.01, dtype=np.float32)
        (found,) = _equivalent_width_errors(contract, error, np.ones(1, dtype=np.float32)).values()
        assert found == pytest.approx(200.0, rel=0.02)


@ALL
def test_a_pixel_off_by_a_tenth_is_not_the_contract_s(contract: Contract) -> None:
    axis = contract.wavelength
    assert axis_matches(axis.pixels.astype(np.float32).astype(np.float64), axis)
    moved = axis.pixels.copy()
    moved[7] += 0.1 * axis.widths[7]
    assert not axis_matches(moved, axis)
    assert "pixel 7 lies at" in axis_fault(moved, axis.medium, axis)
    assert axis.steps in axis_fault(moved, axis.medium, axis)


@ALL
def test_a_shift_is_measured_on_every_axis(contract: Contract) -> None:
    axis = contract.wavelength
    places = np.linspace(axis.start, axis.stop, 7)[1:-1, np.newaxis]
    flux = 1.0 - 0.5 * np.exp(-0.5 * ((axis.pixels - places) / 0.8) ** 2).sum(axis=0)
    library = Library(axis, np.zeros((1, 1)), flux.astype(np.float32)[None])
    seen = Seen(axis.pixels * (1.0 + 30.0 / SPEED_OF_LIGHT), flux, np.full(axis.count, 0.01))
    ((match,),) = library.matches([seen])
    assert match.velocity == pytest.approx(30.0, abs=0.5)


def generated(contract: Contract) -> Generated:
    flux = np.linspace(0.1, 1.0, contract.wavelength.count, dtype=np.float32)[None]
    return Generated(contract, "1", "abc", 1, iter([(contract.lower[None], flux)]))


@pytest.mark.parametrize("contract", [TINY, LOGARITHMIC], ids=["vacuum", "air"])
def test_fits_states_the_axis_as_the_standard_has_it(contract: Contract, tmp_path) -> None:
    path = tmp_path / "star.fits"
    write_spectra(path, generated(contract))
    with fits.open(path) as hdus:
        header = hdus[0].header
        found = WCS(header).wcs_pix2world(np.arange(contract.wavelength.count), 0)[0]
    assert header["CTYPE1"] == {"linear": "WAVE", "logarithmic": "AWAV-LOG"}[contract.wavelength.spacing]
    np.testing.assert_allclose(found * 1e10, contract.wavelength.pixels, rtol=0, atol=2e-6)
    (table,) = read_tables(path)
    (spectrum,) = spectra_of(table, contract.wavelength, Stated(None, None, 100.0))
    assert isinstance(spectrum, ObservedSpectrum)
    np.testing.assert_allclose(spectrum.wavelength, contract.wavelength.pixels, rtol=0, atol=2e-6)
    assert spectrum.medium == contract.wavelength.medium


def test_a_fits_image_can_t_state_a_list(tmp_path) -> None:
    with pytest.raises(InputError, match=r"contract tiny are listed.*give \.parquet or \.csv"):
        write_spectra(tmp_path / "star.fits", generated(LISTED))


@ALL
def test_parquet_is_read_back_as_a_grid_and_as_observed(contract: Contract, tmp_path) -> None:
    path = tmp_path / "stars.parquet"
    write_spectra(path, generated(contract))
    np.testing.assert_allclose(open_grid(path, contract, tmp_path).wavelength, contract.wavelength.pixels, atol=1e-6)
    (table,) = read_tables(path)
    (spectrum,) = spectra_of(table, contract.wavelength, Stated("Angstrom", None, 100.0))
    assert isinstance(spectrum, ObservedSpectrum)
    np.testing.assert_allclose(spectrum.wavelength, contract.wavelength.pixels, rtol=0, atol=1e-6)


def test_an_unknown_field_of_an_axis_is_refused() -> None:
    with pytest.raises(InputError, match=r"wavelength\.pace"):
        parse_contract(TINY.source.replace("step: 0.2", "pace: 0.2"))


@ALL
@pytest.mark.parametrize("pixels", [2, 3])
def test_every_so_many_pixels_are_an_axis(contract: Contract, pixels: int) -> None:
    axis = contract.wavelength
    found = axis.every(pixels)
    np.testing.assert_allclose(found.pixels, axis.pixels[::pixels], atol=1e-5)
    assert found.medium == axis.medium
    assert found.spacing == axis.spacing
