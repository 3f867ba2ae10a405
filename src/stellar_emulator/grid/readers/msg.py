"""MSG's grids of intensities (``specgrid``, HDF5; Townsend & Lopez 2023, JOSS 8, 4602), such as those of OSTAR2002 and
BSTAR2006 (TLUSTY, SYNSPEC).

Each spectrum holds coefficients of a limb-darkening law by wavelength: intensity = sum of c_k b_k(mu), whose first
function is 1 and whose others are mu^p - 1, with powers p by law. The flux is the disc integral, 2 pi times that of
intensity mu dmu. Wavelengths are bin edges in vacuum (He I 6678 lies at 6679.99 A in the grid on which this was
tried); labels lie on axes, and ``v_lin_seq`` tells which nodes exist, the first axis fastest.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.errors import InputError
from stellar_emulator.grid.readers.foreign import (
    DECIMALS,
    ForeignSpectrum,
    Format,
    LabelSource,
    Member,
    Stated,
    spectrum_of,
)
from stellar_emulator.grid.readers.names import canonical
from stellar_emulator.system.hdf5 import SIGNATURE, hdf5

POWERS = {
    "CONST": (),
    "LINEAR": (1.0,),
    "SQRT": (0.5, 1.0),
    "QUAD": (1.0, 2.0),
    "CLARET": (0.5, 1.0, 1.5, 2.0),
}
"""Powers of mu in each limb-darkening law; Claret (2000), A&A 363, 1081, for the last."""

STATED = Stated("vacuum", False, None, ("medium: vacuum by the place of He I 6678 in the grid that was tried",))


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file is such a grid."""
    if not head.startswith(SIGNATURE):
        return False
    with hdf5(path) as file:
        return _text(file.attrs.get("TYPE")) == "specgrid_t"


def members(path: Path, labels: LabelSource) -> Iterator[Member]:
    """All nodes that exist."""
    with hdf5(path) as file:
        shape = tuple(int(size) for size in file["vgrid"].attrs["shape"])
        axes = {}
        for number in range(1, len(shape) + 1):
            axis = file[f"vgrid/axes[{number}]"]
            stated = _text(axis.attrs["label"])
            axes[canonical(stated) or stated] = np.asarray(axis["x"][:], dtype=np.float64)
        nodes = np.asarray(file["vgrid/v_lin_seq"][:]) - 1
        count = int(file["specsource"].attrs["n"])
    if len(nodes) != count:
        raise InputError(f"{path.name}: v_lin_seq lists {len(nodes)} nodes for {count} spectra")
    places = np.unravel_index(nodes, shape, order="F")
    for number in range(count):
        own = {
            name: round(float(axis[place[number]]), DECIMALS)
            for (name, axis), place in zip(axes.items(), places, strict=True)
        }
        yield Member(f"{path.name} {number + 1}", own, STATED, partial(_spectrum, path, number + 1))


def _spectrum(path: Path, number: int) -> ForeignSpectrum:
    with hdf5(path) as file:
        node = file[f"specsource/specints[{number}]"]
        law, coefficients = _text(node["limb"].attrs["law"]), np.asarray(node["c"][:], dtype=np.float64)
        edges = _edges(node["range"])
    if law not in POWERS:
        raise InputError(f"{path.name}: limb-darkening law {law!r} is none of {', '.join(POWERS)}")
    if coefficients.shape != (len(edges) - 1, len(POWERS[law]) + 1):
        raise InputError(f"{path.name}: coefficients of {law} have shape {coefficients.shape} for {len(edges)} edges")
    flux = disc_flux(coefficients, POWERS[law])
    centre = np.pi * coefficients[:, 0]
    return spectrum_of(0.5 * (edges[1:] + edges[:-1]), flux, limb_darkening=linear_darkening(flux, centre))


def disc_flux(coefficients: NDArray[np.float64], powers: tuple[float, ...]) -> NDArray[np.float64]:
    """Flux of intensities, coefficients (points, 1 + powers) to (points,).

    2 pi times the integral over mu from 0 to 1 of (mu^p - 1) mu is 2 pi (1 / (p + 2) - 1 / 2), and pi for the first.
    """
    shares = 2.0 * np.pi * np.array([0.5, *(1.0 / (power + 2.0) - 0.5 for power in powers)])
    return np.asarray(coefficients @ shares)


def linear_darkening(flux: NDArray[np.float64], centre: NDArray[np.float64]) -> float:
    """Linear coefficient of the same ratio of flux to that of a disc as bright as its centre, 1 - u / 3, at the points
    of the largest flux, which are the nearest to the continuum.
    """
    near = flux >= np.quantile(flux, 0.9)
    return float(np.clip(3.0 * (1.0 - np.median(flux[near] / centre[near])), 0.0, 1.0))


def _edges(node: Any) -> NDArray[np.float64]:
    kind = _text(node.attrs["TYPE"])
    if kind in ("log_range_t", "lin_range_t"):
        first, step = (float(node.attrs[f"{word}x{end}"]) for word, end in _FIELDS[kind])
        edges = first + step * np.arange(int(node.attrs["n"]))
        return np.asarray(np.exp(edges) if kind == "log_range_t" else edges, dtype=np.float64)
    if kind == "tab_range_t":
        return np.asarray(node["x"][:], dtype=np.float64)
    raise InputError(f"wavelengths of type {kind!r} are not known")


_FIELDS = {"log_range_t": (("log", "_0"), ("dlog", "")), "lin_range_t": (("", "_0"), ("d", ""))}


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


MSG = Format("msg", "MSG (TLUSTY's OSTAR2002, BSTAR2006)", "sg-BSTAR2006-high, He I 6678 (162)", recognises, members)
