"""Files that unpack into far more than they are, or name others: each beside an honest one of its kind."""

import gzip
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits

from stellar_emulator.errors import InputError
from stellar_emulator.observed.readers.formats import read_tables
from stellar_emulator.system import confined
from stellar_emulator.system.confined import MIB, Limits, check_unpacked

SMALL = Limits(96 * MIB, 60.0, "split it")
"""Honest files here take a tenth of it."""

Writer = Callable[[Path, int], None]


@pytest.fixture(scope="module", autouse=True)
def ended() -> Iterator[None]:
    yield
    confined._end()


def fits_gz(path: Path, size: int) -> None:
    header = fits.Header({"SIMPLE": True, "BITPIX": 8, "NAXIS": 2, "NAXIS1": 1000, "NAXIS2": size // 1000})
    header.update({"CRVAL1": 8400.0, "CDELT1": 0.1})
    zeros(path, header.tostring().encode(), b"\0" * (size + -size % 2880))


def zeros(path: Path, head: bytes, content: bytes) -> None:
    with gzip.open(path, "wb", 1) as file:
        file.write(head)
        file.write(content)


def csv_gz(path: Path, size: int) -> None:
    zeros(path, b"wavelength,flux\n", b"8400.0,1.0\n" * (size // 11))


def wide_csv(path: Path, size: int) -> None:
    count = size // 100
    zeros(path, b"wavelength,flux" + b",a" * count + b"\n", b"1,1" + b",1" * count + b"\n")


def npz(path: Path, size: int) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("flux.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (size // 8,)})
        file.write(b"\0" * (size // 8 * 8))


def npz_of_a_lie(path: Path, size: int) -> None:
    """An array of whose size the header speaks alone, where it is large."""
    with zipfile.ZipFile(path, "w") as archive, archive.open("flux.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (size // 8,)})
        file.write(b"\0" * min(size // 8 * 8, 10**6))


def votable(table: str, before: str = "") -> str:
    return f'<?xml version="1.0"?>{before}<VOTABLE version="1.3"><RESOURCE>{table}</RESOURCE></VOTABLE>'


def rows_of_votable(path: Path, size: int) -> None:
    field = f'<TABLE nrows="{size // 8}"><FIELD name="flux" datatype="double"/>'
    path.write_text(votable(f"{field}<DATA><TABLEDATA><TR><TD>1</TD></TR></TABLEDATA></DATA></TABLE>"))


def entities(path: Path, size: int) -> None:
    levels = 1 if size < MIB * 10 else 9
    named = "".join(f'<!ENTITY x{level} "{f"&x{level - 1};" * 10}">' for level in range(1, levels + 1))
    doctype = f'<!DOCTYPE VOTABLE [<!ENTITY x0 "1.0 1.0 1.0 1.0">{named}]>'
    field = '<TABLE><FIELD name="flux" datatype="char" arraysize="*"/>'
    path.write_text(
        votable(f"{field}<DATA><TABLEDATA><TR><TD>&x{levels};</TD></TR></TABLEDATA></DATA></TABLE>", doctype)
    )


def heap(path: Path, size: int) -> None:
    """A FITS table all of whose rows point to the same million bytes."""
    rows, shared = max(1, size // 10**6), np.zeros(125_000, ">f8").tobytes()
    header = fits.Header({"XTENSION": "BINTABLE", "BITPIX": 8, "NAXIS": 2, "NAXIS1": 8, "NAXIS2": rows})
    header.update({"PCOUNT": len(shared), "GCOUNT": 1, "TFIELDS": 1, "TTYPE1": "flux", "TFORM1": "1PD(125000)"})
    data = np.tile(np.array([125_000, 0], ">i4"), rows).tobytes() + shared
    parts = (
        fits.PrimaryHDU().header.tostring().encode(),
        header.tostring().encode(),
        data,
        b"\0" * (-len(data) % 2880),
    )
    path.write_bytes(b"".join(parts))


def dictionary(path: Path, size: int) -> None:
    """A Parquet column all of whose cells are one long text."""
    text = "x" * 10**5
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(max(1, size // 10**5), np.int32)), pa.array([text]))
    pq.write_table(pa.table({"flux": column}), path)


def repeated(path: Path, size: int) -> None:
    pq.write_table(pa.table({"flux": np.zeros(size // 8)}), path, compression="zstd")


def ecsv_shape(path: Path, size: int) -> None:
    shape = size // 8
    cell = "[1]" if shape > 10**6 else f"[{', '.join(['1'] * shape)}]"
    head = f"# %ECSV 1.0\n# ---\n# datatype:\n# - {{name: flux, datatype: string, subtype: 'float64[{shape}]'}}\n"
    path.write_text(f'{head}flux\n"{cell}"\n')


BOMBS: dict[str, tuple[str, Writer]] = {
    "compressed FITS": ("a.fits.gz", fits_gz),
    "compressed CSV": ("a.csv.gz", csv_gz),
    "columns of a CSV": ("a.csv.gz", wide_csv),
    "NPZ": ("a.npz", npz),
    "a header of an NPZ": ("a.npz", npz_of_a_lie),
    "rows of a VOTable": ("a.xml", rows_of_votable),
    "entities of a VOTable": ("a.vot", entities),
    "the heap of a FITS table": ("a.fits", heap),
    "the dictionary of a Parquet file": ("a.parquet", dictionary),
    "repetitions of a Parquet file": ("a.parquet", repeated),
    "the shape of an ECSV": ("a.ecsv", ecsv_shape),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_file_that_unpacks_into_too_much_is_refused_and_a_small_one_read(kind: str, tmp_path: Path) -> None:
    name, write = BOMBS[kind]
    write(tmp_path / name, 8000)
    (table,) = read_tables(tmp_path / name, limits=SMALL)
    assert table.columns
    write(tmp_path / name, 200 * MIB)
    assert (tmp_path / name).stat().st_size < 6 * MIB
    with pytest.raises(InputError) as refused:
        read_tables(tmp_path / name, limits=SMALL)
    assert str(refused.value).startswith(str(tmp_path / name))
    wanted = (
        "amplification" if kind == "entities of a VOTable" else "takes more than 96 MiB of memory when it is unpacked"
    )
    assert wanted in str(refused.value)


def test_a_file_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    csv_gz(tmp_path / "a.csv.gz", 8000)
    with pytest.raises(InputError, match=r"a.csv.gz takes longer than 0.001 s to read: split it"):
        read_tables(tmp_path / "a.csv.gz", limits=Limits(96 * MIB, 0.001, "split it"))
    assert read_tables(tmp_path / "a.csv.gz", limits=SMALL)


ANSWER = '<TABLE><FIELD name="flux" datatype="double"/><DATA>{data}</DATA></TABLE>'


@pytest.mark.parametrize("form", ["BINARY", "BINARY2", "FITS"])
@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9/x", "https://localhost/x", "file://{other}", "ftp://localhost/x"]
)
def test_a_votable_that_names_another_file_is_refused(form: str, address: str, tmp_path: Path) -> None:
    other = tmp_path / "secret"
    other.write_bytes(b"\x3f\xf0\0\0\0\0\0\0" * 8)
    stream = f'<STREAM href="{address.format(other=other)}"/>'
    (tmp_path / "a.xml").write_text(votable(ANSWER.format(data=f"<{form}>{stream}</{form}>")))
    with pytest.raises(InputError, match=r"a.xml can't be read as a VOTable: it names something outside"):
        read_tables(tmp_path / "a.xml", limits=SMALL)
    inside = '<STREAM encoding="base64">P/AAAAAAAAA=</STREAM>'
    (tmp_path / "b.xml").write_text(votable(ANSWER.format(data=f"<BINARY>{inside}</BINARY>")))
    (table,) = read_tables(tmp_path / "b.xml", limits=SMALL)
    assert table.columns["flux"].tolist() == [1.0]


def test_an_entity_that_names_another_file_brings_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("a word that nobody shall read")
    doctype = f'<!DOCTYPE a [<!ENTITY e SYSTEM "file://{tmp_path}/secret">]>'
    field = '<TABLE><FIELD name="flux" datatype="char" arraysize="*"/>'
    data = f"{field}<DATA><TABLEDATA><TR><TD>&e;</TD></TR></TABLEDATA></DATA></TABLE>"
    (tmp_path / "a.xml").write_text(votable(data, doctype))
    (table,) = read_tables(tmp_path / "a.xml", limits=SMALL)
    assert "word" not in str(table.columns["flux"])


@pytest.mark.parametrize(
    "meta",
    [
        "!!python/object/apply:os.mkdir ['{folder}/made']",
        "!astropy.table.Table {{}}",
        "{deep}",
    ],
)
def test_an_ecsv_runs_nothing(meta: str, tmp_path: Path) -> None:
    head = "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: flux, datatype: float64}\n"
    (tmp_path / "a.ecsv").write_text(f"{head}flux\n1.0\n")
    assert read_tables(tmp_path / "a.ecsv", limits=SMALL)
    (tmp_path / "a.ecsv").write_text(f"{head}# meta: {meta.format(folder=tmp_path, deep='[' * 50000)}\nflux\n1.0\n")
    with pytest.raises(InputError, match=r"a\.ecsv can't be read"):
        read_tables(tmp_path / "a.ecsv", limits=SMALL)
    assert not (tmp_path / "made").exists()


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Making:
        def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
            return os.mkdir, (str(tmp_path / "made"),)

    np.savez(tmp_path / "a.npz", flux=np.array([Making()], dtype=object))
    with pytest.raises(InputError, match="array flux is pickled, and unpickling could run anything"):
        read_tables(tmp_path / "a.npz", limits=SMALL)
    assert not (tmp_path / "made").exists()


def test_a_large_file_of_one_s_own_may_take_more_than_a_small_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\0" * 100)
    check_unpacked(tmp_path / "a", 2**30)
    with pytest.raises(InputError, match="unpacks into 1,025 MiB, more than 1,024"):
        check_unpacked(tmp_path / "a", 1025 * MIB)
    os.truncate(tmp_path / "a", 2**25)
    check_unpacked(tmp_path / "a", 2**31)
