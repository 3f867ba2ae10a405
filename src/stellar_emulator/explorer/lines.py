"""Spectral lines that the explorer names: the contract's own, the Paschen series, and strong lines of metals."""

from dataclasses import dataclass

import numpy as np

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.medium import converted

RYDBERG = 109677.5834
"""Rydberg constant of hydrogen, 1/cm (NIST). Fine structure is neglected; it would shift lines by less than 0.1 A."""

UPPER_LEVELS = range(8, 21)
"""Upper levels of the Paschen series, from n = 3; lines of higher levels overlap."""

METALS = (
    ("Ti I", 8434.961),
    ("O I", 8446.359),
    ("Fe I", 8468.406),
    ("Fe I", 8514.072),
    ("Si I", 8556.776),
    ("Fe I", 8582.258),
    ("Fe I", 8611.803),
    ("Fe I", 8621.601),
    ("N I", 8629.235),
    ("Si I", 8648.465),
    ("Fe I", 8674.745),
    ("N I", 8680.282),
    ("Fe I", 8688.624),
    ("N I", 8703.247),
    ("N I", 8711.703),
    ("Mg I", 8717.825),
    ("Si I", 8728.010),
    ("Mg I", 8736.019),
    ("Si I", 8742.445),
    ("Si I", 8752.007),
    ("Fe I", 8757.187),
    ("Al I", 8773.896),
    ("Fe I", 8793.342),
)
"""Element and rest wavelength in air (Angstrom), from the Gaia-ESO line list (Heiter et al. 2021, A&A 645, A106)."""


@dataclass(frozen=True)
class Line:
    """A line's name, its wavelength at rest in the contract's unit and medium, and the row of its name."""

    name: str
    wavelength: float
    row: int


def named_lines(contract: Contract) -> list[Line]:
    """Lines on a contract's axis: row 0 has its own line cores, row 1 the Paschen series, row 2 metals."""
    axis = contract.wavelength
    levels = np.array(UPPER_LEVELS)
    paschen = converted(1e8 / RYDBERG / (1 / 9 - 1 / levels**2), "vacuum", axis.medium)
    metals = converted(np.array([air for _, air in METALS]), "air", axis.medium)
    rows = (
        list(contract.regions.line_cores.items()),
        [(f"P{level}", wavelength) for level, wavelength in zip(levels, paschen.tolist(), strict=True)],
        [(name, wavelength) for (name, _), wavelength in zip(METALS, metals.tolist(), strict=True)],
    )
    return [
        Line(name, wavelength, row)
        for row, lines in enumerate(rows)
        for name, wavelength in sorted(lines, key=lambda line: line[1])
        if axis.holds(wavelength)
    ]
