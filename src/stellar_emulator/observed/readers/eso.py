"""ESO's Phase 3 spectra, such as Gaia-ESO's (ESO Science Data Products standard, issue 8).

A table of one row of vectors: WAVE, FLUX, ERR, and QUAL where 0 is good; air or vacuum by the card TUCD1, the frame by
SPECSYS, the resolution by SPEC_RES. No real file could be had: by the standard.
"""

from dataclasses import replace

from stellar_emulator.observed.raw import RawTable, Told
from stellar_emulator.observed.readers.fits_file import FitsFile


def is_eso(file: FitsFile) -> bool:
    """Whether it says to be ESO's spectrum, and has the table."""
    known = file.text("PRODCATG").startswith("science.spectrum")
    return known and any("wave" in hdu.columns and hdu.columns & {"flux", "flux_reduced"} for hdu in file.hdus)


def read_eso(file: FitsFile) -> list[RawTable]:
    """The one spectrum; further fluxes of the table are named and not used."""
    found = []
    for hdu in file.hdus:
        if hdu.table is None or "wave" not in hdu.columns:
            continue
        others = [name for name in hdu.table.columns if name.lower().startswith("flux") and name.lower() != "flux"]
        more = (f"other fluxes are not used: {', '.join(others)}",) if others and "flux" in hdu.columns else ()
        told = Told(form="ESO Phase 3", notes=(*file.notes, *more))
        found.append(replace(hdu.table, told=told))
    return found
