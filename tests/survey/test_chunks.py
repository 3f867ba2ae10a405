from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stellar_emulator.errors import InputError
from stellar_emulator.observed.readers.parquet_rows import read_rows
from stellar_emulator.survey.chunks import FILES, dataset_of


def stars(path: Path, count: int = 7, group: int = 3) -> Path:
    columns = {"source_id": list(range(count)), "flux": [[float(row), 1.0] for row in range(count)]}
    pq.write_table(pa.table(columns), path, row_group_size=group)
    return path


@pytest.mark.parametrize(("group", "batch"), [(3, 512), (100, 512), (100, 2), (3, 1)])
def test_chunks_cover_every_row_once(group: int, batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stellar_emulator.observed.readers.parquet_rows.BATCH_ROWS", batch)
    path = stars(tmp_path / "stars.parquet", group=group)
    made = dataset_of([path], 2)
    assert [(one.number, one.first, one.stop) for one in made.chunks] == [(0, 0, 2), (1, 2, 4), (2, 4, 6), (3, 6, 7)]
    read = [read_rows(path, one.first, one.stop) for one in made.chunks]
    assert [row for _, passed in read for row in passed.column("source_id").to_pylist()] == list(range(7))
    assert [row for raw, _ in read for row in raw.columns["flux"][:, 0]] == list(range(7))
    assert all(passed.column_names == ["source_id"] for _, passed in read)


def test_files_of_a_folder_are_taken_a_few_at_a_time_and_hidden_ones_are_not(tmp_path: Path) -> None:
    for number in range(FILES + 1):
        (tmp_path / f"star_{number:03d}.csv").write_text("x")
    (tmp_path / ".hidden.csv").write_text("x")
    (tmp_path / "notes.md").write_text("x")
    made = dataset_of([tmp_path], 2)
    assert [len(one.paths) for one in made.chunks] == [FILES, 1]


def test_another_file_makes_another_dataset(tmp_path: Path) -> None:
    one, other = stars(tmp_path / "one.parquet"), stars(tmp_path / "other.parquet", 8)
    assert dataset_of([one], 2).digest == dataset_of([one], 2).digest
    assert dataset_of([one], 2).digest != dataset_of([one, other], 2).digest


def test_what_holds_no_spectra_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no file and no folder"):
        dataset_of([tmp_path / "absent"], 2)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no file of spectra"):
        dataset_of([tmp_path / "empty"], 2)
    (tmp_path / "broken.parquet").write_text("no Parquet")
    with pytest.raises(InputError, match=r"broken\.parquet can't be read as Parquet"):
        dataset_of([tmp_path / "broken.parquet"], 2)
