"""Folders of the cache: filled once, whole or not at all, by whichever process was first."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stellar_emulator.system.cache import filled


def written(text: str, by_another: Path | None = None) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder.parent / "scratch").touch()
        folder.mkdir()
        (folder / "file").write_text(text)
        if by_another:
            by_another.mkdir()
            (by_another / "file").write_text("by another")

    return make


def test_a_folder_is_made_once(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "part"
    assert filled(folder, written("first")) == folder
    assert filled(folder, lambda _: pytest.fail("made twice")) == folder
    assert (folder / "file").read_text() == "first"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["cache", "file", "part"]


def test_of_two_processes_the_first_stays(tmp_path: Path) -> None:
    folder = tmp_path / "part"
    filled(folder, written("late", by_another=folder))
    assert (folder / "file").read_text() == "by another"
    assert list(tmp_path.iterdir()) == [folder]


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    def broken(folder: Path) -> None:
        written("half")(folder)
        raise ValueError("no disk")

    with pytest.raises(ValueError, match="no disk"):
        filled(tmp_path / "part", broken)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_taken_is_told(tmp_path: Path) -> None:
    (tmp_path / "part").write_text("a file")
    with pytest.raises(OSError):
        filled(tmp_path / "part", written("new"))
