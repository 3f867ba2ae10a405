"""Opens HDF5 files, which may name other files: nothing in them is then read. Their package is an extra."""

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
        If it is damaged, lacks what a format has, or takes a part of its content from another file.
    SetupError
        If the package h5py is missing.
    """
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise missing("h5py", "hdf5") from error
    try:
        with h5py.File(path, "r") as file:
            _require_own_content(path, file)
            yield file
    except KeyError as error:
        raise InputError(f"{path.name} lacks {error}") from error
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path.name} is no whole HDF5 file: {' '.join(str(error).split())[:100]}") from error


def _require_own_content(path: Path, file: Any) -> None:
    """HDF5's C library opens what links, external storage and virtual datasets name, whatever Python is allowed."""
    import h5py

    def of_link(name: str, link: Any) -> str | None:
        return str(link.filename) if isinstance(link, h5py.ExternalLink) else None

    def of_dataset(name: str, held: Any) -> str | None:
        if not isinstance(held, h5py.Dataset):
            return None
        if held.external:
            return str(held.external[0][0])
        return str(held.virtual_sources()[0].file_name) if held.is_virtual else None

    named = file.visititems_links(of_link) or file.visititems(of_dataset)
    if named is not None:
        raise InputError(
            f"{path.name} names another file, {named!r:.100}, which is not opened: copy what it takes from it"
        )
