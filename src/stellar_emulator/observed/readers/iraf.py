"""Spectra that IRAF wrote: images of pixels, apertures and bands, whose wavelengths WAT cards or a linear axis give.

Form: "The IRAF/NOAO spectral world coordinate systems" (Valdes 1993), and the help page specwcs of IRAF.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev, legendre
from numpy.typing import NDArray

from stellar_emulator.errors import InputError
from stellar_emulator.observed.raw import RawTable, Told
from stellar_emulator.observed.readers.fits_axis import unit_of, wavelengths
from stellar_emulator.observed.readers.fits_file import FitsFile, Hdu

CARD = 68
"""Characters of a FITS card's text; blanks at its end are lost and stand in the middle of what WAT cards say."""

DOPPLER = "DOPCOR"

SIGMA = "sigma"
"""Of a band that holds standard deviations, the beginning of its BANDID."""

_SPEC = re.compile(r'spec(\d+)\s*=\s*"([^"]*)"')

APART = 0.5
"""Of the narrower of two apertures: those that share less are orders of one spectrum, those that share more are not."""

CHEBYSHEV, LEGENDRE, CUBIC_SPLINE, LINEAR_SPLINE = 1, 2, 3, 4


@dataclass(frozen=True)
class Aperture:
    """One aperture's number and beam (an echelle's order), and wavelengths, (pixels,), None where it has none."""

    number: int
    beam: int
    wavelength: NDArray[np.float64] | None


def is_iraf(file: FitsFile) -> bool:
    """Whether the first image has cards that only IRAF's spectra have."""
    hdu = file.hdus[0]
    if hdu.image is None or len(file.images) > 1:
        return False
    cards = hdu.header
    system = str(cards.get("WAT0_001", ""))
    several = hdu.image.ndim > 1 and ("BANDID1" in cards or "APNUM1" in cards)
    return "multispec" in system or several or (hdu.image.ndim == 1 and "equispec" in system)


def read_iraf(file: FitsFile) -> list[RawTable]:
    """One table for each aperture, of the band of spectra, with the band of their deviations where there is one."""
    hdu = file.hdus[0]
    cube = np.asarray(hdu.image, dtype=np.float64)
    if cube.ndim == 2 and f"APNUM{len(cube)}" not in hdu.header and f"BANDID{len(cube)}" in hdu.header:
        # A cut through the bands of one aperture.
        cube = cube[:, None]
    cube = cube.reshape((1,) * (3 - cube.ndim) + cube.shape) if cube.ndim <= 3 else cube
    if cube.ndim != 3:
        raise InputError(f"{file.path} holds an image of shape {cube.shape}: IRAF's are bands, apertures, pixels")
    bands = [str(hdu.header.get(f"BANDID{band + 1}", "")).strip() for band in range(cube.shape[0])]
    if cube.shape[0] > 1 and not any(bands):
        raise InputError(f"{file.path} has {cube.shape[0]} bands, and no BANDID cards say what they are")
    band = next((number for number, name in enumerate(bands) if name.startswith("spectrum")), 0)
    sigma = next((number for number, name in enumerate(bands) if name.startswith(SIGMA) and number != band), None)
    others = [name for number, name in enumerate(bands) if number not in (band, sigma) and name]
    apertures, notes = _apertures(hdu, cube.shape[1], cube.shape[2])
    calibrated = [one for one in apertures if one.wavelength is not None]
    if not calibrated:
        raise InputError(f"{file.path}: no aperture has wavelengths (type -1): calibrate them")
    orders = _are_orders(calibrated)
    form = "IRAF spectrum" if len(apertures) == 1 else "IRAF orders" if orders else "IRAF spectra"
    told = Told(form=form, error="sigma" if sigma is not None else None)
    unused = [f"other bands are not used: {'; '.join(others)}"] if others else []
    told = replace(told, notes=(*file.notes, *notes, *_shifts(hdu.header), *unused))
    found = []
    for row, aperture in enumerate(apertures):
        if aperture.wavelength is None:
            continue
        columns: dict[str, NDArray[Any]] = {"wavelength": aperture.wavelength, "flux": cube[band, row]}
        if sigma is not None:
            columns["sigma"] = np.where(cube[sigma, row] > 0, cube[sigma, row], np.nan)
        held = np.isfinite(aperture.wavelength)
        columns = {name: values[held] for name, values in columns.items()}
        one = len(apertures) == 1
        name = str(file.path) if one else f"{file.path}[aperture {aperture.number}]"
        part = {"aperture": str(aperture.number), **({"order": str(aperture.beam)} if orders else {})}
        header = {key: value for key, value in hdu.header.items() if key not in ("OBJECT", "CTYPE2", "CTYPE3")}
        unit = unit_of(hdu)
        table = RawTable(name, columns, {"wavelength": unit} if unit else {}, header, told, {} if one else part)
        found.append(replace(table, order=orders))
        told = replace(told, notes=())
    return found


def _shifts(header: Mapping[str, Any]) -> list[str]:
    """What IRAF's task dopcor noted, whose shifts the wavelengths have in them: a redshift or a velocity, and of which
    apertures."""
    cards = [f"{key} = {' '.join(str(value).split())}" for key, value in header.items() if key.startswith(DOPPLER)]
    return [f"the wavelengths were shifted before, by IRAF's dopcor: {', '.join(cards)}"] if cards else []


