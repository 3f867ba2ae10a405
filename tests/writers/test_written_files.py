"""Files of generated spectra: what other tools read from them is what was generated."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy import units
from astropy.io import fits
from astropy.table import Table
from specutils import Spectrum
from synthetic import GAIA, ROOT, TINY

from stellar_emulator.contract.contract import Contract, read_contract
from stellar_emulator.errors import InputError, SetupError
from stellar_emulator.grid.readers.user_grid import open_grid
from stellar_emulator.writers.batch import Generated
from stellar_emulator.writers.file import check_output, write_spectra
from stellar_emulator.writers.fits_header import card
from stellar_emulator.writers.label_table_file import write_table

ARCHIVE = read_contract(ROOT / "data_contracts" / "gaia_dr3_rvs.yaml")
DIGEST = "0123456789abcdef" * 4


def spectra(contract: Contract, rows: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(rows)
    labels = contract.lower + random.random((rows, len(contract.labels))) * (contract.upper - contract.lower)
    return labels, random.random((rows, contract.wavelength.count), dtype=np.float32)


def generated(contract: Contract, labels: np.ndarray, flux: np.ndarray, size: int = 4) -> Generated:
    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for first in range(0, len(labels), size):
            yield labels[first : first + size], flux[first : first + size]

    return Generated(contract, f"some-emulator {DIGEST[:12]}", DIGEST, len(labels), batches())


@pytest.mark.filterwarnings("error::astropy.utils.exceptions.AstropyWarning")
@pytest.mark.parametrize("rows", [1, 9])
@pytest.mark.parametrize("contract", [GAIA, ARCHIVE, TINY], ids=lambda contract: contract.name)
def test_fits_opens_in_astropy_and_specutils(contract: Contract, rows: int, tmp_path: Path) -> None:
    labels, flux = spectra(contract, rows)
    path = tmp_path / "stars.fits"
    write_spectra(path, generated(contract, labels, flux))
    with fits.open(path) as file:
        file.verify("exception")
        header = file[0].header
        np.testing.assert_array_equal(file[0].data, flux[0] if rows == 1 else flux)
        assert header["MODEL"] == f"some-emulator {DIGEST[:12]}"
        assert header["MODELSHA"] == DIGEST
        assert header["MEDIUM"] == contract.wavelength.medium
        assert header["CTYPE1"] == {"air": "AWAV", "vacuum": "WAVE"}[contract.wavelength.medium]
        assert header["CUNIT1"] == "Angstrom"
        if rows == 1:
            assert [header[name.upper()] for name in contract.label_names] == labels[0].tolist()
    if rows > 1:
        table = Table.read(path, hdu="LABELS")
        assert table.colnames == contract.label_names
        assert table["teff"].unit == units.K
        np.testing.assert_array_equal(np.column_stack([table[name] for name in table.colnames]), labels)
    found = Spectrum.read(path)
    assert found.flux.shape == ((contract.wavelength.count,) if rows == 1 else flux.shape)
    assert found.flux.unit == units.dimensionless_unscaled
    wavelength = found.spectral_axis.to_value(units.Angstrom)
    np.testing.assert_allclose(wavelength, contract.wavelength.pixels, rtol=0, atol=1e-6)


def test_cards_hold_any_value() -> None:
    for keyword, value in (("A", "it's"), ("B", True), ("C", -3), ("D", 1.5e-7), ("A_LONGER_NAME", 2.0), ("E", "")):
        written = card(keyword, value, "a comment")
        assert len(written) == 80
        read = fits.Card.fromstring(written)
        read.verify("exception")
        assert read.value == value
        assert read.comment == "a comment"
        assert read.keyword.upper() == keyword


def test_one_spectrum_as_csv_is_a_row_a_pixel(tmp_path: Path) -> None:
    labels, flux = spectra(TINY, 1)
    write_spectra(tmp_path / "star.csv", generated(TINY, labels, flux))
    found = np.genfromtxt(tmp_path / "star.csv", delimiter=",", names=True)
    assert found.dtype.names == ("wavelength", "flux")
    np.testing.assert_array_equal(found["wavelength"], TINY.wavelength.pixels)
    np.testing.assert_allclose(found["flux"], flux[0], rtol=1e-6)


def test_several_spectra_as_csv_are_a_row_each(tmp_path: Path) -> None:
    labels, flux = spectra(TINY, 9)
    write_spectra(tmp_path / "stars.csv", generated(TINY, labels, flux))
    with (tmp_path / "stars.csv").open() as stream:
        header, *rows = csv.reader(stream)
    assert header[:4] == [*TINY.label_names, "5000.0"]
    found = np.array(rows, dtype=np.float64)
    np.testing.assert_array_equal(found[:, :3], labels)
    np.testing.assert_allclose(found[:, 3:], flux, rtol=1e-6)


def test_parquet_is_a_grid(tmp_path: Path) -> None:
    labels, flux = spectra(TINY, 9)
    path = tmp_path / "stars.parquet"
    write_spectra(path, generated(TINY, labels, flux))
    grid = open_grid(path, TINY, tmp_path)
    np.testing.assert_array_equal(grid.labels, labels)
    np.testing.assert_array_equal(grid.take(np.arange(9)), flux)


def test_a_picture_shows_a_few_spectra_and_refuses_many(tmp_path: Path) -> None:
    labels, flux = spectra(TINY, 3)
    write_spectra(tmp_path / "stars.png", generated(TINY, labels, flux))
    assert (tmp_path / "stars.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="a picture shows up to 8 spectra, the table has 9"):
        write_spectra(tmp_path / "many.png", generated(TINY, *spectra(TINY, 9)))
    assert [path.name for path in tmp_path.iterdir()] == ["stars.png"]


@pytest.mark.parametrize("suffix", [".fits", ".csv", ".parquet", ".png"])
def test_a_file_appears_whole_or_not_at_all(suffix: str, tmp_path: Path) -> None:
    def broken() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        yield spectra(TINY, 2)
        raise InputError("row 2 is bad")

    path = tmp_path / f"stars{suffix}"
    path.write_text("the one before")
    with pytest.raises(InputError, match="row 2 is bad"):
        write_spectra(path, Generated(TINY, "v", DIGEST, 4, broken()))
    assert path.read_text() == "the one before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("suffix", "shown"),
    [(".csv", "st\u00e9rne"), (".ecsv", "st\u00e9rne"), (".parquet", "st\u00e9rne"), (".fits", r"st\xe9rne")],
)
@pytest.mark.filterwarnings("ignore:No table..len..:astropy.utils.exceptions.AstropyUserWarning")
@pytest.mark.parametrize("name", ["st\u00e9rne", "st\udcc3\udca9rne"], ids=["text", "bytes in the C locale"])
def test_names_of_any_letters_are_written_whatever_the_locale(
    name: str, suffix: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("locale.getpreferredencoding", lambda *_: "ascii")
    monkeypatch.setattr("locale.getencoding", lambda: "ascii", raising=False)
    path = tmp_path / f"table{suffix}"
    write_table(path, {"name": [name, "b"], "teff": [1.0, 2.0]}, {"teff": "K"}, {})
    read = {".csv": "ascii.csv", ".ecsv": "ascii.ecsv", ".fits": "fits", ".parquet": "parquet"}[suffix]
    assert list(Table.read(path, format=read)["name"]) == [shown, "b"]


def test_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "stars.csv"
    labels, flux = spectra(TINY, 2)

    def meanwhile() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        with pytest.raises(InputError, match=r"stars\.csv is being written by another process"):
            write_spectra(path, generated(TINY, labels, flux))
        yield labels, flux

    write_spectra(path, Generated(TINY, "v", DIGEST, 2, meanwhile()))
    assert len(path.read_text().splitlines()) == 3


def test_places_that_can_not_be_written_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"stars\.txt: the suffix '.txt' is not known: give .fits, .parquet"):
        check_output(tmp_path / "stars.txt")
    (tmp_path / "folder.fits").mkdir()
    with pytest.raises(InputError, match="is a folder: give a file"):
        check_output(tmp_path / "folder.fits")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file can't be made a folder"):
        check_output(tmp_path / "file" / "stars.fits")
    with pytest.raises(InputError, match="can't be written: File name too long: give another file"):
        check_output(tmp_path / f"{'a' * 300}.fits")
    check_output(tmp_path / "new" / "stars.FITS")
    assert (tmp_path / "new").is_dir()
    with pytest.raises(SetupError, match=r"stars\.fits can't be written: No such file or directory"):
        write_spectra(tmp_path / "gone" / "stars.fits", generated(TINY, *spectra(TINY, 1)))
