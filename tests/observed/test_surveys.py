"""Files of surveys, as their stand-ins: unit, medium, frame, errors and missing pixels, each with its trap."""

from pathlib import Path

import numpy as np
import pytest
import survey_files
from astropy.io import fits
from read_surveys import line_of, read, read_in_this_process
from survey_files import LINE, SIGNAL, SURVEYS, Written

from stellar_emulator.errors import InputError
from stellar_emulator.observed.spectrum import ObservedSpectrum


def write(name: str, path: Path) -> Written:
    return SURVEYS[name][0](path)


def missing_of(spectrum: ObservedSpectrum) -> int:
    """Pixels that the reading says were left out."""
    return sum(
        int(part.split()[0])
        for words in spectrum.reading.split("left out: ")[1:]
        for part in words.partition(";")[0].split(", ")
    )


@pytest.mark.parametrize("name", SURVEYS)
def test_a_survey_s_file_is_read_as_the_survey_means_it(name: str, tmp_path: Path) -> None:
    _, medium, form, frame = SURVEYS[name]
    written = write(name, tmp_path / "a.bin")  # what a file is called says nothing
    (spectrum,) = read(tmp_path / "a.bin")
    assert spectrum.medium == medium
    assert form in spectrum.reading
    assert f"; {frame} (" in spectrum.reading or not frame
    assert line_of(spectrum) == pytest.approx(LINE, abs=0.15)
    assert missing_of(spectrum) == written.missing
    assert "stand" not in " ".join(spectrum.notes)
    if "pixels' scatter" not in spectrum.reading:
        typical = np.median(np.abs(spectrum.flux[spectrum.usable]) / spectrum.error[spectrum.usable])
        assert typical == pytest.approx(SIGNAL, rel=0.05)


def test_files_of_one_and_of_several_visits_hold_the_same_combination(tmp_path: Path) -> None:
    survey_files.apogee_star(tmp_path / "one.fits", 1)
    survey_files.apogee_star(tmp_path / "two.fits", 2)
    (one,), (two,) = read(tmp_path / "one.fits"), read(tmp_path / "two.fits")
    np.testing.assert_array_equal(one.flux, two.flux)
    assert "3 other spectra of the file are passed over" in two.notes[0]
    assert not one.notes or "passed over" not in one.notes[0]
    (visit,) = read(tmp_path / "two.fits", "row=3")
    assert "exposure visit 2" in visit.reading
    assert [one.name.rpartition("[")[2] for one in read(tmp_path / "two.fits", "exposure=all")] == ["2]", "3]"]
    assert len(read(tmp_path / "one.fits", "exposure=all")) == 1


def test_apogee_s_fatal_bits_spoil_a_pixel_and_others_do_not(tmp_path: Path) -> None:
    survey_files.apogee_star(tmp_path / "flagged.fits", flagged=True)
    survey_files.apogee_star(tmp_path / "clean.fits", flagged=False)
    (flagged,), (clean,) = read(tmp_path / "flagged.fits"), read(tmp_path / "clean.fits")
    assert (~flagged.usable).sum() == (~clean.usable).sum() + 2
    (ignored,) = read(tmp_path / "flagged.fits", flags=False)
    assert "mask ignored" in ignored.reading
    assert ignored.flux.max() == pytest.approx(900.0)


def test_chips_and_arms_are_pieces_of_one_spectrum(tmp_path: Path) -> None:
    survey_files.apogee_visit(tmp_path / "a.fits")
    (spectrum,) = read(tmp_path / "a.fits")
    assert len(spectrum.orders) == 3
    assert (np.diff(spectrum.wavelength) > 0).all()
    assert [spectrum.flux[piece].any() for piece in spectrum.orders] == [True] * 3
    (chip,) = read(tmp_path / "a.fits", "chip=b")
    assert len(chip.orders) == 1


def test_images_of_different_shapes_are_refused(tmp_path: Path) -> None:
    survey_files.apogee_visit(tmp_path / "a.fits")
    with fits.open(tmp_path / "a.fits") as file:
        file[2].data = file[2].data[:1]
        file.writeto(tmp_path / "b.fits")
    with pytest.raises(InputError, match=r"have the shapes \(3, 1000\), \(1, 1000\), \(3, 1000\)"):
        read(tmp_path / "b.fits")


def test_exposures_are_read_when_they_are_meant(tmp_path: Path) -> None:
    survey_files.lamost_medium(tmp_path / "a.fits")
    (combined,) = read(tmp_path / "a.fits")
    assert "2 other spectra" in combined.notes[0]
    (exposure,) = read(tmp_path / "a.fits", "exposure=840")
    assert len(exposure.orders) == 2
    assert exposure.name == f"{tmp_path / 'a.fits'}[exposure 840]"
    assert [one.name for one in read(tmp_path / "a.fits", "exposure=all")] == [exposure.name]
    (arm,) = read(tmp_path / "a.fits", "COADD_R")
    assert arm.wavelength[0] > 8600.0
    for select, message in (
        ("exposure=841", "matches nothing: there are hdu=COADD_B arm=B, .* exposure=840"),
        ("2", "could be an HDU, a row or an aperture"),
        ("row=two", "rows count 0, 1, 2"),
        ("hdu=1 hdu=2", "names hdu twice"),
    ):
        with pytest.raises(InputError, match=message):
            read(tmp_path / "a.fits", select)


