"""HDF5 files that take content from other files are refused before any of it is read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from stellar_emulator.errors import InputError
from stellar_emulator.system.hdf5 import hdf5

SECRET = np.arange(5.0)


def own(file: Any, other: Path) -> None:
    file["group/fluxes"] = SECRET
    file["soft"] = h5py.SoftLink("/group/fluxes")


def external_link(file: Any, other: Path) -> None:
    file["group/fluxes"] = h5py.ExternalLink(str(other), "fluxes")


def external_storage(file: Any, other: Path) -> None:
    file.create_dataset("group/fluxes", (5,), "f8", external=[(str(other.with_suffix(".raw")), 0, 40)])


def virtual(file: Any, other: Path) -> None:
    layout = h5py.VirtualLayout((5,), "f8")
    layout[:] = h5py.VirtualSource(str(other), "fluxes", (5,))
    file.create_virtual_dataset("group/fluxes", layout)


@pytest.mark.parametrize("how", [own, external_link, external_storage, virtual])
def test_only_content_of_its_own_is_read(how: Callable[[Any, Path], None], tmp_path: Path) -> None:
    other = tmp_path / "secret.h5"
    with h5py.File(other, "w") as file:
        file["fluxes"] = SECRET
    other.with_suffix(".raw").write_bytes(SECRET.tobytes())
    with h5py.File(tmp_path / "a.h5", "w") as file:
        how(file, other)
    # HDF5 itself would read all four.
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["group/fluxes"][()], SECRET)
    if how is own:
        with hdf5(tmp_path / "a.h5") as file:
            np.testing.assert_array_equal(file["soft"][()], SECRET)
    else:
        named = pytest.raises(InputError, match=r"a\.h5 names another file, '.*secret\.(h5|raw)', which is not opened")
        with named, hdf5(tmp_path / "a.h5"):
            pytest.fail("it was opened")
