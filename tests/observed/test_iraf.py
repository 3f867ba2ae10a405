"""Images as IRAF writes them: bands, apertures, orders, and every way in which it states wavelengths."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from read_surveys import line_of, read
from survey_files import LINE, spectrum

from stellar_emulator.contract.axis import WavelengthAxis
from stellar_emulator.errors import InputError
from stellar_emulator.observed.interpret import Stated
from stellar_emulator.observed.orders import spectra_in
from stellar_emulator.observed.readers.formats import read_tables
from stellar_emulator.observed.spectrum import ObservedSpectrum

PIXELS = 1200
START, STEP = 8400.0, 0.25
LINEAR = START + STEP * np.arange(PIXELS)
EQUISPEC = {
    "WAT0_001": "system=equispec",
    "WAT1_001": "wtype=linear label=Wavelength units=Angstroms",
    "CTYPE1": "LINEAR",
    "CRVAL1": START,
    "CD1_1": STEP,
    "CRPIX1": 1.0,
    "CUNIT1": "pixel",
    "DC-FLAG": 0,
    "APNUM1": "1 1 215.78 226.27",
}
BANDS = {
    "BANDID1": "spectrum - background fit, weights variance, clean yes",
    "BANDID2": "background - background fit",
    "BANDID3": "sigma - background fit, weights variance, clean yes",
}


def write(path: Path, image: np.ndarray, cards: Mapping[str, object]) -> Path:
    hdu = fits.PrimaryHDU(image.astype(np.float32))
    hdu.header.update(cards)
    hdu.writeto(path, overwrite=True)
    return path


def test_shifts_that_dopcor_noted_are_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", spectrum(LINEAR), {**EQUISPEC, "DOPCOR01": "  -22.79 all"})
    (found,) = read(path, medium="air")
    assert "the wavelengths were shifted before, by IRAF's dopcor: DOPCOR01 = -22.79 all" in found.notes
    assert "frame not stated" in found.reading


def with_wat2(specs: list[str]) -> dict[str, object]:
    """Cards of a multispec image; what WAT2 says is cut into cards of 68 characters wherever that falls."""
    text = "wtype=multispec " + " ".join(f'spec{number + 1} = "{spec}"' for number, spec in enumerate(specs))
    cards = {f"WAT2_{number + 1:03d}": text[at : at + 68] for number, at in enumerate(range(0, len(text), 68))}
    first = {"WAT0_001": "system=multispec", "WAT1_001": "wtype=multispec label=Wavelength units=angstroms"}
    return {**first, "CTYPE1": "MULTISPE", "CTYPE2": "MULTISPE", "CRVAL1": 1.0, "CDELT1": 1.0, "CD1_1": 1.0, **cards}


@pytest.mark.parametrize("shape", [(PIXELS,), (1, PIXELS), (1, 1, PIXELS)])
def test_one_spectrum_has_any_number_of_axes(shape: tuple[int, ...], tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", spectrum(LINEAR).reshape(shape), EQUISPEC)
    (found,) = read(path, medium="air")
    assert line_of(found) == pytest.approx(LINE, abs=0.15)
    assert "IRAF spectrum; wavelengths in Angstrom" in found.reading
    with pytest.raises(InputError, match="air or in vacuum: state --medium"):
        read(path)


@pytest.mark.parametrize("flat", [False, True])
def test_bands_are_what_their_names_say(flat: bool, tmp_path: Path) -> None:
    cube = np.stack([spectrum(LINEAR, 100.0), np.full(PIXELS, 20.0), np.full(PIXELS, 2.0)])
    path = write(tmp_path / "a.fits", cube if flat else cube[:, None], {**EQUISPEC, **BANDS})
    (found,) = read(path, medium="air")
    np.testing.assert_allclose(found.error, 2.0)
    assert "other bands are not used: background - background fit" in found.notes
    swapped = {**BANDS, "BANDID1": BANDS["BANDID2"], "BANDID2": BANDS["BANDID1"]}
    (other,) = read(write(tmp_path / "b.fits", cube[[1, 0, 2]][:, None], {**EQUISPEC, **swapped}), medium="air")
    np.testing.assert_array_equal(found.flux, other.flux)
    with pytest.raises(InputError, match="3 bands, and no BANDID cards say what they are"):
        read(write(tmp_path / "c.fits", cube[:, None], EQUISPEC), medium="air")


def test_apertures_on_top_of_each_other_are_spectra_of_their_own(tmp_path: Path) -> None:
    rows = np.stack([spectrum(LINEAR, 100.0, seed=seed) for seed in (1, 2)])
    path = write(tmp_path / "a.fits", rows, {**EQUISPEC, "APNUM2": "7 7 300. 310."})
    assert len(read(path, medium="air")) == 2
    (second,) = read(path, "aperture=7", medium="air")
    assert second.name.endswith("[aperture 7]")
    np.testing.assert_allclose(second.flux, rows[1], rtol=1e-6)


def test_orders_side_by_side_are_pieces_of_one_spectrum(tmp_path: Path) -> None:
    starts = [8150.0, 8240.0, 8480.0, 8570.0, 8900.0, 9100.0]
    specs = [f"{n + 1} {70 - n} 0 {start} 0.1 1000 0. 1. 1." for n, start in enumerate(starts)]
    rows = np.stack([spectrum(start + 0.1 * np.arange(1000), 100.0 * (n + 1)) for n, start in enumerate(starts)])
    path = write(tmp_path / "a.fits", rows, with_wat2(specs))
    near = WavelengthAxis(start=8400.0, step=0.1, count=4000, unit="Angstrom", medium="air")
    (found,) = spectra_in(read_tables(path), near, Stated(medium="air"))
    assert isinstance(found, ObservedSpectrum)
    assert [round(found.wavelength[piece][-1]) for piece in found.orders] == [8575, 8670]
    assert len(found.ends) == 1
    assert line_of(found) == pytest.approx(LINE, abs=0.15)
    assert "order 67" in found.reading
    far = WavelengthAxis(start=5000.0, step=0.1, count=1000, unit="Angstrom", medium="air")
    (refused,) = spectra_in(read_tables(path), far, Stated(medium="air"))
    assert "none of the file's 6 pieces lies on the model's axis, such as" in str(refused)


def chebyshev(start: float, step: float) -> str:
    """A straight line from pixel 1 to 1200, in Chebyshev polynomials."""
    return f"1. 0. 1 3 1. {PIXELS}. {start + step * (PIXELS - 1) / 2.0} {step * (PIXELS - 1) / 2.0} 0."


FUNCTIONS = {
    "linear": f"1 1 0 {START} {STEP} {PIXELS} 0. 1. 1.",
    "log10": f"1 1 1 {np.log10(START):.15g} {np.log10((START + 300.0) / START) / 1199:.15g} {PIXELS} 0. 1. 1.",
    "Chebyshev": f"1 1 2 {START} {STEP} {PIXELS} 0. 1. 1. {chebyshev(START, STEP)}",
    "Legendre": f"1 1 2 {START} {STEP} {PIXELS} 0. 1. 1. {chebyshev(START, STEP).replace(' 0. 1 3', ' 0. 2 3')}",
    "two functions": f"1 1 2 {START} {STEP} {PIXELS} 0. 1. 1. 0.5 0. "
    f"{chebyshev(START, STEP)[6:]} 0.5 0. {chebyshev(START, STEP)[6:]}",
    "linear spline": f"1 1 2 {START} {STEP} {PIXELS} 0. 1. 1. 1. 0. 4 2 1. {PIXELS}. {START} "
    f"{START + STEP * (PIXELS - 1) / 2.0} {START + STEP * (PIXELS - 1)}",
    "cubic spline": f"1 1 2 {START} {STEP} {PIXELS} 0. 1. 1. 1. 0. 3 1 1. {PIXELS}. "
    + " ".join(f"{(START + STEP * (PIXELS - 1) * n) / 6.0:.12f}" for n in (-1, 0, 1, 2)),
    "receding": f"1 1 0 {START * 1.001} {STEP * 1.001} {PIXELS} 0.001 1. 1.",
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_of_pixels_gives_its_wavelengths(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", spectrum(LINEAR)[None], with_wat2([FUNCTIONS[name]]))
    (found,) = read(path, medium="air")
    right = START * (1.0 + 300.0 / START) ** (np.arange(PIXELS) / 1199) if name == "log10" else LINEAR
    np.testing.assert_allclose(found.wavelength, right, atol=2e-5)


def test_functions_are_of_the_pixels_before_an_image_was_cut(tmp_path: Path) -> None:
    cards = {**with_wat2([FUNCTIONS["Chebyshev"]]), "LTV1": -200.0, "LTM1_1": 1.0}
    (found,) = read(write(tmp_path / "a.fits", spectrum(LINEAR)[None, 200:], cards), medium="air")
    np.testing.assert_allclose(found.wavelength, LINEAR[200:], atol=1e-6)


@pytest.mark.parametrize(
    ("cards", "message"),
    [
        (with_wat2([FUNCTIONS["linear"].replace("1 1 0", "1 1 -1")]), "no aperture has wavelengths"),
        (with_wat2([FUNCTIONS["Chebyshev"][:-20]]), "spec1 of its WAT2 cards is cut short"),
        (
            with_wat2([FUNCTIONS["Chebyshev"].replace("0. 1 3", "0. 5 3")]),
            "by function 5 .5 and 6 are lists",
        ),
        (with_wat2([]), r"in WAT2 cards \(multispec\), which are missing"),
        ({"CTYPE1": "MULTISPE", "CRVAL1": 1.0, "CDELT1": 1.0}, "CTYPE1 = 'MULTISPE' counts pixels"),
        ({"CRVAL1": 1.0, "CDELT1": 1.0}, "CRVAL1 = CDELT1 = 1 counts pixels"),
        ({"CRVAL1": 8400.0, "CDELT1": 0.25, "DC-FLAG": -1}, "DC-FLAG = -1: its pixels have no wavelengths"),
    ],
)
def test_images_without_wavelengths_are_refused(cards: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read(write(tmp_path / "a.fits", spectrum(LINEAR)[None], cards), medium="air")


@pytest.mark.parametrize(
    ("cards", "linear"),
    [
        ({"CRVAL1": START, "CDELT1": STEP, "DC-FLAG": 0}, True),
        ({"CRVAL1": START, "CDELT1": 1.0, "CD1_1": STEP}, True),
        ({"CRVAL1": START, "CDELT1": "0.25", "CD1_1": STEP}, True),
        ({"COEFF0": START, "COEFF1": STEP, "DC-FLAG": 0}, True),
        ({"CRVAL1": np.log10(START), "CDELT1": 1e-5, "DC-FLAG": 1, "CTYPE1": "LINEAR"}, False),
        ({"COEFF0": np.log10(START), "COEFF1": 1e-5}, False),
    ],
)
def test_linear_and_logarithmic_axes_are_told_apart(cards: dict[str, object], linear: bool, tmp_path: Path) -> None:
    right = LINEAR if linear else START * 10.0 ** (1e-5 * np.arange(PIXELS))
    (found,) = read(write(tmp_path / "a.fits", spectrum(right), {"CUNIT1": "Angstrom", **cards}), medium="air")
    np.testing.assert_allclose(found.wavelength, right, rtol=1e-9)


def test_an_axis_of_logarithms_that_says_nothing_is_asked_about(tmp_path: Path) -> None:
    cards = {"CRVAL1": float(np.log10(START)), "CDELT1": 1e-5}
    path = write(tmp_path / "a.fits", spectrum(START * 10.0 ** (1e-5 * np.arange(PIXELS))), cards)
    with pytest.raises(InputError, match=r"look like log10 of Angstrom: state --unit 'log10\(Angstrom\)'"):
        read(path, medium="air")
    (found,) = read(path, medium="air", unit="log10(Angstrom)")
    assert line_of(found) == pytest.approx(LINE, abs=0.15)


def test_cards_that_break_the_rules_are_passed_over_and_said(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", spectrum(LINEAR), {**EQUISPEC, "RAS": "x" * 20})
    content = path.read_bytes()
    card = content[content.index(b"RAS     =") :][:80]
    (tmp_path / "b.fits").write_bytes(content.replace(card, b"RAS     = 12:30:45.6 free 'form".ljust(80)))
    (clean,), (broken,) = read(path, medium="air"), read(tmp_path / "b.fits", medium="air")
    np.testing.assert_array_equal(clean.flux, broken.flux)
    assert "the header's cards RAS can't be parsed; they are not needed" in broken.notes
    assert not any("parsed" in note for note in clean.notes)
