"""Files that ended early on their way, and web pages in place of files: one clear error, and nothing half read."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import survey_files

from stellar_emulator.errors import InputError
from stellar_emulator.observed.readers.formats import read_tables


def test_a_gzipped_file_that_lacks_its_last_hdus_is_refused(tmp_path: Path) -> None:
    whole = tmp_path / "med.fits"
    survey_files.lamost_medium(whole)
    packed, cut = tmp_path / "med.fits.gz", tmp_path / "cut.fits.gz"
    content = gzip.compress(whole.read_bytes())
    packed.write_bytes(content)
    cut.write_bytes(content[: int(0.9 * len(content))])
    assert read_tables(packed)
    with pytest.raises(InputError, match=r"cut\.fits\.gz is cut short or damaged: .* fetch it again"):
        read_tables(cut)


def test_an_image_that_ends_early_is_said_to_be_cut(tmp_path: Path) -> None:
    whole, cut = tmp_path / "lrs.fits", tmp_path / "cut.fits"
    survey_files.lamost_low(whole)
    cut.write_bytes(whole.read_bytes()[:12000])
    with pytest.raises(InputError, match=r"cut\.fits (can't be read as FITS: it )?is cut short"):
        read_tables(cut)


def test_a_compressed_table_that_ends_early_is_said_to_be_cut(tmp_path: Path) -> None:
    text = "wavelength,flux\n" + "".join(f"{8400 + 0.1 * i},{value}\n" for i, value in enumerate(_noise(4000)))
    path = tmp_path / "star.csv.gz"
    path.write_bytes(gzip.compress(text.encode())[:9000])
    with pytest.raises(InputError, match="it is cut short, its data end early: fetch it again"):
        read_tables(path)


@pytest.mark.parametrize("name", ["star.fits", "star.csv", "star.txt", "star.fits.gz", "star.vot"])
@pytest.mark.parametrize(
    "page", [b"<!DOCTYPE html>\n<html><body>404</body></html>", b"\n <HTML><body>log in</body></HTML>"]
)
def test_a_web_page_is_called_one(name: str, page: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(page) if name.endswith(".gz") else page)
    with pytest.raises(InputError, match=r"is a web page \(HTML\), which a server sends in place of a file"):
        read_tables(path)


def _noise(count: int) -> np.ndarray:
    return np.random.default_rng(1).normal(1.0, 0.01, count)
