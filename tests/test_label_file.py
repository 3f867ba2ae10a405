"""Tables of labels from files: the same checks as a request's, with the row of the whole file in every message."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from synthetic import TINY

from stellar_emulator.errors import InputError
from stellar_emulator.label_file import ROWS, label_batches


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


@FORMATS
def test_cells_that_are_no_numbers_are_named(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"stars{suffix}"
    missing = pa.array([5000.0, None, 5000.0])
    assert "in row 1 is no" in refusal(write(path, labels(3), teff=missing))
    text = pa.array(["5000", "hot", "5000"])
    assert "teff = '" in refusal(write(path, labels(3), teff=text))


@FORMATS
def test_missing_extra_and_misspelt_labels_are_named(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"stars{suffix}"
    assert "label vsini is missing: give it, 0 to 100 km/s" in refusal(write(path, labels(3), vsini=None))
    assert "did you mean teff?" in refusal(write(path, labels(3), tef=pa.array([1, 2, 3])))
    assert "has no rows" in refusal(write(path, labels(0)))


def test_files_that_can_not_be_read_are_refused(tmp_path: Path) -> None:
    assert "can't be read" in refusal(tmp_path / "nowhere.csv")
    assert "can't be read" in refusal(tmp_path / "nowhere.parquet")
    assert "give a .parquet or .csv file" in refusal(tmp_path / "stars.fits")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and no more")
    assert "can't be read" in refusal(tmp_path / "cut.parquet")
    (tmp_path / "ragged.csv").write_text("teff,m_h,vsini\n5000,0,1\n5000,0\n")
    assert "can't be read" in refusal(tmp_path / "ragged.csv")
    (tmp_path / "empty.csv").write_text("")
    assert "can't be read" in refusal(tmp_path / "empty.csv")
