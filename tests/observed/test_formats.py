"""Files in the forms in which archives and people keep spectra, and all that can be wrong with them."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.io.votable import from_table, writeto
from astropy.table import Column, Table

from stars import ARCHIVE, GAIA, ArchiveSpectrum, archive_spectrum, star
from stellar_emulator.contract.medium import to_vacuum
from stellar_emulator.errors import InputError
from stellar_emulator.observed.columns import FLUX, WAVELENGTH, misspelt
from stellar_emulator.observed.interpret import Stated, spectra_of
from stellar_emulator.observed.raw import RawTable
from stellar_emulator.observed.readers.formats import read_tables
from stellar_emulator.observed.spectrum import ObservedSpectrum

SOURCE = 5853498713190525696


@pytest.fixture(scope="module")
def seen() -> ArchiveSpectrum:
    return archive_spectrum(star(ARCHIVE), 100.0)


def read(path: Path, stated: Stated | None = None) -> list[ObservedSpectrum]:
    found = [one for table in read_tables(path) for one in spectra_of(table, ARCHIVE.wavelength, stated or Stated())]
    for one in found:
        if isinstance(one, InputError):
            raise one
    return found  # type: ignore[return-value]


def as_table(seen: ArchiveSpectrum) -> Table:
    table = Table([seen.wavelength, seen.flux, seen.flux_error], names=["wavelength", "flux", "flux_error"])
    table["wavelength"].unit = "nm"
    return table


def individual_csv(path: Path, seen: ArchiveSpectrum) -> None:
    as_table(seen).write(path, format="ascii.csv")


def individual_votable(path: Path, seen: ArchiveSpectrum) -> None:
    content = from_table(as_table(seen))
    from astropy.io.votable.tree import Param

    param = Param(content, name="source_id", datatype="long", value=str(SOURCE))
    content.resources[0].tables[0].params.append(param)
    writeto(content, str(path))


def individual_fits(path: Path, seen: ArchiveSpectrum) -> None:
    as_table(seen).write(path, format="fits")


def combined_csv(path: Path, seen: ArchiveSpectrum) -> None:
    table = as_table(seen)
    table.add_column(Column([SOURCE] * len(table)), name="source_id", index=0)
    table.write(path, format="ascii.csv")


def raw_csv(path: Path, seen: ArchiveSpectrum) -> None:
    arrays = [f'"[{", ".join(str(value) for value in values)}]"' for values in (seen.flux, seen.flux_error)]
    text = f"source_id,solution_id,flux,flux_error,combined_transits\n{SOURCE},1,{arrays[0]},{arrays[1]},12\n"
    with gzip.open(path, "wt") as file:
        file.write(text.replace("nan", "NaN"))


def bulk_ecsv(path: Path, seen: ArchiveSpectrum) -> None:
    table = Table({"source_id": [SOURCE], "flux": [seen.flux], "flux_error": [seen.flux_error]})
    with gzip.open(path, "wt") as file:
        plain = path.with_name("plain.ecsv")
        table.write(plain, format="ascii.ecsv")
        file.write(plain.read_text())


def raw_parquet(path: Path, seen: ArchiveSpectrum) -> None:
    pq.write_table(pa.table({"source_id": [SOURCE], "flux": [seen.flux], "flux_error": [seen.flux_error]}), path)


def arrays_npz(path: Path, seen: ArchiveSpectrum) -> None:
    np.savez(path, wavelength=seen.wavelength, flux=seen.flux[None], flux_error=seen.flux_error[None])


FORMS: dict[str, tuple[str, Callable[[Path, ArchiveSpectrum], None]]] = {
    "individual CSV": ("a.csv", individual_csv),
    "individual VOTable": ("a.xml", individual_votable),
    "individual FITS": ("a.fits", individual_fits),
    "combined CSV": ("a.csv", combined_csv),
    "raw CSV": ("a.csv.gz", raw_csv),
    "bulk file": ("RvsMeanSpectrum_000000-003111.csv.gz", bulk_ecsv),
    "raw Parquet": ("a.parquet", raw_parquet),
    "NPZ": ("a.npz", arrays_npz),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_archive_gives_the_same_spectrum(form: str, tmp_path: Path, seen: ArchiveSpectrum) -> None:
    name, write = FORMS[form]
    write(tmp_path / name, seen)
    (spectrum,) = read(tmp_path / name)
    present = np.isfinite(seen.flux)
    assert spectrum.medium == "vacuum"
    assert spectrum.usable.all()
    np.testing.assert_allclose(spectrum.wavelength, 10.0 * seen.wavelength[present], rtol=1e-9)
    np.testing.assert_allclose(spectrum.flux, seen.flux[present], rtol=1e-6)
    np.testing.assert_allclose(spectrum.error, 0.01, rtol=1e-6)
    if form not in ("individual CSV", "individual FITS", "NPZ"):
        assert spectrum.name == str(SOURCE)


def test_combined_files_part_into_their_sources(tmp_path: Path, seen: ArchiveSpectrum) -> None:
    first, second = as_table(seen), as_table(archive_spectrum(star(ARCHIVE, teff=9000.0), 50.0))
    for table, source in ((first, 1), (second, 2)):
        table["source_id"] = source
    from astropy.table import vstack

    vstack([first, second]).write(tmp_path / "a.csv", format="ascii.csv")
    spectra = read(tmp_path / "a.csv")
    assert [one.name for one in spectra] == ["1", "2"]
    np.testing.assert_allclose([one.error[0] for one in spectra], [0.01, 0.02])


@pytest.mark.parametrize(("ctype", "medium"), [("AWAV", "air"), ("WAVE", "vacuum")])
def test_fits_images_have_their_axis_and_medium_in_the_header(ctype: str, medium: str, tmp_path: Path) -> None:
    image = fits.PrimaryHDU(np.ones(2000, dtype=np.float32))
    image.header.update({"CRVAL1": 8465.0, "CDELT1": 0.1, "CRPIX1": 1.0, "CTYPE1": ctype, "CUNIT1": "Angstrom"})
    fits.HDUList([image, fits.ImageHDU(np.full(2000, 0.01), name="ERROR")]).writeto(tmp_path / "a.fits")
    (spectrum,) = read(tmp_path / "a.fits")
    assert spectrum.medium == medium
    assert spectrum.wavelength[[0, -1]] == pytest.approx([8465.0, 8664.9])
    assert spectrum.error[0] == pytest.approx(0.01)


def test_spectra_of_unequal_length_and_none_lie_in_one_file(tmp_path: Path, seen: ArchiveSpectrum) -> None:
    arrays = {
        "wavelength": [seen.wavelength, seen.wavelength[:2000], None],
        "flux": [seen.flux, seen.flux[:2000], None],
    }
    pq.write_table(pa.table(arrays), tmp_path / "a.parquet")
    (table,) = read_tables(tmp_path / "a.parquet")
    long, short, absent = spectra_of(table, ARCHIVE.wavelength, Stated())
    assert isinstance(long, ObservedSpectrum)
    assert isinstance(short, ObservedSpectrum)
    assert (len(long.flux), len(short.flux)) == (2401 - 12, 2000 - 6)
    assert "a.parquet[2] has 0 pixels" in str(absent)


@pytest.mark.parametrize("first", ["image", "nothing"])
def test_an_image_is_found_beside_other_extensions(first: str, tmp_path: Path) -> None:
    axis = {"CRVAL1": 8465.0, "CDELT1": 0.1, "CTYPE1": "AWAV", "CUNIT1": "Angstrom"}
    kind = fits.PrimaryHDU if first == "image" else fits.ImageHDU
    image = kind(np.ones((2, 2000), dtype=np.float32))
    image.header.update(axis)
    before = [] if first == "image" else [fits.PrimaryHDU()]
    labels = fits.TableHDU.from_columns([fits.Column("teff", "F10.2", array=[5000.0, 6000.0])], name="LABELS")
    fits.HDUList([*before, image, labels]).writeto(tmp_path / "a.fits")
    assert [one.name[-3:] for one in read(tmp_path / "a.fits")] == ["[0]", "[1]"]


def test_a_table_of_something_else_is_passed_over(tmp_path: Path, seen: ArchiveSpectrum) -> None:
    other = fits.BinTableHDU(Table({"order": [1, 2]}))
    fits.HDUList([fits.PrimaryHDU(), other, fits.BinTableHDU(as_table(seen))]).writeto(tmp_path / "a.fits")
    assert len(read(tmp_path / "a.fits")) == 1


@pytest.mark.parametrize(
    ("cards", "message"),
    [
        ({"CTYPE1": "AWAV-TAB"}, "CTYPE1 = 'AWAV-TAB' is no linear axis"),
        ({"CDELT1": "narrow"}, "CDELT1 = 'narrow' is no number"),
        ({"CRVAL1": "8465"}, "CRVAL1 = '8465' is no number"),
    ],
)
def test_axes_of_images_that_are_none_are_named(cards: dict[str, object], message: str, tmp_path: Path) -> None:
    image = fits.PrimaryHDU(np.ones(2000, dtype=np.float32))
    image.header.update({"CRVAL1": 8465.0, "CDELT1": 0.1, "CTYPE1": "AWAV", "CUNIT1": "Angstrom", **cards})
    image.writeto(tmp_path / "a.fits")
    with pytest.raises(InputError, match=message):
        read(tmp_path / "a.fits")


def test_csv_of_spreadsheets_begins_with_a_byte_order_mark(tmp_path: Path, seen: ArchiveSpectrum) -> None:
    individual_csv(tmp_path / "a.csv", seen)
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "a.csv").read_bytes())
    assert len(read(tmp_path / "a.csv")) == 1


def test_misspelt_errors_are_named_where_they_are_missed(tmp_path: Path, seen: ArchiveSpectrum) -> None:
    renamed("flux_error", "flux_eror")(as_table(seen)).write(tmp_path / "a.ecsv", format="ascii.ecsv")
    (spectrum,) = read(tmp_path / "a.ecsv")
    assert "rename flux_eror if it is the flux_error" in spectrum.notes[0]


def test_a_column_is_misspelt_by_its_name_alone_not_by_the_words_of_a_message() -> None:
    table = RawTable("a.csv", {"did you mean me": np.zeros(1), "flix": np.zeros(1)})
    assert misspelt(table, FLUX) == "; rename flix if it is the flux"
    assert misspelt(RawTable("a.csv", {"did you mean me": np.zeros(1)}), FLUX) == ""


PIXELS = np.linspace(8460.0, 8700.0, 100)
ODD_ARRAYS: dict[str, tuple[dict[str, np.ndarray], str]] = {
    "none": ({"wavelength": np.ones((1, 0)), "flux": np.ones((1, 0))}, "has 0 pixels"),
    "rows of wavelengths": (
        {"wavelength": PIXELS[None], "flux": np.ones((2, 100))},
        "wavelength has 1 rows, the flux 2",
    ),
    "rows of errors": (
        {"wavelength": PIXELS, "flux": np.ones((2, 100)), "flux_error": np.ones((3, 100))},
        "flux_error has 3 rows, the flux 2",
    ),
    "a cube": ({"wavelength": np.ones((1, 1, 100)), "flux": np.ones((1, 1, 100))}, "fluxes of shape"),
    "complex": ({"wavelength": PIXELS, "flux": np.ones(100, dtype=complex)}, "flux holds complex128: give real"),
    "dates": ({"wavelength": PIXELS, "flux": np.zeros(100, dtype="M8[s]")}, "flux holds datetime64"),
    "no size": ({"wavelength": PIXELS, "flux": np.full(100, 1e300)}, r"flux 1e\+300 at 8460.00 A is beyond 1e\+37"),
    "no error": (
        {"wavelength": PIXELS, "flux": np.ones(100), "flux_error": np.full(100, 1e-300)},
        "flux error 1e-300 at 8460.00 A is not above 0",
    ),
}


@pytest.mark.parametrize("fault", ODD_ARRAYS)
def test_arrays_that_are_no_spectra_are_refused_by_name(fault: str, tmp_path: Path) -> None:
    arrays: dict[str, Any] = ODD_ARRAYS[fault][0]
    message = ODD_ARRAYS[fault][1]
    np.savez(tmp_path / "a.npz", medium="air", **arrays)
    with pytest.raises(InputError, match=message):
        read(tmp_path / "a.npz")


def test_names_of_another_number_are_not_taken(tmp_path: Path) -> None:
    random = np.random.default_rng(0).normal(1.0, 0.01, (2, 100))
    np.savez(tmp_path / "a.npz", medium="air", wavelength=PIXELS, flux=random, name=np.array(["a"]))
    assert [one.name[-3:] for one in read(tmp_path / "a.npz")] == ["[0]", "[1]"]


def test_a_beginning_in_the_metadata_that_is_no_number_is_named(tmp_path: Path) -> None:
    table = pa.table({"flux": [np.ones(100)]}).replace_schema_metadata(
        {"wavelength_start": "a", "wavelength_step": "1"}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match="wavelength_start holds something that is no number"):
        read(tmp_path / "a.parquet")


def test_vacuum_becomes_air_for_a_model_in_air(tmp_path: Path, seen: ArchiveSpectrum) -> None:
    individual_csv(tmp_path / "a.csv", seen)
    (spectrum,) = read(tmp_path / "a.csv")
    moved = spectrum.on_medium_of(GAIA.wavelength)
    assert moved.medium == "air"
    np.testing.assert_allclose(to_vacuum(moved.wavelength), spectrum.wavelength, rtol=1e-9)


def test_unit_that_nobody_states_is_the_one_that_fits(tmp_path: Path, seen: ArchiveSpectrum) -> None:
    table = as_table(seen)
    table["wavelength"] = table["wavelength"].data * 1e-3
    table.write(tmp_path / "a.csv", format="ascii.csv")
    (spectrum,) = read(tmp_path / "a.csv", Stated(medium="vacuum"))
    assert 8460.0 < spectrum.wavelength[0] < 8461.0


def test_missing_errors_come_from_the_scatter_or_from_the_user(tmp_path: Path, seen: ArchiveSpectrum) -> None:
    as_table(seen)["wavelength", "flux"].write(tmp_path / "a.csv", format="ascii.csv")
    (spectrum,) = read(tmp_path / "a.csv")
    assert spectrum.error[0] == pytest.approx(0.01, rel=0.1)
    assert "no flux errors" in spectrum.notes[0]
    (spectrum,) = read(tmp_path / "a.csv", Stated(signal_to_noise=50.0))
    assert spectrum.error[0] == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize("unit", [1e-17, 1e4])
def test_missing_errors_are_in_the_flux_s_unit(unit: float, tmp_path: Path, seen: ArchiveSpectrum) -> None:
    table = as_table(seen)["wavelength", "flux"]
    table["flux"] = table["flux"].data * unit
    table["flux"][1000] = np.inf
    table.write(tmp_path / "a.csv", format="ascii.csv")
    (spectrum,) = read(tmp_path / "a.csv")
    assert spectrum.error[0] == pytest.approx(0.01 * unit, rel=0.1)
    (spectrum,) = read(tmp_path / "a.csv", Stated(signal_to_noise=50.0))
    assert spectrum.error[0] == pytest.approx(0.02 * unit, rel=0.05)


def test_missing_pixels_inside_are_left_out_and_noted(tmp_path: Path, seen: ArchiveSpectrum) -> None:
    table = as_table(seen)
    table["flux"][1000:1012] = np.nan
    table.write(tmp_path / "a.csv", format="ascii.csv")
    (spectrum,) = read(tmp_path / "a.csv")
    assert (~spectrum.usable).sum() == 12
    assert "12 pixels inside (8560.0 to 8561.1 A)" in spectrum.notes[0]


def changed(column: str, value: object, row: int = 700) -> Callable[[Table], Table]:
    def change(table: Table) -> Table:
        table[column][row] = value
        return table

    return change


def renamed(old: str, new: str) -> Callable[[Table], Table]:
    def change(table: Table) -> Table:
        table.rename_column(old, new)
        return table

    return change


def in_angstrom(table: Table) -> Table:
    table["wavelength"].unit = "Angstrom"
    return table


def shifted(table: Table) -> Table:
    table["wavelength"] = table["wavelength"].data + 0.003
    return table


FAULTS: dict[str, tuple[Callable[[Table], Table], str]] = {
    "nm as Angstrom": (in_angstrom, "846 to 870 Angstrom lie outside .* look like nm: state --unit nm"),
    "misspelt flux": (renamed("flux", "flix"), "no column flux: .* rename flix if it is the flux"),
    "misspelt wavelength": (renamed("wavelength", "wavelenght"), "rename wavelenght if it is the wavelength"),
    "negative error": (changed("flux_error", -0.01), "flux error -0.01 at 8530.00 A is not above 0"),
    "error of zero": (changed("flux_error", 0.0), "flux error 0 at 8530.00 A is not above 0"),
    "wavelength missing": (changed("wavelength", np.nan), "wavelength of pixel 700 is not finite"),
    "wavelength twice": (changed("wavelength", 853.01), "8530.1000 A stands twice"),
    "medium unknown": (shifted, "air or in vacuum: state --medium"),
    "few pixels": (lambda table: table[100:140], "40 pixels with a flux and an error: at least 50"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_refused_by_name(fault: str, tmp_path: Path, seen: ArchiveSpectrum) -> None:
    change, message = FAULTS[fault]
    change(as_table(seen)).write(tmp_path / "a.ecsv", format="ascii.ecsv")
    with pytest.raises(InputError, match=message):
        read(tmp_path / "a.ecsv")


def test_files_that_are_none_of_their_kind_are_refused(tmp_path: Path) -> None:
    for name, content, message in (
        ("a.fits", b"wavelength,flux\n8500,1\n", "can't be read as FITS"),
        ("a.xml", b"<html>not found</html>", r"is a web page \(HTML\)"),
        ("a.xml", b"<?xml version='1.0'?><found/>", "can't be read as a VOTable|holds no table"),
        ("a.parquet", b"PAR", "can't be read as Parquet"),
        ("a.npz", b"text", "can't be read as NPZ"),
        ("a.csv", b"", "is empty"),
        ("a.dat", b"1 2 3 4", "4 columns without names"),
        ("a.bin", b"\x00\x01", "suffix '.bin' is not known"),
        ("a.csv", b"wavelength,flux\n", "has no rows"),
        ("a.csv", b"wavelength,flux\n850.0,bright\n", "holds something that is no number"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=message):
            read(tmp_path / name)
    with pytest.raises(InputError, match="is no file"):
        read(tmp_path / "absent.csv")


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "sprung",)  # type: ignore[return-value]

    np.savez(tmp_path / "a.npz", wavelength=np.arange(100.0), flux=np.array([Trap()], dtype=object))
    with pytest.raises(InputError, match="array flux is pickled"):
        read(tmp_path / "a.npz")
    assert not (tmp_path / "sprung").exists()


def test_a_hint_at_a_misspelling_is_no_matter_of_a_message_s_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stellar_emulator.contract.checks.unknown", lambda name, known: f"{name}?")
    table = RawTable("a", {"flix": np.zeros(3)})
    assert misspelt(table, FLUX) == "; rename flix if it is the flux"
    assert misspelt(table, WAVELENGTH) == ""
