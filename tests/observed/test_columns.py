"""Columns, units, errors and pixels without data of files that belong to no survey: each trap beside its control."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from read_surveys import line_of, read
from survey_files import LINE, spectrum

from stellar_emulator.errors import InputError

PIXELS = 8400.0 + 0.1 * np.arange(3000)
ERROR = np.where(PIXELS < 8550.0, 1.0 / 30.0, 1.0 / 150.0)


def noisy() -> np.ndarray:
    """A spectrum whose noise is what its errors say."""
    return spectrum(PIXELS) + np.random.default_rng(2).normal(0.0, 1.0, len(PIXELS)) * ERROR


def columns(tmp_path: Path, **given: np.ndarray) -> Path:
    path = tmp_path / "a.ecsv"
    Table({"wavelength": PIXELS, "flux": noisy(), **given}, meta={"medium": "air"}).write(
        path, format="ascii.ecsv", overwrite=True
    )
    return path


@pytest.mark.parametrize(
    ("name", "values"),
    [
        *((name, ERROR) for name in ("flux_error", "err", "ERR", "e_flux", "sigma", "std", "noise", "uncertainty")),
        *((name, ERROR**-2) for name in ("ivar", "IVAR", "flux_ivar", "invvar")),
        *((name, ERROR**2) for name in ("variance", "var", "flux_var")),
        ("relative_error", ERROR / np.abs(noisy())),
        ("flux_error (counts)", ERROR),
    ],
)
def test_errors_are_converted_by_what_they_are(name: str, values: np.ndarray, tmp_path: Path) -> None:
    (found,) = read(columns(tmp_path, **{name: values}))
    np.testing.assert_allclose(found.error, ERROR, rtol=1e-6)
    assert f"errors from {name}" in found.reading
    assert not any("scatter" in note for note in found.notes)


@pytest.mark.parametrize(
    ("name", "kind"), [("IVAR", -2), ("ERR", 1), ("STD", 1), ("UNCERT", 1), ("VAR", 2), ("STDDEV", 1), ("STAT", 2)]
)
def test_images_of_errors_are_what_their_names_say(name: str, kind: int, tmp_path: Path) -> None:
    axis = {"CRVAL1": 8400.0, "CDELT1": 0.1, "CTYPE1": "AWAV", "CUNIT1": "AA"}
    flux, error = fits.ImageHDU(noisy(), name="FLUX"), fits.ImageHDU(ERROR**kind, name=name)
    flux.header.update(axis)
    fits.HDUList([fits.PrimaryHDU(), error, flux]).writeto(tmp_path / "a.fits")
    (found,) = read(tmp_path / "a.fits")
    np.testing.assert_allclose(found.error, ERROR, rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (ERROR**2, "but as its square root says: call the column variance if it holds variances"),
        (ERROR**-2, "makes flux errors of .* above the flux itself: name it by what it holds, ivar"),
    ],
)
def test_errors_by_another_name_are_not_believed(values: np.ndarray, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read(columns(tmp_path, uncertainty=values))
    (found,) = read(columns(tmp_path, uncertainty=ERROR))
    np.testing.assert_allclose(found.error, ERROR)


FLAGS = np.zeros(len(PIXELS), dtype=np.int64)
FLAGS[[100, 700]] = 1, 64


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("mask", FLAGS),
        ("mask", FLAGS > 0),
        ("quality", FLAGS.astype(float)),
        ("DQ", FLAGS),
        ("and_mask", FLAGS),
        ("good", FLAGS == 0),
    ],
)
def test_flagged_pixels_are_left_out(name: str, values: np.ndarray, tmp_path: Path) -> None:
    (found,) = read(columns(tmp_path, flux_error=ERROR, **{name: values}))
    assert np.flatnonzero(~found.usable).tolist() == [100, 700]
    assert f"left out: 2 flagged by {name}" in found.reading
    (clean,) = read(columns(tmp_path, flux_error=ERROR, **{name: np.full(len(PIXELS), name == "good")}))
    assert clean.usable.all()
    (kept,) = read(columns(tmp_path, flux_error=ERROR, **{name: values}), flags=False)
    assert kept.usable.all()
    assert f"{name} ignored" in kept.reading


def test_a_mask_that_flags_most_pixels_is_asked_about(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="mask flags 2998 of 3000 pixels: if 0 marks the bad ones, call it good"):
        read(columns(tmp_path, mask=(FLAGS == 0).astype(int)))


def changed(at: slice, flux: float, error: float | None = None) -> Callable[[np.ndarray, np.ndarray], None]:
    def change(values: np.ndarray, errors: np.ndarray) -> None:
        values[at] = flux
        if error is not None:
            errors[at] = error

    return change


NO_DATA = {
    "zeros": (changed(slice(1400, 1439), 0.0), "39 of zero flux"),
    "one zero": (changed(slice(1400, 1401), 0.0), "1 of zero flux"),
    "a gap filled with 1": (changed(slice(1400, 1439), 1.0), "39 in runs of equal flux"),
    "an end filled with 1": (changed(slice(2700, 3000), 1.0), "300 in runs of equal flux"),
    "an error of 1e10": (changed(slice(1400, 1401), 1.0, 1e10), "1 with errors far above the flux"),
    "a gap with errors of 1e10": (changed(slice(1400, 1439, 2), 1.0, 1e10), "20 with errors far above the flux"),
    "missing numbers": (changed(slice(1400, 1410), np.nan), "10 without a number"),
    "missing errors": (changed(slice(1400, 1410), 1.01, np.nan), "10 in runs of equal flux"),
}


@pytest.mark.parametrize("name", NO_DATA)
def test_pixels_that_hold_no_data_are_left_out(name: str, tmp_path: Path) -> None:
    change, reason = NO_DATA[name]
    flux, error = noisy(), ERROR.copy()
    np.savez(tmp_path / "clean.npz", wavelength=PIXELS, flux=flux, flux_error=error, medium="air")
    (clean,) = read(tmp_path / "clean.npz")
    assert clean.usable.all()
    change(flux, error)
    np.savez(tmp_path / "a.npz", wavelength=PIXELS, flux=flux, flux_error=error, medium="air")
    (found,) = read(tmp_path / "a.npz")
    assert f"left out: {reason}" in found.reading
    kept = np.isin(clean.wavelength, found.wavelength[found.usable])
    np.testing.assert_array_equal(found.flux[found.usable], clean.flux[kept])


@pytest.mark.parametrize("digits", [4, 6, 15])
def test_the_flat_continuum_of_a_spectrum_without_noise_is_no_filling(digits: int, tmp_path: Path) -> None:
    flux = np.round(1.0 - 0.5 * np.exp(-0.5 * ((PIXELS - LINE) / 15.0) ** 2), digits)
    assert (np.diff(flux) == 0.0).mean() > 0.2
    np.savez(tmp_path / "a.npz", wavelength=PIXELS, flux=flux, flux_error=ERROR, medium="air")
    assert read(tmp_path / "a.npz")[0].usable.all()


def test_a_filling_that_a_spline_leads_to_smoothly_is_one(tmp_path: Path) -> None:
    flux = noisy()
    flux[2000:] = 1.0
    flux[1996:2000] = 1.0 + np.array([2.5e-5, 4.8e-6, -2.4e-7, -6e-8])
    np.savez(tmp_path / "a.npz", wavelength=PIXELS, flux=flux, flux_error=ERROR, medium="air")
    assert "left out: 1000 in runs of equal flux" in read(tmp_path / "a.npz")[0].reading


def test_rounded_fluxes_are_often_equal_and_no_filling(tmp_path: Path) -> None:
    flux = np.round(spectrum(PIXELS), 2)
    assert (np.diff(flux) == 0.0).mean() > 0.3
    np.savez(tmp_path / "a.npz", wavelength=PIXELS, flux=flux, flux_error=ERROR, medium="air")
    assert read(tmp_path / "a.npz")[0].usable.all()


@pytest.mark.parametrize(
    ("unit", "size"),
    [
        *(("Angstrom", 1.0), ("Angstroms", 1.0), ("ANGSTROM", 1.0), ("AA", 1.0), ("A", 1.0)),
        *(("nm", 0.1), ("NM", 0.1), ("nanometers", 0.1), ("um", 1e-4), ("micron", 1e-4), ("m", 1e-10)),
    ],
)
def test_units_have_many_spellings(unit: str, size: float, tmp_path: Path) -> None:
    image = fits.PrimaryHDU(spectrum(PIXELS))
    image.header.update({"CRVAL1": 8400.0 * size, "CDELT1": 0.1 * size, "CTYPE1": "AWAV", "CUNIT1": unit})
    image.writeto(tmp_path / "a.fits")
    (found,) = read(tmp_path / "a.fits")
    assert line_of(found) == pytest.approx(LINE, abs=0.15)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("loglam", np.log10(PIXELS)),
        ("lnlam", np.log(PIXELS)),
        ("WAVE", PIXELS),
        ("wave_nm", PIXELS / 10.0),
        ("lambda_ang", PIXELS),
        ("Wavelength (nm)", PIXELS / 10.0),
        ("wavelength [um]", PIXELS / 1e4),
    ],
)
def test_names_of_columns_tell_units_and_logarithms(name: str, values: np.ndarray, tmp_path: Path) -> None:
    Table({name: values, "flux": spectrum(PIXELS)}).write(tmp_path / "a.csv", format="ascii.csv")
    (found,) = read(tmp_path / "a.csv", medium="air")
    np.testing.assert_allclose(found.wavelength, PIXELS, rtol=1e-12)


@pytest.mark.parametrize(
    ("cards", "medium"),
    [
        ({"CTYPE1": "AWAV"}, "air"),
        ({"CTYPE1": "WAVE"}, "vacuum"),
        ({"CTYPE1": "Wavelength"}, None),
        ({"CTYPE1": "WAVELENG"}, None),
        ({"CTYPE1": "LINEAR"}, None),
        ({"VACUUM": True}, "vacuum"),
        ({"VACUUM": False}, "air"),
        ({"AIRORVAC": "vac"}, "vacuum"),
    ],
)
def test_the_medium_is_what_is_stated_or_is_asked_for(
    cards: dict[str, object], medium: str | None, tmp_path: Path
) -> None:
    image = fits.PrimaryHDU(spectrum(PIXELS))
    image.header.update({"CRVAL1": 8400.0, "CDELT1": 0.1, "CUNIT1": "Angstrom", **cards})
    image.writeto(tmp_path / "a.fits")
    if medium is None:
        with pytest.raises(InputError, match="air or in vacuum: state --medium"):
            read(tmp_path / "a.fits")
    else:
        assert read(tmp_path / "a.fits")[0].medium == medium


def test_spectra_elsewhere_are_told_so_before_anything_else(tmp_path: Path) -> None:
    far, bad = PIXELS + 7000.0, np.full(len(PIXELS), -1.0)
    Table({"wavelength": far, "flux": noisy(), "error": bad}).write(tmp_path / "a.ecsv", format="ascii.ecsv")
    with pytest.raises(InputError, match=r"15400 to 15699\.9  lie outside the model's 8300 to 8999\.9"):
        read(tmp_path / "a.ecsv")
    with pytest.raises(InputError, match=r"flux error -1 at 8400\.00 A is not above 0"):
        read(columns(tmp_path, error=bad))


def test_numbers_of_pixels_are_no_wavelengths(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", wavelength=np.arange(1.0, 3001.0), flux=spectrum(PIXELS), medium="air")
    with pytest.raises(InputError, match="have no unit, and look like numbers of pixels"):
        read(tmp_path / "a.npz")


def test_spectra_in_columns_are_refused_once(tmp_path: Path) -> None:
    flux = np.stack([noisy(), noisy()])
    np.savez(tmp_path / "a.npz", wavelength=PIXELS, flux=flux.T, medium="air")
    with pytest.raises(InputError, match=r"shape \(3000, 2\), its wavelengths are 3000: transpose the flux"):
        read(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", wavelength=PIXELS, flux=flux, medium="air")
    assert len(read(tmp_path / "a.npz")) == 2


def test_images_that_are_no_spectra_are_refused(tmp_path: Path) -> None:
    image = fits.PrimaryHDU(np.stack([spectrum(PIXELS)] * 3))
    image.header.update({"CRVAL1": 8400.0, "CDELT1": 0.1, "CUNIT1": "Angstrom", "CTYPE1": "WAVE", "CTYPE2": "FIBER"})
    image.writeto(tmp_path / "a.fits")
    assert len(read(tmp_path / "a.fits")) == 3
    for cards, message in (
        ({"CTYPE2": "MU"}, "its rows are no spectra: along axis 2 runs CTYPE2 = 'MU'"),
        ({"CTYPE1": "Spectrum Number", "CTYPE2": "Wavelength"}, "wavelengths run along axis 2"),
    ):
        image.header.update(cards)
        image.writeto(tmp_path / "b.fits", overwrite=True)
        with pytest.raises(InputError, match=message):
            read(tmp_path / "b.fits")


TEXTS = {
    "two columns": (lambda w, f: f"{w:.4f} {f:.6f}", ""),
    "three columns": (lambda w, f: f"{w:.4f} {f:.6f} 0.02", ""),
    "names": (lambda w, f: f"{w:.4f}\t{f:.6f}\t0.02", "wave\tflux\terr\n"),
    "comments": (lambda w, f: f"{w:.4f} {f:.6f} 0.02", "# an observer's notes\n"),
    "commas": (lambda w, f: f"{w:.4f},{f:.6f},0.02", ""),
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("suffix", ["txt", "spectrum"])
def test_plain_text_of_two_or_three_columns(name: str, suffix: str, tmp_path: Path) -> None:
    line, head = TEXTS[name]
    text = "\n".join(line(*pair) for pair in zip(PIXELS, spectrum(PIXELS), strict=True))
    (tmp_path / f"a.{suffix}").write_text(head + text)
    (found,) = read(tmp_path / f"a.{suffix}", medium="air")
    assert line_of(found) == pytest.approx(LINE, abs=0.15)
    if name != "two columns":
        np.testing.assert_allclose(found.error, 0.02)


def test_a_csv_without_names_is_text(tmp_path: Path) -> None:
    pairs = np.column_stack([PIXELS, spectrum(PIXELS)])
    np.savetxt(tmp_path / "a.csv", pairs, delimiter=",")
    np.savetxt(tmp_path / "b.csv", pairs, delimiter=",", header="wavelength,flux", comments="")
    (bare,), (named,) = read(tmp_path / "a.csv", medium="air"), read(tmp_path / "b.csv", medium="air")
    np.testing.assert_array_equal(bare.flux, named.flux)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("8400 1.0 7e6\n8401 0.9 7e6\n", "third column has no name and holds no flux errors"),
        ("8400 1.0\n8401\n", "row 2 of 2 holds 1 numbers, the first 2"),
        ("# nothing\n", "has no rows of numbers"),
        ("Dear reader, this is a letter.\nIt goes on.\n", "holds 0 numbers|begins with no numbers"),
    ],
)
def test_text_that_is_no_spectrum_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        read(tmp_path / "a.txt", medium="air")