def test_cameras_of_one_exposure_of_sdss_are_pieces_of_one_spectrum(tmp_path: Path) -> None:
    survey_files.sdss_spec(tmp_path / "a.fits")
    with fits.open(tmp_path / "a.fits") as file:
        file[3].name = "B1-00007-00005-00006"
        red = fits.BinTableHDU(file[3].data.copy(), file[3].header.copy(), name="R1-00007-00005-00006")
        red.data["loglam"] += np.log10(1.05)
        other = fits.BinTableHDU(file[3].data.copy(), file[3].header.copy(), name="B1-00008-00005-00006")
        fits.HDUList([*file, red, other]).writeto(tmp_path / "b.fits")
    (combined,) = read(tmp_path / "b.fits")
    assert not combined.ends
    first, second = read(tmp_path / "b.fits", "exposure=all")
    assert (len(first.orders), len(second.orders)) == (2, 1)
    assert first.name.endswith("[exposure 00007]")


def test_galah_s_normalised_spectrum_has_an_axis_of_its_own(tmp_path: Path) -> None:
    survey_files.galah_dr3(tmp_path / "a.fits")
    (spectrum,) = read(tmp_path / "a.fits", "hdu=4")
    assert "rest (GALAH" in spectrum.reading
    assert spectrum.flux.max() < 2.0
    assert spectrum.wavelength[np.argmin(spectrum.flux)] == pytest.approx(LINE - 2.0, abs=0.5)


def test_galah_s_errors_are_counts_not_shares(tmp_path: Path) -> None:
    survey_files.galah_dr3(tmp_path / "a.fits")
    (spectrum,) = read(tmp_path / "a.fits")
    np.testing.assert_allclose(spectrum.error, np.abs(spectrum.flux) / SIGNAL, rtol=1e-6)


def test_visits_of_the_milky_way_mapper_are_a_row_each(tmp_path: Path) -> None:
    survey_files.sdss_visits(tmp_path / "a.fits")
    spectra = read(tmp_path / "a.fits")
    assert len(spectra) == 2
    assert "mwmVisit" in spectra[0].reading
    assert "barycentric" in spectra[0].reading
    assert line_of(spectra[1]) == pytest.approx(LINE, abs=0.15)
    (second,) = read(tmp_path / "a.fits", "row=1")
    np.testing.assert_array_equal(second.flux, spectra[1].flux)
    with pytest.raises(InputError, match="has no row 2: it has 2, from 0"):
        read(tmp_path / "a.fits", "row=2")


@pytest.mark.parametrize(("meaning", "medium"), [("em.wl;obs.atmos", "air"), ("em.wl", "vacuum")])
def test_eso_says_air_or_vacuum_by_the_meaning_of_its_column(meaning: str, medium: str, tmp_path: Path) -> None:
    survey_files.eso(tmp_path / "a.fits", meaning)
    (spectrum,) = read(tmp_path / "a.fits")
    assert spectrum.medium == medium
    assert spectrum.resolution == 9000.0
    assert "other fluxes are not used: FLUX_REDUCED" in spectrum.notes


@pytest.mark.parametrize(
    ("name", "resolution"),
    [
        ("LAMOST low", 1800.0),
        ("LAMOST low, table", 1800.0),
        ("LAMOST medium", 7500.0),
        ("SDSS spec", 2000.0),
        ("mwmStar", 2000.0),
        ("RAVE DR6", 7500.0),
        ("HERMES", 85000.0),
        ("Melchiors", 85000.0),
        ("GALAH DR3", None),
    ],
)
def test_the_resolution_of_a_survey_s_instrument_is_known_and_the_user_s_word_goes_first(
    name: str, resolution: float | None, tmp_path: Path
) -> None:
    write(name, tmp_path / "a.fits")
    assert read(tmp_path / "a.fits")[0].resolution == resolution
    assert read(tmp_path / "a.fits", resolution=1500.0)[0].resolution == 1500.0


def test_what_a_file_states_is_believed_over_its_survey_s_custom_and_two_statements_are_asked_about(
    tmp_path: Path,
) -> None:
    survey_files.lamost_low(tmp_path / "a.fits")
    with fits.open(tmp_path / "a.fits") as file:
        file[0].header["VACUUM"] = False
        file.writeto(tmp_path / "air.fits")
        file[0].header["AIRORVAC"] = "vac"
        file.writeto(tmp_path / "both.fits")
    assert read(tmp_path / "a.fits")[0].medium == "vacuum"
    assert read(tmp_path / "air.fits")[0].medium == "air"
    with pytest.raises(InputError, match="states its wavelengths in vacuum by airorvac and air by VACUUM = False"):
        read(tmp_path / "both.fits")
    assert read(tmp_path / "both.fits", medium="air")[0].medium == "air"


def test_a_file_of_two_forms_is_asked_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_in_this_process(monkeypatch)
    survey_files.rave(tmp_path / "a.fits")
    from stellar_emulator.observed.readers import surveys

    both = (*surveys.FORMS, surveys.Form("rave_too", surveys.FORMS[9].holds, surveys.FORMS[9].read))
    assert surveys.FORMS[9].name == "rave"
    monkeypatch.setattr(surveys, "FORMS", both)
    with pytest.raises(InputError, match="looks like rave and rave_too: state --form rave"):
        read(tmp_path / "a.fits")
    assert len(read(tmp_path / "a.fits", form="rave")) == 1
    with pytest.raises(InputError, match="--form raven is unknown: give one of apogee_star"):
        read(tmp_path / "a.fits", form="raven")


@pytest.mark.parametrize("name", SURVEYS)
def test_a_survey_s_file_cut_short_is_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    write(name, tmp_path / "whole.fits")
    content = (tmp_path / "whole.fits").read_bytes()
    (tmp_path / "cut.fits").write_bytes(content[: len(content) * 2 // 3 + 100])
    assert len(read(tmp_path / "whole.fits")) == 1
    with pytest.raises(InputError, match=r"cut\.fits (is cut short|can't be read as FITS)"):
        read(tmp_path / "cut.fits")
