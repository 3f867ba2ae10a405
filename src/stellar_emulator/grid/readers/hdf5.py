"""Opens HDF5 files; their package is an extra."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stellar_emulator.errors import InputError
from stellar_emulator.system.extras import missing

SIGNATURE = b"\x89HDF\r\n\x1a\n"


@contextmanager
def hdf5(path: Path) -> Iterator[Any]:
    """Open a file for reading.

    Raises
    ------
    InputError
        If it is damaged or lacks what a format has.
    SetupError
        If the package h5py is missing.
    """
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise missing("h5py", "hdf5") from error
    try:
        with h5py.File(path, "r") as file:
            yield file
    except KeyError as error:
        raise InputError(f"{path.name} lacks {error}") from error
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path.name} is no whole HDF5 file: {' '.join(str(error).split())[:100]}") from error
