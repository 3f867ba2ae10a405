"""Observed spectra in SME's input files (Valenti & Piskunov 1996): IDL's save format, one structure ``sme``.

WAVE in Angstrom (air, as SME's line lists), SOB the flux, UOB its error, MOB its mask, 0 for bad.
"""

from pathlib import Path

import numpy as np

from stellar_emulator.errors import InputError
from stellar_emulator.observed.raw import RawTable, Told


def read_sme(path: Path) -> list[RawTable]:
    """The one spectrum.

    Raises
    ------
    InputError
        If the file has no such structure, or no observed flux.
    """
    from scipy.io import readsav

    content = readsav(path)
    sme = content.get("sme")
    names = () if sme is None else sme.dtype.names or ()
    if sme is None or not {"WAVE", "SOB"} <= set(names):
        raise InputError(f"{path} holds no structure sme with WAVE and SOB: it holds {', '.join(content) or 'nothing'}")
    columns = {"wavelength": np.asarray(sme["WAVE"][0], dtype=float), "flux": np.asarray(sme["SOB"][0], dtype=float)}
    if "UOB" in names:
        columns["uob"] = np.asarray(sme["UOB"][0], dtype=float)
    if "MOB" in names:
        columns["good"] = np.asarray(sme["MOB"][0], dtype=np.int64)
    error = "uob" if "uob" in columns else None
    told = Told(form="SME input", because="SME's convention", medium="air", error=error)
    return [RawTable(str(path), columns, {"wavelength": "Angstrom"}, {}, told)]
