"""Gaia DR4's epochs, specutils' files, Starfish, SME, and what a user selects of files of no survey."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from astropy import units
from astropy.io import fits
from astropy.nddata import InverseVariance
from astropy.table import Table
from astropy.wcs import WCS
from read_surveys import line_of, read, read_in_this_process
from survey_files import LINE, spectrum

from stellar_emulator.errors import InputError

EPOCHS = np.linspace(8460.0, 8700.0, 961)
PIXELS = 8400.0 + 0.1 * np.arange(3000)


def epoch(seed: int) -> tuple[np.ndarray, np.ndarray]:
    flux, error = spectrum(EPOCHS, seed=seed), np.full(961, 0.02)
    flux[:9], error[:9] = np.nan, np.nan
    return flux, error


@pytest.mark.parametrize("form", ["rows", "pixels"])
def test_epochs_of_dr4_are_barycentric_and_told_apart(form: str, tmp_path: Path) -> None:
    flux, error = (np.stack(arrays) for arrays in zip(epoch(1), epoch(2), strict=True))
    ids = {"source_id": [7, 7], "transit_id": [11, 12], "normalisation_method": [1, 3]}
    if form == "rows":
        table = Table({**ids, "flux": flux, "flux_error": error})
    else:
        table = Table({name: np.repeat(values, 961) for name, values in ids.items()})
        table["wavelength"], table["flux"], table["flux_error"] = np.tile(EPOCHS / 10.0, 2), flux.ravel(), error.ravel()
    table.write(tmp_path / "a.fits")
    first, second = read(tmp_path / "a.fits")
    assert [one.name for one in (first, second)] == ["7 11", "7 12"]
    assert "Gaia DR4 RVS epoch spectrum" in first.reading
    assert "barycentric (as Gaia's archive has them)" in first.reading
    assert first.medium == "vacuum"
    assert line_of(first) == pytest.approx(LINE, abs=0.15)
    assert not any("normalised" in note for note in first.notes)
    assert (
        "the archive's spectrum is normalised by its median, not by a continuum: let --continuum fit it" in second.notes
    )
    (again,) = read(tmp_path / "a.fits", "row=1")
    np.testing.assert_array_equal(again.flux, second.flux)
    with pytest.raises(InputError, match="has no row 2"):
        read(tmp_path / "a.fits", "row=2")


@pytest.mark.parametrize("form", ["tabular-fits", "wcs1d-fits"])
def test_specutils_own_files(form: str, tmp_path: Path) -> None:
    from specutils import Spectrum

    axis: dict[str, Any] = {"spectral_axis": units.Quantity(PIXELS, "Angstrom")}
    if form == "wcs1d-fits":
        cards = {"CTYPE1": "WAVE", "CUNIT1": "Angstrom", "CRVAL1": 8400.0, "CDELT1": 0.1, "CRPIX1": 1.0}
        axis = {"wcs": WCS(fits.Header(cards))}
    mask = np.zeros(3000, dtype=bool)
    mask[[10, 20]] = True
    ivar = InverseVariance(np.full(3000, 2500.0))
    made: Any = Spectrum(flux=spectrum(PIXELS) * units.ct, uncertainty=ivar, mask=mask, **axis)
    made.write(tmp_path / "a.fits", format=form)
    (found,) = read(tmp_path / "a.fits", medium="air")
    np.testing.assert_allclose(found.error[found.usable], 0.02, rtol=1e-6)
    assert (~found.usable).sum() == 2
    assert line_of(found) == pytest.approx(LINE, abs=0.15)


def test_starfish_s_masks_are_true_where_a_pixel_is_used(tmp_path: Path) -> None:
    good = np.ones((1, 3000), dtype=bool)
    good[0, 40:45] = False
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["waves"], file["fluxes"] = PIXELS[None], spectrum(PIXELS)[None]
        file["sigmas"], file["masks"] = np.full((1, 3000), 0.02), good
    (found,) = read(tmp_path / "a.h5", medium="air")
    assert "left out: 5 flagged by good" in found.reading
    np.testing.assert_allclose(found.error[found.usable], 0.02)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["other"] = PIXELS
    with pytest.raises(InputError, match="no observation of Starfish's, with waves and fluxes: it holds other"):
        read(tmp_path / "b.h5")


def test_an_array_that_unpacks_to_too_much_is_refused_unread(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("waves", (1 << 28,), "f8", chunks=(1 << 20,), compression="gzip")
        file.create_dataset("fluxes", (3000,), "f8")
    with pytest.raises(InputError, match="unpacks to 2,147,483,648 bytes an array: at most 1,073,741,824"):
        read(tmp_path / "a.h5", medium="air")


def test_sme_s_observation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing here writes IDL's format; the reader of it is SciPy's.
    read_in_this_process(monkeypatch)
    flags = np.ones(3000, dtype=np.int16)
    flags[7] = 0
    held = [("WAVE", PIXELS), ("SOB", spectrum(PIXELS)), ("UOB", np.full(3000, 0.02)), ("MOB", flags)]
    sme = np.empty(1, dtype=[(name, object) for name, _ in held])
    for name, values in held:
        sme[name][0] = values
    monkeypatch.setattr("scipy.io.readsav", lambda path: {"sme": sme})
    (tmp_path / "a.inp").write_bytes(b"SR\0\4rest")
    (found,) = read(tmp_path / "a.inp")
    assert found.medium == "air"
    assert np.flatnonzero(~found.usable).tolist() == [7]
    monkeypatch.setattr("scipy.io.readsav", lambda path: {"other": sme})
    with pytest.raises(InputError, match="no structure sme with WAVE and SOB: it holds other"):
        read(tmp_path / "a.inp")


def test_which_image_is_the_flux_is_asked_about_and_can_be_said(tmp_path: Path) -> None:
    axis = {"CRVAL1": 8400.0, "CDELT1": 0.1, "CTYPE1": "AWAV", "CUNIT1": "Angstrom"}
    hdus = [fits.ImageHDU(spectrum(PIXELS, level), name=name) for level, name in ((1.0, "STAR"), (9.0, "SKY"))]
    for hdu in hdus:
        hdu.header.update(axis)
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / "a.fits")
    with pytest.raises(InputError, match=r"can't be told: 1 STAR \(3000,\), 2 SKY \(3000,\): --select hdu=N says it"):
        read(tmp_path / "a.fits")
    for select in ("hdu=1", "hdu=star", "STAR"):
        assert read(tmp_path / "a.fits", select)[0].flux.max() < 2.0
    assert read(tmp_path / "a.fits", "hdu=2")[0].flux.max() > 2.0


def test_rows_filled_up_to_a_length_end_where_their_wavelengths_do(tmp_path: Path) -> None:
    wavelength, flux = np.stack([PIXELS] * 2), np.stack([spectrum(PIXELS)] * 2)
    wavelength[1, 2000:], flux[1, 2000:] = np.nan, np.nan
    np.savez(tmp_path / "a.npz", wavelength=wavelength, flux=flux, medium="air")
    assert [len(one.flux) for one in read(tmp_path / "a.npz")] == [3000, 2000]
    flux[1, 2500] = 1.0
    np.savez(tmp_path / "a.npz", wavelength=wavelength, flux=flux, medium="air")
    with pytest.raises(InputError, match="is not finite"):
        read(tmp_path / "a.npz")
