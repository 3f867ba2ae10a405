"""Stand-ins for files of surveys: written here with the cards, names and layouts of real ones, around one line."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Table

LINE = 8542.1
"""Angstrom, of the one absorption line; in whatever medium and frame the stand-in states."""

SIGNAL = 50.0


@dataclass(frozen=True)
class Written:
    """What a stand-in holds: the level of its flux, and how many of its pixels are no data."""

    level: float
    missing: int


def spectrum(wavelength: np.ndarray, level: float = 1.0, line: float = LINE, seed: int = 1) -> np.ndarray:
    """One line half as deep as the continuum, with noise."""
    noise = np.random.default_rng(seed).normal(0.0, 1.0 / SIGNAL / 20.0, len(wavelength))
    return level * (1.0 - 0.5 * np.exp(-0.5 * ((wavelength - line) / 1.5) ** 2) + noise)


def _log_pixels(count: int = 3000, start: float = 8400.0, step: float = 1e-5) -> np.ndarray:
    return np.asarray(10.0 ** (np.log10(start) + step * np.arange(count)), dtype=np.float64)


def _hdu(data: np.ndarray | None, name: str = "", **cards: Any) -> fits.ImageHDU:
    hdu = fits.ImageHDU(data, name=name or None)
    hdu.header.update({key.replace("_", "-") if key == "DC_FLAG" else key: value for key, value in cards.items()})
    return hdu


def _primary(data: np.ndarray | None = None, **cards: Any) -> fits.PrimaryHDU:
    hdu = fits.PrimaryHDU(data)
    hdu.header.update({key.replace("DC_FLAG", "DC-FLAG"): value for key, value in cards.items()})
    return hdu


def apogee_star(path: Path, visits: int = 1, flagged: bool = True) -> Written:
    """apStar: log10 axis of LOG-LINEAR type, missing pixels of flux 0 and error 1e10, a harmless and a fatal bit."""
    wavelength = _log_pixels()
    axis: dict[str, Any] = {
        "CRVAL1": float(np.log10(wavelength[0])),
        "CDELT1": 1e-5,
        "CRPIX1": 1,
        "CTYPE1": "LOG-LINEAR",
        "DC_FLAG": 1,
    }
    flux, mask = spectrum(wavelength, 300.0), np.zeros(3000, dtype=np.int16)
    error = np.full(3000, 300.0 / SIGNAL)
    flux[100:120], error[100:120] = 0.0, 1e10
    mask[500] = 1 << 9  # persistence
    if flagged:
        mask[[600, 601]] = 1 << 0, 1 << 12
        flux[[600, 601]] = 900.0
    rows = 1 if visits == 1 else visits + 2

    def stack(values: np.ndarray) -> np.ndarray:
        return values if rows == 1 else np.stack([values] * rows)

    units = "(10^-17 erg/s/cm^2/Ang)"
    fits.HDUList(
        [
            _primary(SURVEY="apogee", TELESCOP="apo25m", VHELIO=19.6, OBJID="2M0", **axis),
            _hdu(stack(flux.astype(np.float32)), BUNIT=f"Flux {units}", **axis),
            _hdu(stack(error.astype(np.float32)), BUNIT=f"Error {units}", **axis),
            _hdu(stack(mask), BUNIT="Flag Mask (bitwise)", **axis),
            _hdu(stack(flux.astype(np.float32)), BUNIT=f"Sky {units}", **axis),
        ]
    ).writeto(path)
    return Written(300.0, 22 if flagged else 20)


def apogee_visit(path: Path) -> Written:
    """apVisit: three chips, red to blue, wavelengths in an image of their own."""
    chips = [np.linspace(start + 110.0, start, 1000) for start in (8680.0, 8540.0 - 60.0, 8350.0)]
    flux = np.stack([spectrum(chip, 100.0, seed=number) for number, chip in enumerate(chips)])
    error, mask = np.full(flux.shape, 100.0 / SIGNAL), np.zeros(flux.shape, dtype=np.int16)
    flux[1, 900], error[1, 900] = 0.0, 1e10
    names = (
        "Flux (10^-17 erg/s/cm^2/Ang)",
        "Flux Error (10^-17 erg/s/cm^2/Ang)",
        "Flag Mask (bitwise)",
        "Wavelength (Ang)",
    )
    arrays: tuple[np.ndarray, ...] = (flux, error, mask, np.stack(chips))
    hdus = [_hdu(array, BUNIT=name, CTYPE1="Pixel", CTYPE2="Chip") for name, array in zip(names, arrays, strict=True)]
    fits.HDUList([_primary(SURVEY="apogee", TELESCOP="apo25m", VRAD=-44.4), *hdus]).writeto(path)
    return Written(100.0, 1)


def apogee_aspcap(path: Path) -> Written:
    """aspcapStar: spectrum, error and best fit on the log10 axis."""
    wavelength = _log_pixels()
    axis: dict[str, Any] = {
        "CRVAL1": float(np.log10(wavelength[0])),
        "CDELT1": 1e-5,
        "CRPIX1": 1,
        "CTYPE1": "LOG-LINEAR",
        "DC_FLAG": 1,
    }
    flux, error = spectrum(wavelength), np.full(3000, 1.0 / SIGNAL)
    flux[:30], error[:30] = 0.0, 1e10
    hdus = [_hdu(array, **axis) for array in (flux, error, flux)]
    fits.HDUList([_primary(), *hdus, fits.BinTableHDU(Table({"PARAM": [[1.0, 2.0]]}))]).writeto(path)
    return Written(1.0, 30)


def sdss_mwm(path: Path) -> Written:
    """mwmStar: four tables of which one has a spectrum."""
    wavelength = _log_pixels()
    flux = spectrum(wavelength, 40.0)
    ivar, flags = np.full(3000, (SIGNAL / 40.0) ** 2), np.zeros(3000, dtype=np.int64)
    ivar[10:15], flags[50] = 0.0, 4
    row = {"flux": [flux], "ivar": [ivar], "pixel_flags": [flags], "wavelength": [wavelength], "snr": [SIGNAL]}
    table = Table({**row, "telescope": ["apo25m"]})
    hdus = [fits.BinTableHDU(table[:0]), fits.BinTableHDU(table), fits.BinTableHDU(table[:0])]
    fits.HDUList([_primary(V_ASTRA="0.5.0", SDSS_ID=42), *hdus]).writeto(path)
    return Written(40.0, 6)


def sdss_visits(path: Path) -> Written:
    """mwmVisit: two visits, a row each, whose axis is in cards."""
    wavelength = _log_pixels()
    flux = np.stack([spectrum(wavelength, 40.0, seed=seed) for seed in (1, 2)])
    columns = {"flux": flux, "ivar": np.full(flux.shape, (SIGNAL / 40.0) ** 2)}
    columns["pixel_flags"] = np.zeros(flux.shape, dtype=np.int64)
    hdu = fits.BinTableHDU(Table({**columns, "mjd": [1, 2]}))
    hdu.header.update({"CRVAL": float(np.log10(wavelength[0])), "CDELT": 1e-5, "NPIXELS": 3000})
    fits.HDUList([_primary(V_ASTRA="0.5.0", SDSS_ID=42), hdu]).writeto(path)
    return Written(40.0, 0)


def sdss_spec(path: Path) -> Written:
    """Spec: loglam, ivar and and_mask of the combined spectrum, then labels and an exposure."""
    wavelength = _log_pixels()
    flux, ivar = spectrum(wavelength, 20.0), np.full(3000, (SIGNAL / 20.0) ** 2)
    mask = np.zeros(3000, dtype=np.int32)
    ivar[20:40], mask[900:903] = 0.0, 1 << 23
    flux[900:903] = 60.0
    loglam = np.log10(wavelength)
    combined = Table({"flux": flux, "loglam": loglam, "ivar": ivar, "and_mask": mask, "or_mask": mask, "sky": flux})
    exposure = Table({"flux": flux, "loglam": loglam, "ivar": ivar, "mask": mask})
    labels = Table({"CLASS": ["STAR"], "Z": [0.0]})
    hdus = [fits.BinTableHDU(t, name=n) for t, n in ((combined, "COADD"), (labels, "SPECOBJ"), (exposure, "B1-001"))]
    cards: dict[str, Any] = {
        "TELESCOP": "SDSS 2.5-M",
        "VACUUM": True,
        "COEFF0": float(loglam[0]),
        "COEFF1": 1e-5,
        "DC_FLAG": 1,
    }
    fits.HDUList([_primary(HELIO_RV=4.97, **cards), *hdus]).writeto(path)
    return Written(20.0, 23)


def lamost_low(path: Path) -> Written:
    """LRS: five rows, an axis said to be LINEAR that is log10, as real files have it."""
    wavelength = _log_pixels()
    flux, ivar = spectrum(wavelength, 9000.0), np.full(3000, (SIGNAL / 9000.0) ** 2)
    mask = np.zeros(3000)
    ivar[60:72], mask[1500] = 0.0, 4.0
    cards: dict[str, Any] = {
        "CRVAL1": float(np.log10(wavelength[0])),
        "CD1_1": 1e-5,
        "CRPIX1": 1,
        "CTYPE1": "LINEAR",
        "DC_FLAG": 1,
    }
    rows = np.stack([flux, ivar, wavelength, mask, mask]).astype(np.float32)
    known = {"TELESCOP": "LAMOST", "ORIGIN": "NAOC-LAMOST", "VACUUM": True, "HELIO": True, "OBJECT": "none"}
    fits.HDUList([_primary(rows, EXTNAME="Flux", **known, **cards)]).writeto(path)
    return Written(9000.0, 13)


def lamost_table(path: Path) -> Written:
    """LRS of later releases: one row of vectors."""
    wavelength = _log_pixels()
    flux, ivar = spectrum(wavelength, 9000.0), np.full(3000, (SIGNAL / 9000.0) ** 2)
    mask = np.zeros(3000, dtype=np.int32)
    ivar[60:72], mask[1500] = 0.0, 4
    columns = {"FLUX": [flux], "IVAR": [ivar], "WAVELENGTH": [wavelength], "ANDMASK": [mask], "ORMASK": [mask]}
    table = fits.BinTableHDU(Table({**columns, "NORMALIZATION": [flux / 9000.0]}), name="COADD")
    fits.HDUList([_primary(TELESCOP="LAMOST", VACUUM=True, HELIO=True), table]).writeto(path)
    return Written(9000.0, 13)


def lamost_medium(path: Path) -> Written:
    """MRS: combined spectra of two arms, then their exposures."""
    hdus = []
    for name, start in (("COADD_B", 8400.0), ("COADD_R", 8620.0), ("B-840", 8400.0), ("R-840", 8620.0)):
        wavelength = _log_pixels(900, start)
        flux, ivar = spectrum(wavelength, 200.0), np.full(900, (SIGNAL / 200.0) ** 2)
        if name == "COADD_B":
            ivar[5:9] = 0.0
        mask = "ANDMASK" if name.startswith("COADD") else "PIXMASK"
        columns = {"FLUX": flux, "IVAR": ivar, "LOGLAM": np.log10(wavelength), mask: np.zeros(900, dtype=np.int16)}
        hdus.append(fits.BinTableHDU(Table(columns), name=name))
    fits.HDUList([_primary(TELESCOP="LAMOST", VACUUM=True, HELIO=True), *hdus]).writeto(path)
    return Written(200.0, 4)


def galah_dr3(path: Path) -> Written:
    """DR3: reduced flux in counts, relative errors named input_sigma, a normalised spectrum on an axis of its own."""
    wavelength = 8440.0 + 0.07 * np.arange(4096)
    axis: dict[str, Any] = {"CRVAL1": 8440.0, "CDELT1": 0.07, "CRPIX1": 1.0, "CUNIT1": "Angstroms", "CTYPE1": "LINEAR"}
    flux, relative = spectrum(wavelength, 4836.0), np.full(4096, 1.0 / SIGNAL)
    rest = spectrum(8438.0 + 0.07 * np.arange(4096), 1.0, LINE - 2.0)
    axis = {**axis, "CTYPE2": "Wavelength"}
    hdus = [
        _primary(flux.astype(np.float32), ORIGIN="GALAH DR3", INSTRUME="HERMES-2dF", **axis),
        _hdu(relative, "input_sigma", **axis),
        _hdu(flux, "no_sky_subspectrum", **axis),
        _hdu(relative, "no_sky_sigma", **axis),
        _hdu(rest, "normalised spectra", CRVAL1=8438.0, CDELT1=0.07, CRPIX1=1.0, CUNIT1="Angstroms"),
    ]
    fits.HDUList(hdus).writeto(path)
    return Written(4836.0, 0)


def galah_dr4(path: Path) -> Written:
    """Reduction 6.0: eight images in another order."""
    wavelength = 8440.0 + 0.07 * np.arange(4096)
    axis: dict[str, Any] = {"CRVAL1": 8440.0, "CDELT1": 0.07, "CRPIX1": 1.0, "CUNIT1": "angstroms"}
    flux, relative = spectrum(wavelength, 4836.0), np.full(4096, 1.0 / SIGNAL)
    names = ("normalized", "relative_error", "sky", "teluric", "scattered", "cross_talk", "resolution_profile")
    arrays = (flux / 4836.0, relative, flux, flux, flux, flux, np.full(4096, 0.3))
    hdus = [_hdu(array, name, **axis) for name, array in zip(names, arrays, strict=True)]
    fits.HDUList([_primary(flux, BUNIT="counts", TEFF_R=5655.0, **axis), *hdus]).writeto(path)
    return Written(4836.0, 0)


def rave(path: Path) -> Written:
    """DR6: normalised flux and relative errors."""
    wavelength = 8410.0 + 0.37 * np.arange(1040)
    axis: dict[str, Any] = {"CRVAL1": 8410.0, "CDELT1": 0.37, "CRPIX1": 1.0, "CUNIT1": "Angstrom"}
    images = [_hdu(spectrum(wavelength), "SPECTRUM", **axis), _hdu(np.full(1040, 1.0 / SIGNAL), "ERROR", **axis)]
    fits.HDUList([_primary(ROI="20100313_0823m14_113"), *images]).writeto(path)
    return Written(1.0, 0)


def hermes(path: Path) -> Written:
    """log_merged: an image on the natural logarithm of the wavelength."""
    step = 4e-6
    wavelength = np.exp(np.log(8400.0) + step * np.arange(12000))
    cards: dict[str, Any] = {
        "INSTRUME": "HERMES",
        "TELESCOP": "MERCATOR",
        "CRVAL1": float(np.log(8400.0)),
        "CDELT1": step,
        "CRPIX1": 1,
    }
    flux = spectrum(wavelength, 700.0)
    _primary(flux, CTYPE1="log(wavelength)", **cards).writeto(path)
    return Written(700.0, 0)


def melchiors(path: Path) -> Written:
    """The table of corrected spectra."""
    wavelength = np.exp(np.log(8400.0) + 4e-6 * np.arange(12000))
    flux = spectrum(wavelength, 0.02)
    fits.HDUList([_primary(), fits.BinTableHDU(Table({"wave": wavelength, "flux": flux, "flux_molec": flux}))]).writeto(
        path
    )
    return Written(0.02, 0)


def eso(path: Path, meaning: str = "em.wl;obs.atmos") -> Written:
    """Phase 3: one row of vectors in nm, QUAL where 0 is good."""
    wavelength = 8400.0 + 0.05 * np.arange(6000)
    flux, quality = spectrum(wavelength, 3e-14), np.zeros(6000, dtype=np.int32)
    quality[77] = 1
    flux[77] = 1e-13
    columns = [
        fits.Column("WAVE", "6000D", "nm", array=[wavelength / 10.0]),
        fits.Column("FLUX", "6000E", array=[flux]),
        fits.Column("ERR", "6000E", array=[np.full(6000, 3e-14 / SIGNAL)]),
        fits.Column("QUAL", "6000J", array=[quality]),
        fits.Column("FLUX_REDUCED", "6000E", array=[flux * 2.0]),
    ]
    table = fits.BinTableHDU.from_columns(columns, name="SPECTRUM")
    table.header["TUCD1"] = meaning
    cards: dict[str, Any] = {"PRODCATG": "SCIENCE.SPECTRUM", "SPECSYS": "BARYCENT", "SPEC_RES": 9000.0, "ORIGIN": "ESO"}
    fits.HDUList([_primary(**cards), table]).writeto(path)
    return Written(3e-14, 1)


def ispec(path: Path) -> Written:
    """iSpec's benchmark files: NM, AWAV, SIGMA, gaps of zero flux."""
    wavelength = 8400.0 + 0.02 * np.arange(10000)
    axis: dict[str, Any] = {
        "CRVAL1": 840.0,
        "CDELT1": 0.002,
        "CRPIX1": 1,
        "CTYPE1": "AWAV",
        "CUNIT1": "NM",
        "ORIGIN": "iSpec",
    }
    flux = spectrum(wavelength, 13000.0)
    flux[2000:2400] = 0.0
    sigma = _hdu(np.full(10000, 13000.0 / SIGNAL, dtype=np.float32), "SIGMA", **axis)
    fits.HDUList([_primary(flux.astype(np.float32), TUNIT1="COUNTS", **axis), sigma]).writeto(path)
    return Written(13000.0, 400)


