"""Tables of labels from files: the same checks as a request's, with the row of the whole file in every message."""

import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy import units
from astropy.table import MaskedColumn, QTable, Table
from synthetic import TINY

from stellar_emulator.contract.label_file import ROWS, label_batches
from stellar_emulator.errors import InputError


def labels(rows: int) -> np.ndarray:
    share = np.random.default_rng(1).random((rows, len(TINY.labels)))
    return TINY.lower + share * (TINY.upper - TINY.lower)


def columns(table: np.ndarray, kind: pa.DataType | None = None) -> dict[str, pa.Array]:
    return {name: pa.array(column, kind) for name, column in zip(TINY.label_names, table.T, strict=True)}


def write(path: Path, table: np.ndarray, **changed: pa.Array) -> Path:
    """Parquet or CSV with the columns in another order than the contract's."""
    content = {**columns(table), **changed}
    content = {name: content[name] for name in reversed(content) if content[name] is not None}
    if path.suffix == ".parquet":
        pq.write_table(pa.table(content), path, row_group_size=1000)
    else:
        rows = zip(*(column.to_pylist() for column in content.values()), strict=True)
        lines = [",".join("" if cell is None else str(cell) for cell in row) for row in rows]
        path.write_text("\n".join([",".join(content), *lines]) + "\n")
    return path


FORMATS = pytest.mark.parametrize("suffix", [".parquet", ".csv"])


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as refused:
        list(label_batches(path, TINY))
    assert str(path) in str(refused.value)
    return str(refused.value)


@FORMATS
def test_batches_hold_the_rows_in_order(suffix: str, tmp_path: Path) -> None:
    table = labels(2 * ROWS + 5)
    batches = list(label_batches(write(tmp_path / f"stars{suffix}", table), TINY))
    assert max(len(batch) for batch in batches) <= ROWS
    np.testing.assert_array_equal(np.concatenate(batches), table)


def test_whole_numbers_and_single_precision_are_read(tmp_path: Path) -> None:
    table = np.array([[5000.0, 0.0, 100.0], [4000.0, 0.5, 0.0]])
    mixed = {"teff": pa.array([5000, 4000]), "m_h": pa.array([0.1, 0.5], pa.float32())}
    (batch,) = label_batches(write(tmp_path / "stars.parquet", table, **mixed), TINY)
    np.testing.assert_array_equal(batch, [[5000.0, 0.1, 100.0], [4000.0, 0.5, 0.0]])


@FORMATS
@pytest.mark.parametrize(
    ("value", "said"),
    [
        (9000.0, "teff = 9000 K in row 4000 lies outside 4000 to 8000 K"),
        (np.inf, "teff = inf K in row 4000 is not finite: give 4000 to 8000 K"),
    ],
)
def test_a_bad_row_is_named_by_its_number_in_the_file(suffix: str, value: float, said: str, tmp_path: Path) -> None:
    table = labels(5000)
    table[4000, 0] = value
    assert said in refusal(write(tmp_path / f"stars{suffix}", table))


