"""What a confined process may open, and what is believed of its answers; the files themselves: test_hostile_files."""

import io
import os
import pickle
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stellar_emulator.observed.raw import RawTable
from stellar_emulator.system.confined import _Plain
from stellar_emulator.system.confined_process import Fence


class Reduced:
    """Whatever a pickle may call."""

    def __init__(self, call: Callable[..., Any], *given: Any) -> None:
        self.call = (call, given)

    def __reduce__(self) -> Any:
        return self.call


def loaded(value: Any) -> Any:
    return _Plain(io.BytesIO(pickle.dumps(value, protocol=5))).load()


def test_arrays_texts_and_tables_are_taken() -> None:
    column = np.empty(2, dtype=object)
    column[:] = [np.ones(2), None]
    table = RawTable("a", {"flux": column, "name": np.array(["a", "b"])}, {"flux": "1"}, {"date": "2026", "n": 1.5})
    found = loaded(("found", [table], False))[1][0]
    assert (found.name, found.units, found.metadata) == (table.name, table.units, table.metadata)
    np.testing.assert_array_equal(found.columns["name"], table.columns["name"])
    np.testing.assert_array_equal(found.columns["flux"][0], [1.0, 1.0])


@pytest.mark.parametrize(
    ("call", "given"),
    [(os.mkdir, ("made",)), (eval, ("1",)), (getattr, ("a", "upper")), (Path, ("a",)), (np.load, ("a",))],
)
def test_an_answer_calls_nothing(
    call: Callable[..., Any], given: tuple[Any, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pickle.UnpicklingError, match="is no array, no text and no table"):
        loaded(Reduced(call, *given))
    assert not list(tmp_path.iterdir())


OPENED: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("open", ("/etc/passwd", "r", 0)),
    ("open", (b"/etc/passwd", "rb", 0)),
    ("open", ("{file}/../secret", "r", 0)),
    ("open", ("{own}", "w", os.O_WRONLY | os.O_CREAT)),
    ("socket.connect", (None, ("127.0.0.1", 80))),
    ("socket.getaddrinfo", ("localhost", 80, 0, 0, 0)),
    ("urllib.Request", ("file:///etc/passwd", None, {}, "GET")),
    ("subprocess.Popen", ("ls", ["ls"], None, None)),
    ("os.system", (b"ls",)),
)


@pytest.mark.parametrize("event", OPENED)
def test_nothing_is_opened_but_the_file_and_python_s_own(event: tuple[str, tuple[Any, ...]], tmp_path: Path) -> None:
    file = tmp_path / "a.fits"
    own = Path(socket.__file__)
    given = tuple(part.format(file=file, own=own) if isinstance(part, str) else part for part in event[1])
    fence = Fence()
    fence(event[0], given)  # nothing is read
    fence.file = os.path.realpath(file)
    fence("open", (str(file), "rb", 0))
    fence("open", (str(own), "r", 0))
    fence("open", (3, "rb", 0))
    fence("import", ("os",))
    with pytest.raises(PermissionError, match="it names"):
        fence(event[0], given)
