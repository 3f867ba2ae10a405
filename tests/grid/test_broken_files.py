"""Every reader of grids refuses what is no such file, in words, whatever the library beneath it raises."""

import gzip
from pathlib import Path

import pytest

from stellar_emulator.errors import InputError
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
