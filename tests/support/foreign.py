"""Stand-ins for published grids: files of the same headers and layout, whose spectra are one Gaussian line."""

from collections.abc import Mapping
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CENTRE = 6700.0
NODES = [{"teff": teff, "logg": logg} for teff, logg in product((5000.0, 5500.0, 6000.0, 7000.0), (3.0, 4.0, 4.5))]


def line(wavelength: Array, labels: Mapping[str, float]) -> Array:
    """Normalised flux: a line whose depth follows the temperature and whose width follows the gravity."""
    depth = 0.2 + 0.5 * (labels["teff"] - 5000.0) / 2000.0
    width = 0.3 + 0.2 * (labels.get("logg", 4.0) - 3.0)
    return np.asarray(1.0 - depth * np.exp(-0.5 * ((wavelength - CENTRE) / width) ** 2))


def fine() -> Array:
    """Wavelengths of an unbroadened spectrum, in Angstrom."""
    return np.arange(6660.0, 6740.0, 0.05)


def turbospectrum(folder: Path, nodes: list[dict[str, float]] | None = None) -> Path:
    """Files of bsyn: wavelength, flux over continuum, flux."""
    folder.mkdir(parents=True, exist_ok=True)
    for node in NODES if nodes is None else nodes:
        flux = line(fine(), node)
        name = f"{node['teff']:.0f}g{node['logg']:.2f}z+0.00a+0.00t01-x_xit1.0.spec"
        np.savetxt(folder / name, np.stack([fine(), flux, 7e6 * flux], axis=1), fmt="%12.4f %10.6f %12.5E")
    return folder


def bt_settl(folder: Path) -> Path:
    """Files in micron with absolute flux on a slope."""
    folder.mkdir(parents=True, exist_ok=True)
    for node in NODES:
        flux = 1e9 * (1.0 - 1e-3 * (fine() - CENTRE)) * line(fine(), node)
        name = f"btsettl08_t{node['teff']:.0f}_g{node['logg']:.2f}_z-0.00_en0.00_CUT.txt"
        np.savetxt(folder / name, np.stack([fine() / 1e4, flux], axis=1), fmt="%.9f\t%.6f")
    return folder


def ferre(path: Path, comment: str = "SYNSPEC v49", rows: int = 12) -> Path:
    """A multi-spectrum text, the last label fastest, one label with a single node."""
    axis = np.log10(15091.0) + 4.6e-6 * np.arange(300)
    header = f"""&SYNTH
N_OF_DIM = 3
N_P = 4 3 1
LABEL(1) = 'TEFF'
LABEL(2) = 'LOGG'
LABEL(3) = 'METALS'
LLIMITS = 5000. 3.0 -1
STEPS = 500. 0.5 0.33
NPIX = 300
WAVE = {axis[0]:.14f} 4.6e-06
LOGW = 1
RESOLUTION = 29979.2458
COMMENTS2 = '{comment}'
COMMENTS4 = 'Continuum normalized'
 /
"""
    nodes = product(5000.0 + 500.0 * np.arange(4), 3.0 + 0.5 * np.arange(3))
    moved = 10.0**axis - 15091.0 + CENTRE - 2.0
    lines = [" ".join(f"{value:.5E}" for value in line(moved, {"teff": t, "logg": g})) for t, g in nodes]
    path.write_text(header + "\n".join(lines[:rows]) + "\n")
    return path


def apogee(path: Path) -> Path:
    """An image whose columns are spectra, with a label in each further HDU."""
    from astropy.io import fits

    axis = np.log10(15091.0) + 4.8e-6 * np.arange(300)
    moved = 10.0**axis - 15091.0 + CENTRE - 2.0
    image = fits.ImageHDU(np.stack([line(moved, node) for node in NODES], axis=1).astype(np.float32))
    cards = {"CTYPE1": "Spectrum Number", "CTYPE2": ("Wavelength", "Log AIR Wavelength (Ang)"), "CRVAL2": axis[0]}
    image.header.update({**cards, "CRPIX2": 1, "CDELT2": 4.8e-6, "DCLOG": 1, "RESOL": 29979.2458})
    hdus = [fits.PrimaryHDU(), image]
    for unit, name in (("Teff (K)", "teff"), ("Logg (dex)", "logg")):
        one = fits.ImageHDU(np.array([node[name] for node in NODES]))
        one.header["BUNIT"] = unit
        hdus.append(one)
    fits.HDUList(hdus).writeto(path)
    return path


