"""Files and folders are as they were or as they shall be, whichever step of a write a SIGKILL follows."""

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from synthetic import ROOT

from stellar_emulator.system.files import new_file, new_folder, read_json, recovered, write_file

KILLED = """
import os, signal, sys
from pathlib import Path

steps = int(sys.argv[1])

def counted(step):
    def inner(*args, **kwargs):
        global steps
        if steps == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        steps -= 1
        return step(*args, **kwargs)
    return inner

import shutil
from stellar_emulator.system import files
for name in ("rename", "fsync", "open", "mkdir", "unlink", "rmdir"):
    setattr(os, name, counted(getattr(os, name)))
shutil.rmtree.avoids_symlink_attacks  # looked up before any call
"""
"""Dies before the step of that number; every call that changes a folder, or brings something to the disk, is one."""

FILE = KILLED + "files.write_file(Path(sys.argv[2]) / 'kept.json', 'new' * 1000)\n"

FOLDER = (
    KILLED
    + """
with files.new_folder(Path(sys.argv[2]) / "kept") as partial:
    for name in ("a", "b"):
        (partial / name).write_text("new")
"""
)


def killed_at_every_step(code: str, prepare: object, folder: Path) -> list[Path]:
    """Folders, each prepared anew, after processes that died at their first step, at their second, and so on."""
    left = []
    for step in range(200):
        place = folder / str(step)
        place.mkdir()
        prepare(place)  # type: ignore[operator]
        done = subprocess.run([sys.executable, "-c", code, str(step), str(place)])
        left.append(place)
        if done.returncode == 0:
            return left
        assert done.returncode == -signal.SIGKILL
    raise AssertionError("it never ended")


def test_a_file_is_the_old_or_the_new_one_at_whatever_step_its_writer_is_killed(tmp_path: Path):
    left = killed_at_every_step(FILE, lambda place: (place / "kept.json").write_text("old"), tmp_path)
    found = [(place / "kept.json").read_text() for place in left]
    assert set(found) == {"old", "new" * 1000}
    assert found == sorted(found, reverse=True)  # the old ones first
    for place in left:
        write_file(place / "kept.json", "newest")
        assert [path.name for path in place.iterdir()] == ["kept.json"]  # what was left half is gone


def test_a_folder_is_the_old_or_the_new_one_at_whatever_step_its_writer_is_killed(tmp_path: Path):
    def prepare(place: Path) -> None:
        (place / "kept").mkdir()
        for name in ("a", "b", "c"):
            (place / "kept" / name).write_text("old")

    old, new = {"a": "old", "b": "old", "c": "old"}, {"a": "new", "b": "new"}
    left = killed_at_every_step(FOLDER, prepare, tmp_path)
    between = [place for place in left if not (place / "kept").exists()]
    assert between  # between the two steps, where only `recovered` finds it
    found = [{path.name: path.read_text() for path in recovered(place / "kept").iterdir()} for place in left]
    assert [content for content in found if content not in (old, new)] == []
    assert found[0] == old
    assert found[-1] == new
    aside = [place / ".kept.old" for place in left if (place / ".kept.old").exists()]
    assert [path for path in aside if {one.name: one.read_text() for one in path.iterdir()} != old] == []
    for place in left:
        with new_folder(place / "kept") as partial:
            (partial / "a").write_text("newest")
        assert [path.name for path in place.iterdir()] == ["kept"]


def test_a_reader_that_puts_the_old_folder_back_does_not_stop_the_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    kept, rename = tmp_path / "kept", Path.rename
    seen: list[Any] = []
    kept.mkdir()

    def renamed(source: Path, target: Path) -> None:
        rename(source, target)
        if target.name == ".kept.old" and not seen:
            seen.append(recovered(kept).exists())

    monkeypatch.setattr(Path, "rename", renamed)
    with new_folder(kept) as partial:
        (partial / "new").touch()
    assert [path.name for path in kept.iterdir()] == ["new"]
    assert seen == [True]


def test_what_fails_while_it_is_written_leaves_the_old_and_nothing_beside(tmp_path: Path):
    write_file(tmp_path / "file.npz", b"old")
    with new_folder(tmp_path / "folder") as partial:
        (partial / "old").touch()
    for new in (new_file(tmp_path / "file.npz"), new_folder(tmp_path / "folder")):
        with pytest.raises(OSError, match="full"), new:
            raise OSError("the disk is full")
    assert (tmp_path / "file.npz").read_bytes() == b"old"
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["old"]
    assert {path.name for path in tmp_path.iterdir()} == {"file.npz", "folder"}


def test_a_writer_leaves_the_unfinished_files_of_others_that_run_alone(tmp_path: Path):
    other = tmp_path / f".file.{os.getppid()}.partial.json"
    other.touch()
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    gone = tmp_path / f".file.{dead.stdout.strip()}.partial.json"
    gone.touch()
    elsewhere = tmp_path / f".file.{dead.stdout.strip()}@another-machine.partial.json"
    elsewhere.touch()
    write_file(tmp_path / "file.json", "{}")
    assert {path.name for path in tmp_path.iterdir()} == {"file.json", other.name, elsewhere.name}


@pytest.mark.parametrize(
    ("content", "found"), [(b"", None), (b'{"a"', None), (b"\xff\x00", None), (b'{"a": 1}', {"a": 1})]
)
def test_json_that_a_power_cut_emptied_reads_as_none(tmp_path: Path, content: bytes, found: object):
    (tmp_path / "file.json").write_bytes(content)
    assert read_json(tmp_path / "file.json") == found
    assert read_json(tmp_path / "none.json") is None


def test_no_other_module_gives_files_their_names() -> None:
    """A graph of ONNX has a method `rename` too, of two arguments."""
    found = []
    for file in sorted((ROOT / "src" / "stellar_emulator").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            renames = called.endswith(".rename") and len(node.args) == 1
            if renames or called in ("os.rename", "os.replace", "tempfile.NamedTemporaryFile"):
                found.append((file.name, called))
    assert {name for name, _ in found} == {"files.py"}
