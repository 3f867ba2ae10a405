"""Changes to published line data: what they touch, what they leave, and tables that are refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from stellar_emulator.errors import InputError
from stellar_emulator.grid.engines.synspec import line_changes, line_data, linelist
from stellar_emulator.grid.engines.synspec.line_changes import COLUMNS, LineChange, LineChanges, read_changes

IRON = linelist.AtomicLine(8515.108, 26.0, -2.073, 3.018 * linelist.CM_PER_EV, 36000.0, 2.0, 8.0, 0.0, -7.8)
CHANGE = LineChange(26.0, 8515.108, 3.018, 0.2, 0.03, -0.1, 0.05, "gaia-eso", "Sun")
CHANGES = LineChanges((CHANGE, LineChange(607.0, 0.0, 0.0, 0.15, 0.05, 0.0, 0.0, "gaia-eso", "giants")))


def test_a_row_changes_its_line_and_all_components_of_it() -> None:
    changed = CHANGES.atom(IRON)
    assert changed.log_gf == pytest.approx(-1.873)
    assert changed.log_van_der_waals == pytest.approx(-7.9)
    assert CHANGES.atom(replace(IRON, wavelength=8515.2)).log_gf == pytest.approx(-1.873)


@pytest.mark.parametrize(
    "other",
    [
        replace(IRON, wavelength=8515.3),
        replace(IRON, species=26.01),
        replace(IRON, lower_energy=3.03 * linelist.CM_PER_EV),
    ],
)
def test_other_lines_stay(other: linelist.AtomicLine) -> None:
    assert CHANGES.atom(other) == other


def test_a_line_without_damping_keeps_the_classical_formula() -> None:
    assert CHANGES.atom(replace(IRON, log_van_der_waals=0.0)).log_van_der_waals == 0.0


def test_a_molecules_row_scales_its_whole_list() -> None:
    cyanogen = linelist.MolecularLine(8440.0, 607, -1.5, 1000.0)
    assert CHANGES.molecule(cyanogen).log_gf == pytest.approx(-1.35)
    assert CHANGES.molecule(replace(cyanogen, molecule=606)).log_gf == -1.5


def test_lines_come_in_from_the_other_list_where_a_row_says_so() -> None:
    further = [IRON, replace(IRON, wavelength=8600.0)]
    assert CHANGES.chosen(further) == []
    taken = LineChanges((replace(CHANGE, source="moog"),))
    assert taken.added
    assert taken.chosen(further) == [IRON]


def test_tables_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "changes.csv"
    path.write_text(CHANGES.text)
    assert read_changes(path) == CHANGES
    assert read_changes(path).digest == CHANGES.digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("species,wavelength\n26,8515\n", "lacks the column lower_energy"),
        (",".join(COLUMNS) + "\n26,x,3,0,0,0,0,gaia-eso,Sun\n", "line 2: wavelength must be a number, got 'x'"),
        (",".join(COLUMNS) + "\n26,nan,3,0,0,0,0,gaia-eso,Sun\n", "line 2: wavelength must be a number, got 'nan'"),
        (",".join(COLUMNS) + "\n26,8515,3,0,0,0,0,vald,Sun\n", "line 2: source must be gaia-eso or moog, got 'vald'"),
    ],
)
def test_a_broken_table_is_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "changes.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_changes(path)


def test_the_shipped_table_is_sound() -> None:
    shipped = line_changes.shipped_changes()
    assert all(abs(row.log_gf_change) <= 1.5 and row.stars for row in shipped.rows)
    assert len({(row.species, row.wavelength, row.lower_energy) for row in shipped.rows}) == len(shipped.rows)


def test_line_data_say_where_they_come_from() -> None:
    assert line_data.PUBLISHED.provenance() == {}
    assert line_data.PUBLISHED.suffix != line_data.calibrated().suffix
    told = line_data.calibrated().provenance()["line_data"]
    assert told["sha256"] == line_changes.shipped_changes().digest
    other = replace(line_data.calibrated(), changes=CHANGES)
    assert other.suffix != line_data.calibrated().suffix
