from pathlib import Path

import numpy as np

from stellar_emulator.contract.contract import read_contract
from stellar_emulator.contract.regions import (
    ALL,
    BOX,
    HARD,
    bin_name,
    hard_region,
    line_core_pixels,
    line_windows,
    region_rows,
)

ROOT = Path(__file__).parents[2]
GAIA = read_contract(ROOT / "data_contracts" / "gaia_rvs.yaml")
TINY = read_contract(ROOT / "tests" / "data" / "tiny_contract.yaml")

# teff, m_h, vsini; bins of teff meet at 6000, of vsini at 50.
LABELS = np.array([[4000.0, 0.0, 0.0], [5999.9, 0.0, 50.0], [6000.0, 0.0, 49.9], [8000.0, 0.0, 100.0]])


def test_every_row_lies_in_one_bin_of_each_label() -> None:
    found = {name: np.flatnonzero(inside).tolist() for name, inside in region_rows(TINY, LABELS).items()}
    assert found == {
        BOX: [0, 1, 2, 3],
        ALL: [0, 1, 2, 3],
        "teff 4000-6000": [0, 1],
        "teff 6000-8000": [2, 3],
        "vsini 0-50": [0, 2],
        "vsini 50-100": [1, 3],
        HARD: [0],
    }


def test_hard_region_is_where_all_its_ranges_meet() -> None:
    labels = np.tile(0.5 * (GAIA.lower + GAIA.upper), (4, 1))
    labels[:, 0] = [6999.0, 6999.0, 7000.0, 3600.0]
    labels[:, 2] = [19.9, 20.0, 5.0, 0.0]
    assert hard_region(GAIA, labels).tolist() == [True, False, False, True]


def test_bin_names_are_short() -> None:
    assert bin_name("teff", 3600.0, 4800.0) == "teff 3600-4800"


def test_line_cores_and_windows_are_pixels_near_the_lines() -> None:
    pixels = GAIA.wavelength.pixels
    core = pixels[line_core_pixels(GAIA)]
    centres = np.array(list(GAIA.regions.line_cores.values()))
    nearest = np.abs(core[:, np.newaxis] - centres).min(axis=1)
    assert nearest.max() <= 1.0
    assert 58 <= len(core) <= 62  # three lines, 2 Angstrom each
    windows = line_windows(GAIA)
    assert list(windows) == ["Ca II 8498", "Ca II 8542", "Ca II 8662"]
    for line, centre in GAIA.regions.line_cores.items():
        inside = pixels[windows[line]]
        assert inside.min() == np.round(centre - 9.95, 1)
        assert abs(inside.max() - (centre + 10.0)) <= 0.1


def test_a_contract_without_lines_has_no_core() -> None:
    bare = TINY.model_copy(update={"regions": TINY.regions.model_copy(update={"line_cores": {}})})
    assert not line_core_pixels(bare).any()
    assert line_core_pixels(bare).shape == (777,)
    assert line_windows(bare) == {}
