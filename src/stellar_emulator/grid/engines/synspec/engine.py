"""SYNSPEC as one of the engines, with this folder's atmospheres, line lists and abundances and the settings of
`run`."""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from stellar_emulator.contract.axis import IntrinsicAxis
from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.medium import Medium
from stellar_emulator.grid.engines.base import element_of
from stellar_emulator.grid.engines.intrinsic import (
    IntrinsicSpectrum,
    bin_averages,
    continuum_wavelengths,
    synthesis_range,
)
from stellar_emulator.grid.engines.synspec import atmosphere, parts, run
from stellar_emulator.grid.engines.synspec.line_data import PUBLISHED, LineData, line_data_of

_SCALED = "Scaled solar abundances with [alpha/M] = 0; no macroturbulence."
_MOLECULES = "CN, C2 and FeH are computed below 7000 K only: at [M/H] = 1.2, logg 3 the spectrum steps by 0.001 there."

KNOWN_LIMITS = (
    "Local thermodynamic equilibrium throughout; the cores of the Ca II triplet are not.",
    "Plane-parallel atmospheres: extended envelopes of giants are not described.",
    "Structures come from networks that reproduce C3K (ATLAS12) models, not from ATLAS9.",
    "Structures were computed with a microturbulence of 2 km/s, whatever the label says.",
    _SCALED,
    "The line list holds no He I or Ne I lines: treat Teff above 11000 K with care.",
    "Hydrogen profiles are Lemke's; the alternative tables differ by up to 1.8 % in Paschen 14.",
    "Below 4000 K titanium oxide is too weak, and water and vanadium oxide are missing.",
    _MOLECULES,
    "Hot stars of low gravity (logg below about 3.5 at 15000 K) and metal-rich cool giants lie outside the structures' "
    "training set: see atmosphere_distance.",
    "The continuum holds the Paschen pseudo-continuum of dissolved levels, which observers normalise differently.",
)

_CALIBRATED = {
    _SCALED: "Abundances of single elements change lines, not structures; carbon is that of the Sun, so [N/M] stands "
    "for CN as a whole, and the share of 13C is terrestrial; no macroturbulence.",
    _MOLECULES: "Lines were calibrated on few stars, the Sun first: those that hotter or metal-poor stars alone show "
    "were not.",
}
"""What line data of the newer grids know instead."""


@dataclass(frozen=True)
class Synspec:
    """SYNSPEC 54, see `run`. Abundances of single elements change the opacities, not the structure."""

    line_data: LineData = PUBLISHED
    name: str = "synspec"
    labels: tuple[str, ...] = ("teff", "logg", "m_h", "vmicro")
    optional: tuple[str, ...] = ("alpha_m",)
    elements: frozenset[str] = frozenset(run.SYMBOLS[2:])
    medium: Medium = "air"

    @property
    def known_limits(self) -> tuple[str, ...]:
        if self.line_data.name == PUBLISHED.name:
            return KNOWN_LIMITS
        return tuple(_CALIBRATED.get(limit, limit) for limit in KNOWN_LIMITS)

    def provenance(self) -> dict[str, Any]:
        return {
            "parts": {part.requirement: part.sha256 for part in parts.ALL_PARTS},
            "synspec_settings": {
                **run.SETTINGS,
                "molecules_below_teff": self.line_data.molecules_below,
                "titanium_oxide_below_teff": self.line_data.titanium_oxide_below,
            },
            "compiler_flags": list(run.COMPILER_FLAGS),
            "abundances": "Asplund, Grevesse, Sauval & Scott 2009 (ARA&A 47, 481), scaled by [M/H] from lithium up",
            **self.line_data.provenance(),
        }

    def machine(self) -> dict[str, str]:
        if shutil.which("gfortran") is None:
            return {"compiler": "gfortran is no longer on the PATH"}
        done = subprocess.run(["gfortran", "--version"], capture_output=True, text=True, check=False)
        return {"compiler": done.stdout.partition("\n")[0]}

    def install(self, axis: IntrinsicAxis) -> None:
        run.install(*synthesis_range(axis), self.line_data)

    def synthesise(self, axis: IntrinsicAxis, labels: Mapping[str, float]) -> IntrinsicSpectrum:
        shortest, longest = synthesis_range(axis)
        stellar = stellar_of(labels)
        done = run.synthesise(run.install(shortest, longest, self.line_data), stellar, shortest, longest)
        alpha = stellar.alpha_m if "alpha_m" in labels else None
        return IntrinsicSpectrum(
            flux=bin_averages(done.wavelength, done.flux / done.continuum, axis.edges),
            continuum=np.interp(continuum_wavelengths(axis), done.wavelength, done.continuum),
            limb_darkening=done.limb_darkening,
            atmosphere_distance=atmosphere.distance_to_training_set(stellar.teff, stellar.logg, stellar.m_h, alpha),
        )


def stellar_of(labels: Mapping[str, float]) -> run.Stellar:
    """What SYNSPEC is told of a contract's run labels, by name; all others than these are of single elements."""
    known = ("teff", "logg", "m_h", "vmicro", "alpha_m")
    elements = {element_of(name): value for name, value in labels.items() if name not in known}
    return run.Stellar(**{name: labels[name] for name in known if name in labels}, elements=elements)


SYNSPEC = Synspec()


def synspec_for(contract: Contract, line_data: str | None = None) -> Synspec:
    """SYNSPEC with the line data that a contract names, or with others for a trial."""
    return Synspec(line_data_of(line_data or contract.line_data))
