"""Spec files of SDSS, BOSS, eBOSS and SDSS-V's BOSS spectrograph (SDSS's data model).

HDU 1: the combined spectrum, ``flux``, ``loglam`` (log10 of Angstrom, vacuum, heliocentric), ``ivar``, ``and_mask``. A
pixel is left out where ``ivar`` is 0 or any bit of ``and_mask`` is set. Resolution, of 1500 to 2500: Smee et al. 2013,
AJ 146, 32.
"""

from dataclasses import replace

from stellar_emulator.observed.raw import RawTable, Told
from stellar_emulator.observed.readers.fits_file import FitsFile

RESOLUTION = 2000.0

NEEDED = {"flux", "loglam", "ivar", "and_mask"}


def is_spec(file: FitsFile) -> bool:
    """Whether the first table is SDSS's combined spectrum."""
    return (
        len(file.hdus) > 1
        and file.hdus[1].columns >= NEEDED
        and file.text("TELESCOP").startswith(("sdss", "lco", "apo"))
    )


def read_spec(file: FitsFile) -> list[RawTable]:
    """The combined spectrum; exposures are read when selected, an HDU for each camera: ``B1-00065610-...``."""
    told = Told(
        form="SDSS spec",
        because="SDSS's convention",
        medium="vacuum",
        frame="heliocentric",
        notes=file.notes,
        resolution=RESOLUTION,
    )
    found = []
    for hdu in file.hdus:
        if hdu.table is None or not hdu.columns >= {"flux", "loglam", "ivar"}:
            continue
        combined = hdu.number == 1
        columns = {name: values for name, values in hdu.table.columns.items() if name.lower() in KEPT}
        told_of = told if combined else replace(told, frame=None)
        camera, _, rest = hdu.name.partition("-")
        part = {**hdu.part, **({"arm": camera, "exposure": rest.partition("-")[0]} if rest and not combined else {})}
        table = replace(hdu.table, columns=columns, told=told_of, part=part, default=combined, order=bool(rest))
        found.append(replace(table, metadata={k: v for k, v in table.metadata.items() if k not in ("OBJECT", "NAME")}))
    return found


KEPT = ("flux", "loglam", "ivar", "and_mask", "mask")