def muse(path: Path) -> Written:
    """MUSE's extracted spectra: DATA, STAT of variances, DQ."""
    wavelength = 8400.0 + 0.25 * np.arange(1200)
    axis: dict[str, Any] = {"CRVAL1": 8400.0, "CD1_1": 0.25, "CRPIX1": 1.0, "CTYPE1": "AWAV", "CUNIT1": "Angstrom"}
    quality = np.zeros(1200, dtype=np.int32)
    quality[333] = 1
    images = [(spectrum(wavelength, 250.0), "DATA"), (np.full(1200, (250.0 / SIGNAL) ** 2), "STAT"), (quality, "DQ")]
    fits.HDUList([_primary(), *(_hdu(image, name, **axis) for image, name in images)]).writeto(path)
    return Written(250.0, 1)


Writer = Callable[[Path], Written]
SURVEYS: dict[str, tuple[Writer, str, str, str]] = {
    "apStar, one visit": (apogee_star, "vacuum", "APOGEE apStar", "rest"),
    "apStar, several visits": (lambda path: apogee_star(path, 2), "vacuum", "APOGEE apStar", "rest"),
    "apVisit": (apogee_visit, "vacuum", "APOGEE apVisit", "observed"),
    "aspcapStar": (apogee_aspcap, "vacuum", "APOGEE aspcapStar", "rest"),
    "mwmStar": (sdss_mwm, "vacuum", "SDSS-V mwmStar", "rest"),
    "SDSS spec": (sdss_spec, "vacuum", "SDSS spec", "heliocentric"),
    "LAMOST low": (lamost_low, "vacuum", "LAMOST low resolution", "heliocentric"),
    "LAMOST low, table": (lamost_table, "vacuum", "LAMOST low resolution", "heliocentric"),
    "LAMOST medium": (lamost_medium, "vacuum", "LAMOST medium resolution", "heliocentric"),
    "GALAH DR3": (galah_dr3, "air", "GALAH DR3, reduced", "barycentric"),
    "GALAH DR4": (galah_dr4, "air", "GALAH DR4 reduction, reduced", ""),
    "RAVE DR6": (rave, "air", "RAVE DR6", "rest"),
    "HERMES": (hermes, "air", "HERMES", "barycentric"),
    "Melchiors": (melchiors, "air", "HERMES, corrected", "barycentric"),
    "ESO Phase 3": (eso, "air", "ESO Phase 3", "barycentric"),
    "iSpec": (ispec, "air", "FITS image", ""),
    "MUSE": (muse, "air", "FITS image", ""),
}
"""By name: what writes it, and medium, form and frame that are right."""
