"""Changes to published line data that reference stars asked for: a small table, applied line by line.

``python -m pipelines.calibrate`` makes the table. A row changes log gf and van der Waals damping of one line, which
is all components of one species and lower level within `COMPONENTS_WITHIN` of its wavelength (hyperfine structure,
isotopes), or log gf of one molecule's whole list, or takes a line in from MOOG's list of atoms.
"""

import csv
import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property, lru_cache
from io import StringIO
from pathlib import Path

from stellar_emulator.errors import InputError
from stellar_emulator.grid.engines.synspec.linelist import CM_PER_EV, AtomicLine, MolecularLine

COMPONENTS_WITHIN = 0.15
"""Angstrom."""

SAME_LEVEL = 0.003
"""Electronvolt within which two lower levels are one: lists round them differently."""

TABLE = Path(__file__).with_name("line_changes.csv")

GAIA_ESO, MOOG = "gaia-eso", "moog"


@dataclass(frozen=True)
class LineChange:
    """One row.

    species: Z + 0.01 x (ion charge), or a molecule's Kurucz code (607 is CN); wavelength: Angstrom in air, and
    lower_energy: eV, both 0 for a molecule; log_gf_change, van_der_waals_change: dex, with standard errors, 0 where
    nothing was changed; source: list that has the line, ``gaia-eso`` or ``moog``; stars: that constrain it.
    """

    species: float
    wavelength: float
    lower_energy: float
    log_gf_change: float
    log_gf_error: float
    van_der_waals_change: float
    van_der_waals_error: float
    source: str
    stars: str

    def is_of(self, species: float, wavelength: float, lower_energy: float) -> bool:
        """Whether a component, its lower energy in 1/cm, belongs to this line."""
        return (
            abs(species - self.species) < 0.001
            and abs(wavelength - self.wavelength) <= COMPONENTS_WITHIN
            and abs(lower_energy / CM_PER_EV - self.lower_energy) <= SAME_LEVEL
        )


COLUMNS = tuple(field.name for field in fields(LineChange))


@dataclass(frozen=True)
class LineChanges:
    """The rows of a table; with none, lines stay as they were published."""

    rows: tuple[LineChange, ...]

    def __bool__(self) -> bool:
        return bool(self.rows)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the table's text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @cached_property
    def text(self) -> str:
        """The table as CSV."""
        stream = StringIO()
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in self.rows)
        return stream.getvalue()

    @property
    def added(self) -> bool:
        """Whether any line comes from another list than the Gaia-ESO one."""
        return any(row.source == MOOG for row in self.rows)

    def chosen(self, further: Sequence[AtomicLine]) -> list[AtomicLine]:
        """Those lines of MOOG's list that the table takes in."""
        rows = [row for row in self.rows if row.source == MOOG]
        return [line for line in further if any(_same(row, line) for row in rows)]

    def atom(self, line: AtomicLine) -> AtomicLine:
        """A line as it is to be computed."""
        row = next((row for row in self._near(line.wavelength) if _same(row, line)), None)
        if row is None:
            return line
        damping = line.log_van_der_waals
        # 0 asks for SYNSPEC's classical formula: there is nothing to change.
        damping = damping + row.van_der_waals_change if damping else 0.0
        return replace(line, log_gf=line.log_gf + row.log_gf_change, log_van_der_waals=damping)

    def molecule(self, line: MolecularLine) -> MolecularLine:
        """A molecule's line as it is to be computed."""
        change = self._molecules.get(line.molecule, 0.0)
        return replace(line, log_gf=line.log_gf + change) if change else line

    @cached_property
    def _molecules(self) -> dict[int, float]:
        return {round(row.species): row.log_gf_change for row in self.rows if row.species >= 100.0}

    def _near(self, wavelength: float) -> Sequence[LineChange]:
        return [
            row
            for place in (-1, 0, 1)
            for row in self._by_angstrom.get(int(wavelength) + place, ())
            if abs(row.wavelength - wavelength) <= COMPONENTS_WITHIN
        ]

    @cached_property
    def _by_angstrom(self) -> dict[int, list[LineChange]]:
        found: dict[int, list[LineChange]] = {}
        for row in self.rows:
            found.setdefault(int(row.wavelength), []).append(row)
        return found


def _same(row: LineChange, line: AtomicLine) -> bool:
    return row.is_of(line.species, line.wavelength, line.lower_energy)


def read_changes(path: Path) -> LineChanges:
    """Read a table of changes.

    Raises
    ------
    InputError
        If it can't be read, lacks a column, or a value is no number; the message names file, line and column.
    """
    try:
        with path.open(newline="") as stream:
            reader = csv.DictReader(stream)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise InputError(f"{path} lacks the column {missing[0]}: its columns are {', '.join(COLUMNS)}")
            return LineChanges(tuple(_row(path, reader.line_num, given) for given in reader))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} can't be read: {error}") from error


def _row(path: Path, number: int, given: dict[str, str]) -> LineChange:
    values: dict[str, float | str] = {"source": given["source"], "stars": given["stars"]}
    if given["source"] not in (GAIA_ESO, MOOG):
        raise InputError(f"{path}, line {number}: source must be {GAIA_ESO} or {MOOG}, got {given['source']!r}")
    for name in COLUMNS[:-2]:
        try:
            values[name] = value = float(given[name])
        except (TypeError, ValueError):
            value = math.nan
        if not math.isfinite(value):
            raise InputError(f"{path}, line {number}: {name} must be a number, got {given[name]!r}")
    return LineChange(**values)  # type: ignore[arg-type]


@lru_cache(maxsize=1)
def shipped_changes() -> LineChanges:
    """The table that comes with the package."""
    return read_changes(TABLE)
