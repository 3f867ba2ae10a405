"""HDF5 files of spectra as The Payne writes them (Ting et al. 2019, ApJ 879, 69), from ATLAS12 and SYNTHE.

``spec/wave`` and ``spec/flux`` hold one normalised spectrum; its labels are in the file's name, a pattern or a table,
and nothing states the medium.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from stellar_emulator.grid.readers.foreign import ForeignSpectrum, Format, LabelSource, Member, Stated, spectrum_of
from stellar_emulator.system.hdf5 import SIGNATURE, hdf5


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file holds a spectrum of such a form."""
    if not head.startswith(SIGNATURE):
        return False
    with hdf5(path) as file:
        return "spec/wave" in file and "spec/flux" in file


def members(path: Path, labels: LabelSource) -> Iterator[Member]:
    """The spectrum of the file."""
    yield Member(path.name, labels(path), Stated(None, True), partial(_spectrum, path))


def _spectrum(path: Path) -> ForeignSpectrum:
    with hdf5(path) as file:
        return spectrum_of(*(np.asarray(file[f"spec/{name}"][:], dtype=np.float64) for name in ("wave", "flux")))


PAYNE = Format("payne", "The Payne (ATLAS12, SYNTHE)", "demodata.h5", recognises, members)
