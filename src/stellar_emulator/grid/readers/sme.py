"""SME's structures as IDL saves them (Valenti & Piskunov 1996, A&AS 118, 595): labels and wavelengths are fields.

``SMOD`` is the synthetic flux, normalised; a structure without it is an input, and is refused. ``WIND`` is the last
pixel of each segment, the others are joined. The wavelengths are in air by SME's line lists, unless ``VACUUM`` says so.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from stellar_emulator.contract.medium import Medium
from stellar_emulator.errors import InputError
from stellar_emulator.grid.readers.foreign import (
    ForeignSpectrum,
    Format,
    LabelSource,
    Member,
    Stated,
    head_of,
    spectrum_of,
)

_SIGNATURE = b"SR\x00\x04"

_LABELS = {"teff": "TEFF", "logg": "GRAV", "m_h": "FEH", "vmicro": "VMIC"}


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file is a structure that IDL saved."""
    return head.startswith(_SIGNATURE) and b"SME" in head.upper()


def members(path: Path, labels: LabelSource) -> Iterator[Member]:
    """The structure's spectrum."""
    structure = _structure(path)
    names = structure.dtype.names
    if "SMOD" not in names:
        raise InputError(f"{path.name} has no SMOD: it is an input of SME, with no synthetic spectrum")
    own = {name: float(structure[field]) for name, field in _LABELS.items()}
    broadened = [name for name in ("VMAC", "VSINI") if name in names and float(structure[name]) > 0.0]
    if broadened or ("IPRES" in names and float(structure["IPRES"]) > 0.0):
        raise InputError(f"{path.name} is broadened already ({', '.join(broadened) or 'IPRES'}): compute it without")
    medium: Medium = "vacuum" if "VACUUM" in names and int(structure["VACUUM"]) else "air"
    yield Member(
        path.name, own, Stated(medium, True, None, ("medium: SME's, by its field VACUUM",)), partial(_read, path)
    )


def _structure(path: Path) -> Any:
    from scipy.io import readsav

    if not head_of(path).startswith(_SIGNATURE):
        raise InputError(f"{path.name} is no structure that IDL saved")
    found = readsav(path)
    if "sme" not in found:
        raise InputError(f"{path.name} holds no structure sme but {', '.join(found)}")
    return found["sme"][0]


def _read(path: Path) -> ForeignSpectrum:
    structure = _structure(path)
    return spectrum_of(*(np.asarray(structure[name], dtype=np.float64) for name in ("WAVE", "SMOD")))


SME = Format("sme", "SME (IDL)", "sun_6440_grid.inp, an input: refused for want of SMOD", recognises, members)
