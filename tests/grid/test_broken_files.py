"""Every reader of grids refuses what is no such file, in words, whatever the library beneath it raises."""

import gzip
from collections.abc import Mapping
from pathlib import Path

import foreign
import pytest

from stellar_emulator.cli import main
from stellar_emulator.errors import InputError
from stellar_emulator.grid.importing.darkening import read_darkening
from stellar_emulator.grid.readers.find import BROKEN, FORMATS, find_members, reason_of
from stellar_emulator.grid.readers.names import label_source

WRONG = {
    "empty": b"",
    "zeros": bytes(4000),
    "one number": b"5000.0\n",
    "words": b"no spectrum at all\n" * 5,
    "FITS begun": b"SIMPLE  =                    T / and no more".ljust(2880),
    "HDF5 begun": b"\x89HDF\r\n\x1a\n" + bytes(500),
    "IDL begun": b"SR\x00\x04" + bytes(range(200)),
    "gzip cut": gzip.compress(b"5000.0 1.0\n" * 1000)[:40],
}


def _read_all(path: Path, name: str) -> None:
    """As an import reads: what the reading of a listed spectrum raises is a reason to leave it out."""
    for member in find_members([path], name, label_source(None)).members:
        try:
            member.read()
        except BROKEN as error:
            raise InputError(f"{path.name}: {reason_of(error)}") from error


@pytest.mark.parametrize("content", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
@pytest.mark.filterwarnings("ignore:File may have been truncated")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # SciPy leaves broken IDL files open
def test_a_file_of_no_such_form_is_refused_in_one_line(form: object, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "t5000g4.00z+0.00.spec"
    path.write_bytes(content)
    name = form.name  # type: ignore[attr-defined]
    with pytest.raises(InputError) as refused:
        _read_all(path, name)
    assert "\n" not in str(refused.value)
    assert path.name in str(refused.value) or f"format {name}" in str(refused.value)


@pytest.mark.parametrize(("cell", "told"), [("nan", "'nan'"), ("", "''"), ("inf", "'inf'"), ("warm", "'warm'")])
def test_a_table_of_labels_wants_a_number_in_each_cell(cell: str, told: str, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(f"file,teff,logg\na.txt,5000,4\nb.txt,{cell},4\n")
    with pytest.raises(InputError, match=rf"labels\.csv, line 3 \(b\.txt\): teff = {told} is no number"):
        label_source(str(table))
    table.write_text("file,teff,logg\na.txt,5000,4,7\n")
    with pytest.raises(InputError, match="it has more cells than names"):
        label_source(str(table))


def test_files_that_a_table_lists_and_that_are_not_there_are_told(tmp_path: Path) -> None:
    folder, table = foreign.turbospectrum(tmp_path / "files"), tmp_path / "labels.csv"
    names = [path.name for path in sorted(folder.iterdir())]
    rows = [f"{name},{5000 + 100 * number},4" for number, name in enumerate([*names, "lost.spec"])]
    table.write_text("\n".join(["file,teff,logg", *rows]))
    found = find_members([folder], "turbospectrum", label_source(str(table)))
    assert len(found.members) == len(names)
    assert found.broken == {"lost.spec": "listed in the table of labels, and not there"}


def test_labels_in_files_that_are_no_number_leave_their_spectrum_out(tmp_path: Path) -> None:
    foreign.turbospectrum(tmp_path / "files")
    source = label_source(None)

    def labels(path: Path) -> Mapping[str, float]:
        own = dict(source(path))
        return {**own, "teff": float("nan")} if own["teff"] == 6000.0 else own

    found = find_members([tmp_path / "files"], "turbospectrum", labels)
    assert len(found.members) == 9
    assert set(found.broken.values()) == {"its label teff is nan, which is no number"}


def test_a_web_page_is_no_grid(tmp_path: Path) -> None:
    path = tmp_path / "grid.fits"
    path.write_bytes(b"<!DOCTYPE html><html><body>404</body></html>")
    with pytest.raises(InputError, match=r"grid\.fits is a web page"):
        find_members([path], None, label_source(None))


def test_a_table_of_limb_darkening_wants_labels_in_each_row(tmp_path: Path) -> None:
    table = tmp_path / "u.csv"
    table.write_text("teff,u\n5000,0.6\nnan,0.5\n")
    with pytest.raises(InputError, match="has a label that is no number"):
        read_darkening(str(table))


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for number, folder in enumerate(("first", "second")):
        foreign.turbospectrum(tmp_path / "grid" / folder, foreign.NODES[: number + 1])
    found = find_members([tmp_path / "grid"], "turbospectrum", label_source(None))
    name = "5000g3.00z+0.00a+0.00t01-x_xit1.0.spec"
    assert [one.key for one in found.members][:2] == [f"first/{name}", f"second/{name}"]
    assert [one.key for one in found.members][2:] == ["5000g4.00z+0.00a+0.00t01-x_xit1.0.spec"]


def test_an_import_leaves_its_sources_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = foreign.turbospectrum(tmp_path / "grid")
    before = sorted(folder.iterdir())
    for output in (folder, folder / "imported"):
        assert main(["import", str(folder), "--output", str(output)]) == 2
        assert "whose files are read: choose a folder beside it" in capsys.readouterr().err
    assert sorted(folder.iterdir()) == before
