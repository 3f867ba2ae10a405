"""What a reader of foreign grids gives: each spectrum by its labels, with what its files state of all of them.

A reader is a module of this folder with a `Format`. It lists the spectra of a file before any flux is read, so that
labels and faults of a whole grid are known at little cost, and reads each spectrum when it is asked for.
"""

import gzip
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.medium import Medium
from stellar_emulator.errors import InputError

Array = NDArray[np.float64]

HEAD_BYTES = 4096
"""Bytes of a file by which its format is recognised."""


_PLAIN = bytes.maketrans(b"Dd,", b"Ee ")
"""Fortran's exponents, and commas between columns, as NumPy reads them."""

DECIMALS = 6
"""Decimals to which labels are rounded: 0.32, though a file holds 0.32000000000000006."""


@dataclass(frozen=True)
class ForeignSpectrum:
    """One spectrum as its file gives it.

    wavelength: in Angstrom, (points,), ascending; flux and, if the file has it, its continuum: in one unit, (points,);
    limb_darkening: linear coefficient from the file's own intensities, None if it has none.
    """

    wavelength: Array
    flux: Array
    continuum: Array | None = None
    limb_darkening: float | None = None


def spectrum_of(*arrays: NDArray[Any], limb_darkening: float | None = None) -> ForeignSpectrum:
    """A spectrum of wavelength in Angstrom, flux and, if it is there, continuum: of any real type, (points,) each."""
    wavelength, flux, *rest = (np.asarray(array, dtype=np.float64) for array in arrays)
    return ForeignSpectrum(wavelength, flux, rest[0] if rest else None, limb_darkening)


@dataclass(frozen=True)
class Stated:
    """What files state of their spectra, or what the format's documentation states for all of them.

    medium: None if nothing states it; normalised: whether the flux is relative to the continuum already, or comes with
    a continuum; resolution: wavelength over FWHM of a broadening that is in the spectra, None if they are unbroadened;
    notes: how these facts are known.
    """

    medium: Medium | None
    normalised: bool
    resolution: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Member:
    """One spectrum of a foreign grid before it is read.

    key: name of the file and, if it holds several spectra, the spectrum's number in it; labels: by our names, in our
    units (K, dex, km/s). ``read`` raises errors of Python or `InputError` if the file is damaged.
    """

    key: str
    labels: Mapping[str, float]
    stated: Stated
    read: Callable[[], ForeignSpectrum]


LabelSource = Callable[[Path], Mapping[str, float]]
"""Labels of a file whose content has none: from its name, a pattern or a table. Raises `InputError`."""


@dataclass(frozen=True)
class Format:
    """One form in which grids are published.

    name: the word for ``--format``; source: code or grid that writes it; tried: the real file on which the reader was
    tried, empty if it was built from the documented form alone; recognises: whether a file is of this form, by its name
    and first bytes; members: the spectra of one file; beside: pattern of the names of files that hold no spectrum, but
    what the others need.
    """

    name: str
    source: str
    tried: str
    recognises: Callable[[Path, bytes], bool]
    members: Callable[[Path, LabelSource], Iterator[Member]]
    beside: str = ""


def head_of(path: Path) -> bytes:
    """The first bytes of a file, unpacked if it is gzipped."""
    with opened(path) as stream:
        return bytes(stream.read(HEAD_BYTES))


@contextmanager
def opened(path: Path) -> Iterator[gzip.GzipFile]:
    """Open a file for reading bytes, unpacked if it is gzipped."""
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    with gzip.open(path, "rb") if packed else path.open("rb") as stream:
        yield stream  # type: ignore[misc]


def first_numbers(head: bytes) -> list[float]:
    """Numbers of the first line that is neither empty nor a comment; empty if it holds anything else."""
    for line in head.decode("latin-1").splitlines():
        words = line.split("#", 1)[0].replace(",", " ").split()
        if words:
            try:
                return [float(word.replace("D", "E").replace("d", "e")) for word in words]
            except ValueError:
                return []
    return []


def text_columns(path: Path, columns: tuple[int, ...]) -> list[Array]:
    """Some columns of a text file of numbers; Fortran's D exponents are understood. Raises `InputError`."""
    with opened(path) as stream:
        lines = (line.translate(_PLAIN).decode("latin-1") for line in stream)
        try:
            table = np.loadtxt(lines, comments="#", usecols=columns, ndmin=2, dtype=np.float64)
        except ValueError as error:
            raise InputError(f"{path.name} is no table of numbers: {' '.join(str(error).split())[:100]}") from error
    if len(table) < 2:
        raise InputError(f"{path.name} has {len(table)} rows of numbers")
    return list(table.T)


def ascending(path_or_key: str, spectrum: ForeignSpectrum) -> ForeignSpectrum:
    """A spectrum in ascending wavelengths, without repeated ones. Raises `InputError` if it is not usable."""
    wavelength, flux = spectrum.wavelength, spectrum.flux
    if wavelength.shape != flux.shape or wavelength.ndim != 1 or len(wavelength) < 2:
        raise InputError(f"{path_or_key}: {wavelength.shape} wavelengths for flux of shape {flux.shape}")
    if not (np.isfinite(wavelength).all() and np.isfinite(flux).all()):
        raise InputError(f"{path_or_key}: a wavelength or flux is not finite")
    order = np.argsort(wavelength, kind="stable")
    order = order[np.concatenate([[True], np.diff(wavelength[order]) > 0])]
    if len(order) == len(wavelength) and (np.diff(order) == 1).all():
        return spectrum
    continuum = None if spectrum.continuum is None else spectrum.continuum[order]
    return ForeignSpectrum(wavelength[order], flux[order], continuum, spectrum.limb_darkening)
