"""FERRE's grids as text: a Fortran namelist, then one spectrum a line, labels by their place.

(Allende Prieto et al. 2006, ApJ 636, 804; FERRE's manual.)

``N_P`` numbers the nodes along each label, the last label fastest; ``LLIMITS`` and ``STEPS`` say where they lie;
``WAVE`` holds start and step of the wavelengths, which are log10 (``LOGW = 1``), ln (2) or linear (0). The header does
not state the medium; SYNSPEC and Turbospectrum, if it names them as the code, write air.
"""

import itertools
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from stellar_emulator.contract.medium import Medium
from stellar_emulator.errors import InputError
from stellar_emulator.grid.readers.foreign import (
    DECIMALS,
    ForeignSpectrum,
    Format,
    LabelSource,
    Member,
    Stated,
    opened,
    spectrum_of,
)
from stellar_emulator.grid.readers.names import canonical

_FIELD = re.compile(r"^\s*([A-Z_0-9]+)(?:\((\d+)\))?\s*=\s*(.*?)\s*,?\s*$")

_IN_AIR = ("SYNSPEC", "TURBOSPEC", "ASSET", "SYNTHE")


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file is such a grid."""
    return head.lstrip().upper().startswith(b"&SYNTH") and b"N_P" in head


def members(path: Path, labels: LabelSource) -> Iterator[Member]:
    """All spectra, in the order of the lines."""
    header, places = _header(path)
    names = [canonical(header[f"LABEL({number + 1})"]) for number in range(int(header["N_OF_DIM"]))]
    sizes = [int(word) for word in header["N_P"].split()]
    lower, steps = (_numbers(header[field]) for field in ("LLIMITS", "STEPS"))
    if None in names or not len(names) == len(sizes) == len(lower) == len(steps):
        raise InputError(f"{path.name}: LABEL, N_P, LLIMITS and STEPS don't name one known label each")
    if len(places) != np.prod(sizes):
        raise InputError(f"{path.name}: {len(places)} spectra for N_P = {header['N_P']}: it was cut short")
    start, step = _numbers(header["WAVE"])[:2]
    log, pixels = int(header.get("LOGW", "0")), int(header["NPIX"])
    stated = _stated(header)
    for number, node in enumerate(itertools.product(*map(range, sizes))):
        own = {
            str(name): first + one * place for name, first, one, place in zip(names, lower, steps, node, strict=True)
        }
        rounded = {name: round(float(value), DECIMALS) for name, value in own.items()}
        read = partial(_spectrum, path, places[number], pixels, start, step, log)
        yield Member(f"{path.name} {number}", rounded, stated, read)


def _header(path: Path) -> tuple[dict[str, str], list[int]]:
    """Fields of the namelist, and the byte at which each spectrum begins."""
    fields: dict[str, str] = {}
    places: list[int] = []
    with opened(path) as stream:
        place, inside = 0, True
        for line in stream:
            if inside and line.strip() == b"/":
                inside = False
            elif inside and (found := _FIELD.match(line.decode("latin-1"))):
                name, number, value = found.groups()
                fields[name if number is None else f"{name}({number})"] = value.strip("'\" ")
            elif not inside and line.strip():
                places.append(place)
            place += len(line)
    missing = [name for name in ("N_OF_DIM", "N_P", "LLIMITS", "STEPS", "NPIX", "WAVE") if name not in fields]
    if missing:
        raise InputError(f"{path.name}: the header lacks {', '.join(missing)}")
    return fields, places


def _stated(header: dict[str, str]) -> Stated:
    comments = {name: value.upper() for name, value in header.items() if name.startswith("COMMENTS")}
    codes = [code for code in _IN_AIR if any(code in value for value in comments.values())]
    medium: Medium | None = "air" if codes else None
    notes = (f"medium: {codes[0]} of the header writes air",) if codes else ()
    continuum = any("NORMALI" in value for value in comments.values()) or "CONTINUUM" in header
    resolution = float(header["RESOLUTION"]) if "RESOLUTION" in header else None
    return Stated(medium, continuum, resolution, notes)


def _numbers(text: str) -> list[float]:
    return [float(word.upper().replace("D", "E")) for word in text.replace(",", " ").split()]


def _spectrum(path: Path, place: int, pixels: int, start: float, step: float, log: int) -> ForeignSpectrum:
    with opened(path) as stream:
        stream.seek(place)
        flux = np.array(stream.readline().split(), dtype=np.float64)
    if len(flux) != pixels:
        raise InputError(f"{path.name}: a line has {len(flux)} numbers for NPIX = {pixels}")
    axis = start + step * np.arange(pixels)
    return spectrum_of({0: axis, 1: 10.0**axis, 2: np.exp(axis)}[log] if log else axis, flux)


FERRE_TEXT = Format("ferre", "FERRE's text grids", "tlusty_B_cont_r3_w1_vt10.dat (15)", recognises, members)
