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


def test_parquet_whose_rows_are_no_spectra_is_read_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_text("no Parquet")
    pq.write_table(pa.table({"wavelength": [8500.0, 8500.1], "flux": [1.0, 0.9]}), tmp_path / "pixels.parquet")
    stars(tmp_path / "stars.parquet")
    made = dataset_of([tmp_path], 4)
    assert [(Path(one.paths[0]).stem, one.first, one.stop) for one in made.chunks[:2]] == [
        ("stars", 0, 4),
        ("stars", 4, 7),
    ]
    assert [Path(path).stem for path in made.chunks[2].paths] == ["broken", "pixels"]


def test_large_files_are_chunks_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stellar_emulator.survey.chunks.BYTES", 10)
    for number, size in enumerate((3, 3, 50, 3)):
        (tmp_path / f"star_{number}.csv").write_text("x" * size)
    made = dataset_of([tmp_path], 2)
    assert [[Path(path).stem[-1] for path in one.paths] for one in made.chunks] == [["0", "1"], ["2"], ["3"]]


def epochs(path: Path, sources: list[int]) -> Path:
    columns = {"source_id": sources, "transit_id": list(range(len(sources))), "flux": [[1.0, 2.0]] * len(sources)}
    pq.write_table(pa.table(columns), path)
    return path


def test_the_epochs_of_a_star_are_never_divided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stellar_emulator.survey.chunks.EPOCHS", 1)
    path = epochs(tmp_path / "epochs.parquet", [5, 5, 5, 2, 2, 9, 7, 7])
    made = dataset_of([path], 2)
    assert [(one.first, one.stop) for one in made.chunks] == [(0, 3), (3, 6), (6, 8)]
    assert [(one.first, one.stop) for one in dataset_of([path], 3, together=False).chunks] == [(0, 3), (3, 6), (6, 8)]
    apart = dataset_of([path], 2, together=False)
    assert [(one.first, one.stop) for one in apart.chunks] == [(0, 2), (2, 4), (4, 6), (6, 8)]


def test_epochs_of_a_star_that_stand_apart_are_refused(tmp_path: Path) -> None:
    path = epochs(tmp_path / "epochs.parquet", [5, 5, 2, 5])
    with pytest.raises(InputError, match=r"epochs of source 5 stand in 2 places.*sort the rows"):
        dataset_of([path], 2)
    assert len(dataset_of([path], 2, together=False).chunks) == 2
    one = epochs(tmp_path / "one.parquet", [5, 5])
    other = epochs(tmp_path / "other.parquet", [5, 6])
    with pytest.raises(InputError, match="epochs of source 5 stand in 2 places"):
        dataset_of([one, other], 2)