def msg(path: Path, law: str = "CLARET") -> Path:
    """A specgrid of intensities whose flux is the line: linear limb darkening 0.5 at all wavelengths."""
    import h5py

    powers = {"CLARET": (0.5, 1.0, 1.5, 2.0), "LINEAR": (1.0,)}[law]
    edges = np.exp(np.log(6660.0) + 1e-5 * np.arange(1201))
    teffs, loggs = sorted({node["teff"] for node in NODES}), sorted({node["logg"] for node in NODES})
    with h5py.File(path, "w") as file:
        file.attrs["TYPE"] = np.bytes_("specgrid_t")
        grid = file.create_group("vgrid")
        grid.attrs["shape"] = np.array([len(teffs), len(loggs)], dtype=np.int32)
        for number, (label, values) in enumerate((("Teff", teffs), ("log(g)", loggs)), start=1):
            axis = grid.create_group(f"axes[{number}]")
            axis.attrs["label"] = np.bytes_(label)
            axis["x"] = values
        places = [teffs.index(node["teff"]) + len(teffs) * loggs.index(node["logg"]) + 1 for node in NODES]
        grid["v_lin_seq"] = np.array(places, dtype=np.int32)
        source = file.create_group("specsource")
        source.attrs["n"] = np.int32(len(NODES))
        for number, node in enumerate(NODES, start=1):
            one = source.create_group(f"specints[{number}]")
            centre = 1e8 * line(0.5 * (edges[1:] + edges[:-1]), node)
            coefficients = np.zeros((len(centre), 1 + len(powers)))
            coefficients[:, 0] = centre
            coefficients[:, 1 + powers.index(1.0)] = 0.5 * centre
            one["c"] = coefficients
            one.create_group("limb").attrs["law"] = np.bytes_(law)
            span = one.create_group("range")
            span.attrs.update({"TYPE": np.bytes_("log_range_t"), "logx_0": np.log(6660.0), "dlogx": 1e-5, "n": 1201})
    return path


def moog(path: Path) -> Path:
    """Raw depths of two syntheses, ten a line."""
    text = ""
    for node in NODES[:2]:
        depths = 1.0 - line(np.arange(6698.0, 6702.01, 0.02), node)
        rows = [
            " ".join(f"{value:7.4f}" for value in depths[first : first + 10]) for first in range(0, len(depths), 10)
        ]
        text += (
            "ALL abundances NOT listed below differ from solar by   0.00 dex\n"
            f"MODEL: TEFF   {node['teff']:.0f}.  GRAVITY {node['logg']:.5f} LTE[0.0] VTURB=2  L/H=1.vt= 2.00 "
            "M/H= 0.00 \n"
            "   6698.000   6702.000      0.020      1.000\n" + "\n".join(rows) + "\n"
        )
    path.write_text(text)
    return path


def phoenix(folder: Path, kind: str = "") -> Path:
    """Flux images with PHX labels; wavelengths in a file beside them, or in the header with CTYPE1 ``kind``."""
    from astropy.io import fits

    folder.mkdir(parents=True, exist_ok=True)
    for node in NODES:
        flux = 1e15 * line(fine(), node)
        hdu = fits.PrimaryHDU(flux.astype(np.float32))
        hdu.header.update({"PHXTEFF": node["teff"], "PHXLOGG": node["logg"], "PHXM_H": 0.0, "PHXALPHA": 0.0})
        hdu.header["BUNIT"] = "erg/s/cm^2/cm"
        if kind:
            start, step = (np.log(6660.0), 0.05 / 6660.0) if kind.endswith("LOG") else (6660.0, 0.05)
            hdu.header.update({"CTYPE1": kind, "CRVAL1": start, "CDELT1": step, "CRPIX1": 1})
        hdu.writeto(folder / f"lte{node['teff']:05.0f}-{node['logg']:.2f}-0.0.PHOENIX-ACES-AGSS-COND-2011-HiRes.fits")
    if not kind:
        fits.PrimaryHDU(fine()).writeto(folder / "WAVE_PHOENIX-ACES-AGSS-COND-2011.fits")
    return folder