@pytest.mark.parametrize("suffix", [".fits", ".ecsv"])
def test_tables_with_units_are_converted(suffix: str, tmp_path: Path) -> None:
    table = labels(ROWS + 3)
    own = QTable(dict(zip(TINY.label_names, table.T, strict=True)))
    own["teff"] = own["teff"] / 1000.0 * units.kK
    own["m_h"] = own["m_h"] * units.Unit("dex")
    own["vsini"] = own["vsini"] * 1000.0 * units.m / units.s
    path = tmp_path / f"stars{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # FITS has no dex.
        own.write(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batches = list(label_batches(path, TINY))
    assert [len(batch) for batch in batches] == [ROWS, 3]
    np.testing.assert_allclose(np.concatenate(batches), table, rtol=1e-12)
    own["teff"] = table[:, 0] * units.m
    own.write(tmp_path / "wrong.ecsv")
    assert "label teff has unit m: give it in K" in refusal(tmp_path / "wrong.ecsv")


@pytest.mark.parametrize("suffix", [".fits", ".ecsv"])
def test_missing_cells_and_misspelt_columns_of_tables_are_named(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"stars{suffix}"
    table = Table(dict(zip(TINY.label_names, labels(3).T, strict=True)))
    table["m_h"] = MaskedColumn([0.0, 0.0, 0.0], mask=[False, True, False])
    table.write(path)
    assert "m_h = nan dex in row 1 is not finite" in refusal(path)
    table.rename_column("vsini", "vsin")
    table.write(path, overwrite=True)
    assert "label vsin is unknown: did you mean vsini?" in refusal(path)


@FORMATS
def test_labels_that_all_rows_share_are_added(suffix: str, tmp_path: Path) -> None:
    table = labels(4)
    path = write(tmp_path / f"stars{suffix}", table, vsini=None)
    (batch,) = label_batches(path, TINY, {"vsini": 7.0})
    np.testing.assert_array_equal(batch, np.column_stack([table[:, :2], np.full(4, 7.0)]))
    with pytest.raises(InputError, match="label teff is given 2 times"):
        list(label_batches(path, TINY, {"vsini": 7.0, "teff": 5000.0}))


@FORMATS
def test_cells_that_are_no_numbers_are_named(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"stars{suffix}"
    missing = pa.array([5000.0, None, 5000.0])
    assert "in row 1 is no" in refusal(write(path, labels(3), teff=missing))
    text = pa.array(["5000", "hot", "5000"])
    assert "teff = '" in refusal(write(path, labels(3), teff=text))


def test_names_of_columns_that_are_no_utf_8_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "stars.csv"
    path.write_bytes("teff,métallicité\n5000,0\n".encode("latin-1"))
    assert "the names of the columns, is no UTF-8: save it as UTF-8" in refusal(path)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (pa.array([True, False, True]), "vsini = True in row 0 is no number"),
        (pa.array([1, 2, 3], pa.timestamp("s")), "vsini = datetime.date"),
        (pa.array([[1.0], [2.0], [3.0]]), "vsini = array([1.]) in row 0 is no number"),
    ],
)
def test_columns_of_no_numbers_are_named(cells: pa.Array, said: str, tmp_path: Path) -> None:
    assert said in refusal(write(tmp_path / "stars.parquet", labels(3), vsini=cells))


@pytest.mark.parametrize("suffix", [".fits", ".ecsv"])
def test_the_column_of_text_is_named_and_no_other(suffix: str, tmp_path: Path) -> None:
    table = Table({**dict(zip(TINY.label_names, labels(2).T, strict=True)), "vsini": ["2", "3"]})
    table.write(tmp_path / f"stars{suffix}")
    assert "vsini = " in refusal(tmp_path / f"stars{suffix}")


@FORMATS
def test_missing_extra_and_misspelt_labels_are_named(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"stars{suffix}"
    assert "label vsini is missing: give it, 0 to 100 km/s" in refusal(write(path, labels(3), vsini=None))
    assert "did you mean teff?" in refusal(write(path, labels(3), tef=pa.array([1, 2, 3])))
    assert "has no rows" in refusal(write(path, labels(0)))


def test_files_that_can_not_be_read_are_refused(tmp_path: Path) -> None:
    assert "can't be read" in refusal(tmp_path / "nowhere.csv")
    assert "can't be read" in refusal(tmp_path / "nowhere.parquet")
    assert "give a file of .parquet, .csv, .fits, .ecsv" in refusal(tmp_path / "stars.txt")
    assert "can't be read" in refusal(tmp_path / "nowhere.fits")
    assert "can't be read" in refusal(tmp_path / "nowhere.ecsv")
    for suffix in ("fits", "ecsv"):
        (tmp_path / f"text.{suffix}").write_text("teff,m_h,vsini\n5000,0,1\n")
        assert "read" in refusal(tmp_path / f"text.{suffix}")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and no more")
    assert "can't be read" in refusal(tmp_path / "cut.parquet")
    (tmp_path / "ragged.csv").write_text("teff,m_h,vsini\n5000,0,1\n5000,0\n")
    assert "can't be read" in refusal(tmp_path / "ragged.csv")
    (tmp_path / "empty.csv").write_text("")
    assert "can't be read" in refusal(tmp_path / "empty.csv")
