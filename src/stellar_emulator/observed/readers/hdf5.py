"""Starfish's observations in HDF5 (Czekala et al. 2015): ``waves``, ``fluxes``, ``sigmas``, ``masks``, a row an order.

Its masks are true where a pixel is used. Whether air or vacuum is meant is not stated.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from stellar_emulator.errors import InputError
from stellar_emulator.observed.raw import RawTable, Told
from stellar_emulator.system.hdf5 import hdf5

NEEDED = ("waves", "fluxes")
ARRAYS = (*NEEDED, "sigmas", "masks")

LARGEST = 1 << 30
"""Bytes of one array once it is unpacked."""


def read_hdf5(path: Path) -> list[RawTable]:
    """The orders of the one spectrum.

    Raises
    ------
    InputError
        If it is no observation of Starfish's.
    SetupError
        If h5py is missing.
    """
    with hdf5(path) as file:
        sizes = {name: file[name].nbytes for name in ARRAYS if name in file and hasattr(file[name], "nbytes")}
        if any(size > LARGEST for size in sizes.values()):
            raise InputError(f"{path} unpacks to {max(sizes.values()):,} bytes an array: at most {LARGEST:,} are read")
        held = {name: np.atleast_2d(file[name][()]) for name in sizes}
        there = ", ".join(sorted(file))
    if not all(name in held for name in NEEDED):
        raise InputError(f"{path} is no observation of Starfish's, with waves and fluxes: it holds {there}")
    told = Told(form="Starfish observation")
    orders = []
    for order in range(len(held["fluxes"])):
        columns = {"wavelength": held["waves"][order], "flux": held["fluxes"][order]}
        if "sigmas" in held:
            columns["sigma"] = held["sigmas"][order]
        if "masks" in held:
            columns["good"] = held["masks"][order].astype(np.int64)
        orders.append(RawTable(str(path), columns, {"wavelength": "Angstrom"}, {}, told))
    if len(orders) == 1:
        return orders
    return [
        replace(table, name=f"{path}[order {number}]", part={"order": str(number)}, order=True)
        for number, table in enumerate(orders)
    ]