def _are_orders(apertures: list[Aperture]) -> bool:
    """Whether apertures lie side by side in wavelength, as orders do, rather than on top of each other."""
    ranges = [one.wavelength for one in apertures if one.wavelength is not None]
    ends = sorted((float(np.nanmin(wavelength)), float(np.nanmax(wavelength))) for wavelength in ranges)
    shared = [
        (upper - next_lower) / min(upper - lower, next_upper - next_lower)
        for (lower, upper), (next_lower, next_upper) in pairwise(ends)
    ]
    return bool(shared) and max(shared) < APART


def _apertures(hdu: Hdu, count: int, pixels: int) -> tuple[list[Aperture], tuple[str, ...]]:
    header = hdu.header
    if "multispec" in str(header.get("WAT0_001", "")):
        return _multispec(hdu, count, pixels), ()
    wavelength, notes = wavelengths(hdu, pixels)
    apertures = []
    for row in range(count):
        words = str(header.get(f"APNUM{row + 1}", f"{row + 1} {row + 1}")).split()
        number, beam = (int(float(word)) for word in (words + words)[:2])
        apertures.append(Aperture(number, beam, wavelength))
    return apertures, notes


def _multispec(hdu: Hdu, count: int, pixels: int) -> list[Aperture]:
    text = _attributes(hdu, 2)
    specs = {int(number): body.split() for number, body in _SPEC.findall(text)}
    if not specs:
        raise InputError(f"{hdu.path}: its wavelengths are in WAT2 cards (multispec), which are missing")
    # Wavelengths are functions of the pixels before the image was cut or binned.
    scale, shift = hdu.number_of("LTM1_1", 1.0), hdu.number_of("LTV1", 0.0)
    physical = np.asarray((np.arange(pixels) + 1.0 - shift) / scale, dtype=np.float64)
    apertures = []
    for row in range(1, count + 1):
        if row not in specs:
            raise InputError(f"{hdu.path}: WAT2 cards say nothing of spectrum {row} of {count}")
        try:
            apertures.append(_aperture(specs[row], physical))
        except (ValueError, IndexError) as error:
            raise InputError(f"{hdu.path}: spec{row} of its WAT2 cards is cut short or no list of numbers") from error
        except NotImplementedError as error:
            raise InputError(f"{hdu.path}: spec{row} has wavelengths by {error}, which is not read") from error
    return apertures


def _attributes(hdu: Hdu, axis: int) -> str:
    """What the cards WATn_001, WATn_002, ... say when joined."""
    cards: list[str] = []
    while (text := hdu.header.get(f"WAT{axis}_{len(cards) + 1:03d}")) is not None:
        cards.append(str(text).ljust(CARD))
    return "".join(cards)


def _aperture(words: list[str], physical: NDArray[np.float64]) -> Aperture:
    """An aperture of the words ``ap beam dtype w1 dw nw z aplow aphigh [functions]``."""
    number, beam, kind = int(words[0]), int(words[1]), int(words[2])
    start, step, length, shift = float(words[3]), float(words[4]), int(float(words[5])), float(words[6])
    if kind == -1:
        return Aperture(number, beam, None)
    if kind in (0, 1):
        wavelength = start + step * (physical - 1.0)
        wavelength = 10.0**wavelength if kind == 1 else wavelength
    else:
        wavelength = _by_functions([float(word) for word in words[9:]], physical)
    # Pixels beyond an aperture's length are padding.
    wavelength = np.where(physical <= length + 0.5, wavelength / (1.0 + shift), np.nan)
    return Aperture(number, beam, wavelength)


def _by_functions(numbers: list[float], pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weighted sum of dispersion functions."""
    total, at = np.zeros(len(pixels)), 0
    while at < len(numbers):
        weight, zero, kind = numbers[at], numbers[at + 1], int(numbers[at + 2])
        if kind in (CHEBYSHEV, LEGENDRE):
            order, lower, upper = int(numbers[at + 3]), numbers[at + 4], numbers[at + 5]
            coefficients = _taken(numbers, at + 6, order)
            scaled = (2.0 * pixels - (upper + lower)) / (upper - lower)
            values = (chebyshev.chebval if kind == CHEBYSHEV else legendre.legval)(scaled, coefficients)
            at += 6 + order
        elif kind in (CUBIC_SPLINE, LINEAR_SPLINE):
            pieces, lower, upper = int(numbers[at + 3]), numbers[at + 4], numbers[at + 5]
            more = 3 if kind == CUBIC_SPLINE else 1
            coefficients = _taken(numbers, at + 6, pieces + more)
            values = _spline((pixels - lower) / (upper - lower) * pieces, coefficients, pieces, more)
            at += 6 + pieces + more
        else:
            raise NotImplementedError(f"function {kind} (5 and 6 are lists of pixels)")
        total += weight * (zero + values)
    return total


def _taken(numbers: list[float], first: int, count: int) -> NDArray[np.float64]:
    found = np.array(numbers[first : first + count])
    if len(found) != count or count < 1:
        raise IndexError
    return found


def _spline(
    place: NDArray[np.float64], coefficients: NDArray[np.float64], pieces: int, more: int
) -> NDArray[np.float64]:
    """IRAF's splines: of ``pieces`` equal pieces; more: 3 for cubic, 1 for linear."""
    piece = np.clip(np.floor(place).astype(int), 0, pieces - 1)
    b = place - piece
    a = 1.0 - b
    if more == 1:
        return np.asarray(a * coefficients[piece] + b * coefficients[piece + 1])
    terms = (a**3, 1.0 + 3.0 * a * (1.0 + a * b), 1.0 + 3.0 * b * (1.0 + a * b), b**3)
    return np.asarray(sum(term * coefficients[piece + number] for number, term in enumerate(terms)))
