"""Which lines SYNSPEC computes with: those that were published, or these as the Sun and giants calibrated them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stellar_emulator.grid.engines.synspec import linelist
from stellar_emulator.grid.engines.synspec.line_changes import LineChanges, shipped_changes

ATOMIC, MOLECULES, TITANIUM_OXIDE = "atomic.lin", "molecules.lin", "titanium_oxide.lin"


@dataclass(frozen=True)
class LineData:
    """Line lists for SYNSPEC.

    name: as a contract's ``line_data`` says it; changes: to the published lists; molecules_below,
    titanium_oxide_below: Teff in K from which CN, C2 and FeH, and TiO, are left out, since they change nothing there;
    weakest_molecules: `MolecularLine.strength` at 5000 K that a line of the first three must reach.
    """

    name: str
    changes: LineChanges
    molecules_below: float
    titanium_oxide_below: float
    weakest_molecules: float

    @property
    def suffix(self) -> str:
        """Of the cache folder of its lists: other lists lie in another one."""
        return f"{self.name}-{self.changes.digest[:12]}"

    def write(self, folder: Path, shortest: float, longest: float) -> None:
        """Write all lists between two air wavelengths in Angstrom in SYNSPEC's format."""
        atoms = linelist.atomic_lines(shortest, longest)
        if self.changes.added:
            atoms += self.changes.chosen(linelist.further_atomic_lines(shortest, longest))
        molecules = linelist.molecular_lines(
            ("moogcn", "moogfeh", "moogc2"), shortest, longest, 5000.0, self.weakest_molecules
        )
        oxide = linelist.molecular_lines(("moogtio",), shortest, longest, 3600.0, -4.5)
        linelist.write_lines(folder / ATOMIC, [self.changes.atom(line) for line in atoms])
        linelist.write_lines(folder / MOLECULES, [self.changes.molecule(line) for line in molecules])
        linelist.write_lines(folder / TITANIUM_OXIDE, [self.changes.molecule(line) for line in oxide])

    def provenance(self) -> dict[str, Any]:
        """Beside the parts; empty for the published lists, as grids of before have it."""
        if self.name == PUBLISHED.name:
            return {}
        return {
            "line_data": {
                "name": self.name,
                "sha256": self.changes.digest,
                "changed_lines": len(self.changes.rows),
                "weakest_molecules": self.weakest_molecules,
            }
        }


PUBLISHED = LineData("published", LineChanges(()), 7000.0, 4800.0, -6.5)
"""The Gaia-ESO and MOOG lists as they are; grids of contract gaia_rvs are computed with it."""


def calibrated() -> LineData:
    """The same lists with `shipped_changes`; nitrogen as a label wants CN further up and deeper down."""
    return LineData("calibrated", shipped_changes(), 9000.0, 5200.0, -7.5)


def line_data_of(name: str) -> LineData:
    """By the name that a contract gives; names are checked where it is read."""
    return PUBLISHED if name == PUBLISHED.name else calibrated()
