"""Spectra in FITS files, one a file unless said: PHOENIX, ATLAS9 intensities, FERRE tables, POLLUX tables, sdf's cube.

- PHOENIX (Husser et al. 2013, A&A 553, A6): an image of flux with labels PHXTEFF, PHXLOGG, PHXM_H, PHXALPHA, PHXXI_L.
  Wavelengths are in ``WAVE_*.fits`` beside it (HiRes, vacuum), or in CRVAL1 and CDELT1, by CTYPE1: WAVE, AWAV (air),
  WAVE-LOG or AWAV-LOG (natural logarithm).
- ATLAS9 of ExoCTK: intensities (mu, points), HDUs MU and WAVELENGTH in A, the same labels; the medium isn't stated.
- FERRE of laspec: a table with columns wave, A in air by the place of Ca II 8542, and flux; labels in the name.
- POLLUX, VO service: a table with columns wavelength, flux, normalized flux; labels in the name, medium not stated.
- SED cube of sdf: an image (points, temperatures, gravities), HDUs TEFF, LOGG, WAVLNTHS in micron; medium not stated.
"""

from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from stellar_emulator.contract.medium import Medium
from stellar_emulator.errors import InputError
from stellar_emulator.grid.readers.foreign import (
    Array,
    ForeignSpectrum,
    Format,
    LabelSource,
    Member,
    Stated,
    spectrum_of,
)
from stellar_emulator.grid.readers.msg import linear_darkening

_LABELS = {"teff": "PHXTEFF", "logg": "PHXLOGG", "m_h": "PHXM_H", "alpha_m": "PHXALPHA", "vmicro": "PHXXI_L"}
_WAVES = "WAVE_*.fits*"
_AIR_AXES, _LOG_AXES = ("AWAV", "AWAV-LOG"), ("WAVE-LOG", "AWAV-LOG")


def _is_fits(head: bytes) -> bool:
    return head.startswith(b"SIMPLE  =")


def _names(path: Path) -> tuple[str, ...]:
    from astropy.io import fits

    with fits.open(path) as hdus:
        return tuple(str(hdu.name).upper() for hdu in hdus)


def _is_phoenix(path: Path, head: bytes) -> bool:
    return _is_fits(head) and b"PHXTEFF" in head and b"CTYPE2  = 'MU" not in head


def _phoenix_members(path: Path, labels: LabelSource) -> Iterator[Member]:
    from astropy.io import fits

    if path.match(_WAVES):
        return  # the wavelengths of the others
    with fits.open(path) as hdus:
        header = hdus[0].header
    if header.get("NAXIS") != 1:
        raise InputError(f"{path.name} holds no spectrum, but {', '.join(_names(path)[1:])}: a model atmosphere")
    own = {name: float(header[field]) for name, field in _LABELS.items() if field in header}
    kind = str(header.get("CTYPE1", "")).strip().upper() if "CRVAL1" in header else ""
    medium: Medium = "air" if kind in _AIR_AXES else "vacuum"
    note = f"medium: CTYPE1 = {kind}" if kind else "medium: the wavelength file of PHOENIX is in vacuum"
    yield Member(path.name, own, Stated(medium, False, None, (note,)), partial(_phoenix, path))


def _phoenix(path: Path) -> ForeignSpectrum:
    from astropy.io import fits

    with fits.open(path) as hdus:
        header, flux = hdus[0].header, np.asarray(hdus[0].data, dtype=np.float64)
    if "CRVAL1" not in header:
        return spectrum_of(_wave_file(path.parent, len(flux)), flux)
    axis = float(header["CRVAL1"]) + float(header["CDELT1"]) * (
        np.arange(len(flux)) + 1 - float(header.get("CRPIX1", 1))
    )
    return spectrum_of(np.exp(axis) if str(header.get("CTYPE1", "")).strip().upper() in _LOG_AXES else axis, flux)


@lru_cache(maxsize=1)
def _wave_file(folder: Path, count: int) -> Array:
    from astropy.io import fits

    found = sorted(folder.glob(_WAVES)) + sorted(folder.parent.glob(_WAVES))
    if not found:
        raise InputError(
            f"{folder} lacks the wavelengths of PHOENIX, WAVE_PHOENIX-ACES-AGSS-COND-2011.fits: put it there"
        )
    with fits.open(found[0]) as hdus:
        wavelength = np.asarray(hdus[0].data, dtype=np.float64)
    if wavelength.shape != (count,):
        raise InputError(f"{found[0].name} has {wavelength.shape} wavelengths for {count} points")
    return wavelength


def _is_atlas9(path: Path, head: bytes) -> bool:
    return _is_fits(head) and b"PHXTEFF" in head and {"MU", "WAVELENGTH"} <= set(_names(path))


def _atlas9_members(path: Path, labels: LabelSource) -> Iterator[Member]:
    from astropy.io import fits

    with fits.open(path) as hdus:
        header = hdus[0].header
    own = {name: float(header[field]) for name, field in _LABELS.items() if field in header}
    yield Member(path.name, own, Stated(None, False), partial(_atlas9, path))


