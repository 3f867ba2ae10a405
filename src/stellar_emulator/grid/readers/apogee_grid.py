"""APOGEE's grids of templates for radial velocities, ``apg_rvsynthgrid.fits``: spectra are columns of one image.

HDU 1 holds the normalised flux, (pixels, spectra); its second axis is log10 of the wavelength (CRVAL2, CDELT2, DCLOG =
1), although CTYPE2 reads ``Wavelength``. HDUs 2 to 4 hold a label each, named by BUNIT: ``Metal, [Fe/H] (dex)``, ``Teff
(K)``, ``Logg (dex)``. The comment of CTYPE2 states the medium, RESOL the resolution.
"""

from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.medium import Medium
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


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file is such a grid."""
    if not head.startswith(b"SIMPLE  ="):
        return False
    from astropy.io import fits

    with fits.open(path) as hdus:
        return len(hdus) > 2 and _is_grid(hdus[1].header)


def _is_grid(header: Any) -> bool:
    return header.get("NAXIS") == 2 and str(header.get("CTYPE1", "")).strip() == "Spectrum Number"


def members(path: Path, labels: LabelSource) -> Iterator[Member]:
    """All columns of the image."""
    from astropy.io import fits

    with fits.open(path) as hdus:
        header, shape = hdus[1].header, hdus[1].shape
        if not _is_grid(header):
            raise InputError(f"{path.name}: HDU 1 is no image of spectra in columns (CTYPE1 = 'Spectrum Number')")
        columns = {_label(path, hdu.header): np.asarray(hdu.data, dtype=np.float64) for hdu in hdus[2:]}
    short = [name for name, values in columns.items() if values.shape != (shape[1],)]
    if short:
        raise InputError(f"{path.name}: {short[0]} has not one value for each of {shape[1]} spectra")
    comment = str(header.comments["CTYPE2"]).lower()
    medium: Medium | None = "air" if "air" in comment else "vacuum" if "vac" in comment else None
    stated = Stated(medium, True, float(header["RESOL"]) if "RESOL" in header else None, ("medium: comment of CTYPE2",))
    for number in range(shape[1]):
        own = {name: round(float(values[number]), DECIMALS) for name, values in columns.items()}
        yield Member(f"{path.name} {number}", own, stated, partial(_spectrum, path, number))


def _label(path: Path, header: Any) -> str:
    stated = str(header.get("BUNIT", "")).replace("Metal,", "").partition("(")[0]
    name = canonical(stated)
    if name is None:
        raise InputError(f"{path.name}: BUNIT = {header.get('BUNIT')!r} names no label that is known")
    return name


def _spectrum(path: Path, number: int) -> ForeignSpectrum:
    wavelength, flux = _image(path, path.stat().st_mtime_ns)
    return spectrum_of(wavelength, flux[:, number].astype(np.float64))


@lru_cache(maxsize=1)
def _image(path: Path, changed: int) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    from astropy.io import fits

    with fits.open(path) as hdus:
        header, flux = hdus[1].header, np.array(hdus[1].data)
    pixel = np.arange(len(flux)) + 1.0 - float(header.get("CRPIX2", 1.0))
    axis = float(header["CRVAL2"]) + float(header["CDELT2"]) * pixel
    logarithmic = int(header.get("DCLOG", header.get("DC-FLAG", 0)))
    return np.asarray(10.0**axis if logarithmic else axis, dtype=np.float64), flux


APOGEE_GRID = Format("apogee", "APOGEE's radial-velocity grid", "apg_rvsynthgrid.fits (2011)", recognises, members)
