import math

import pytest

from stellar_emulator.grid.engines.synspec import linelist

CALCIUM_8542 = [
    "'  20.000            '    2       137\n",
    "'Ca II   NLTE'\n",
    "  8542.091  1.700 -0.463  291.275    4.0  1.61E+08  'd' 'p'   0.0    1.0 'Ca II LS:3p6.3d 2D LS:3p6.4p 2P*'\n",
]


def test_abo_damping_of_the_calcium_triplet() -> None:
    (line,) = linelist._gaia_eso_lines(CALCIUM_8542)
    assert line.species == pytest.approx(20.01)
    assert line.log_van_der_waals == pytest.approx(-7.68, abs=0.01)
    assert line.upper_j == 1.5
    assert line.log_radiative == pytest.approx(8.2068, abs=1e-4)
    assert line.upper_energy - line.lower_energy == pytest.approx(1e8 / 8544.438, rel=1e-6)


def test_damping_conventions_of_the_gaia_eso_list() -> None:
    assert linelist._log_van_der_waals(-7.5, 26, 1, 3.0) == -7.5
    assert linelist._log_van_der_waals(0.0, 26, 1, 3.0) == 0.0
    unsold = linelist._log_van_der_waals(1.0, 26, 1, 3.0)
    assert linelist._log_van_der_waals(2.5, 26, 1, 3.0) - unsold == pytest.approx(math.log10(2.5))


def test_isotopes_share_the_strength_of_their_element() -> None:
    text = "  8440.000 607.01314     0.000    -1.000               7.724          1500Ra0045\n"
    (line,) = linelist._moog_lines([text], 8400.0, 8800.0)
    assert line.molecule == 607
    assert line.log_gf == pytest.approx(-1.0 + math.log10(0.011))
    assert line.lower_energy == 0.0


def test_records_have_the_columns_that_synspec_reads() -> None:
    (line,) = linelist._gaia_eso_lines(CALCIUM_8542)
    words = line.synspec_record().split()
    assert len(words) == 11
    assert (words[0], words[1], words[-1]) == ("854.2091", "20.01", "0")
    molecule = linelist.MolecularLine(8440.0, 607, -1.5, 1000.0)
    assert len(molecule.synspec_record().split()) == 4
    assert molecule.strength(5000.0) == pytest.approx(-1.5 - math.log10(math.e) * 1.438777 * 1000.0 / 5000.0, abs=1e-4)