def _atlas9(path: Path) -> ForeignSpectrum:
    from astropy.io import fits

    with fits.open(path) as hdus:
        intensity = np.asarray(hdus[0].data, dtype=np.float64)
        mu, wavelength = (np.asarray(hdus[name].data, dtype=np.float64) for name in ("MU", "WAVELENGTH"))
    order = np.argsort(mu)
    mu, intensity = np.concatenate([[0.0], mu[order]]), np.concatenate([intensity[order][:1], intensity[order]])
    flux = np.asarray(2.0 * np.pi * np.trapezoid(intensity * mu[:, np.newaxis], mu, axis=0))
    return spectrum_of(wavelength, flux, limb_darkening=linear_darkening(flux, np.pi * intensity[-1]))


def _table_columns(path: Path) -> list[str]:
    from astropy.io import fits

    with fits.open(path) as hdus:
        return [name.lower() for name in hdus[1].columns.names] if len(hdus) > 1 and hasattr(hdus[1], "columns") else []


def _is_ferre_table(path: Path, head: bytes) -> bool:
    return _is_fits(head) and path.name.upper().startswith("FERRE_") and _table_columns(path)[:2] == ["wave", "flux"]


def _ferre_members(path: Path, labels: LabelSource) -> Iterator[Member]:
    stated = Stated("air", False, None, ("medium: air by the place of Ca II 8542 in the file that was tried",))
    yield Member(path.name, labels(path), stated, partial(_table, path, "wave", "flux"))


def _is_pollux_table(path: Path, head: bytes) -> bool:
    return _is_fits(head) and {"wavelength", "normalized flux"} <= set(_table_columns(path))


def _pollux_members(path: Path, labels: LabelSource) -> Iterator[Member]:
    yield Member(path.name, labels(path), Stated(None, True), partial(_table, path, "wavelength", "normalized flux"))


def _table(path: Path, wavelength: str, flux: str) -> ForeignSpectrum:
    from astropy.io import fits

    with fits.open(path) as hdus:
        columns = {name.lower(): hdus[1].data[name] for name in hdus[1].columns.names}
        return spectrum_of(*(np.array(columns[name], dtype=np.float64).ravel() for name in (wavelength, flux)))


def _is_cube(path: Path, head: bytes) -> bool:
    return _is_fits(head) and {"TEFF", "LOGG", "WAVLNTHS"} <= set(_names(path))


def _cube_members(path: Path, labels: LabelSource) -> Iterator[Member]:
    from astropy.io import fits

    with fits.open(path) as hdus:
        teff, logg = (_values(hdus[name]) for name in ("TEFF", "LOGG"))
        points = len(_values(hdus["WAVLNTHS"]))
        shape = hdus[0].shape or hdus[1].shape
    if sorted(shape) != sorted((points, len(teff), len(logg))):
        raise InputError(
            f"{path.name}: an image of {shape} for {points} points, {len(teff)} Teff and {len(logg)} log g"
        )
    for number, (place, other) in enumerate(np.ndindex(len(teff), len(logg))):
        own = {"teff": float(teff[place]), "logg": float(logg[other])}
        yield Member(f"{path.name} {number}", own, Stated(None, False), partial(_cube, path, place, other))


def _values(hdu: Any) -> Array:
    """Numbers of an image, or of the first column of a table."""
    data = hdu.data
    return np.array(data.field(0) if data.dtype.names else data, dtype=np.float64).ravel()


def _cube(path: Path, teff: int, logg: int) -> ForeignSpectrum:
    from astropy.io import fits

    with fits.open(path) as hdus:
        image = hdus[0].data if hdus[0].data is not None else hdus[1].data
        sizes = tuple(len(_values(hdus[name])) for name in ("WAVLNTHS", "TEFF", "LOGG"))
        order = tuple(image.shape.index(size) for size in sizes)
        if len(set(order)) != 3:
            raise InputError(f"{path.name}: axes of equal lengths {image.shape} can't be told apart")
        flux = np.transpose(np.asarray(image, dtype=np.float64), order)[:, teff, logg]
        wavelength = 1e4 * _values(hdus["WAVLNTHS"])
    # Jy to flux by wavelength, but for a constant.
    return spectrum_of(wavelength, flux / wavelength**2 * float(wavelength[0]) ** 2)


PHOENIX = Format("phoenix", "PHOENIX (Husser et al. 2013)", "", _is_phoenix, _phoenix_members, _WAVES)
ATLAS9 = Format("atlas9", "ATLAS9 intensities of ExoCTK", "4000 K, 4.0 and 4250 K, 4.5", _is_atlas9, _atlas9_members)
FERRE_TABLE = Format("ferre-fits", "FERRE spectra of laspec", "one of 5750 K, 4.5", _is_ferre_table, _ferre_members)
POLLUX_TABLE = Format("pollux-fits", "POLLUX and AMBRE (VO service)", "", _is_pollux_table, _pollux_members)
SED_CUBE = Format("sed-cube", "SED cubes of sdf", "", _is_cube, _cube_members)
