import numpy as np
import pytest

from stellar_emulator.contract.medium import Medium, to_vacuum
from stellar_emulator.observed.tellurics import HALF_WIDTH, WATER, telluric_ranges


@pytest.mark.parametrize("medium", ["air", "vacuum"])
def test_ranges_surround_the_lines_in_either_medium(medium: Medium) -> None:
    lines = np.array(WATER) if medium == "air" else to_vacuum(np.array(WATER))
    ranges = np.array(telluric_ranges(medium))
    assert ranges.mean(axis=1) == pytest.approx(lines, abs=1e-3)
    assert np.diff(ranges, axis=1) == pytest.approx(2.0 * HALF_WIDTH, abs=1e-3)
    assert len(ranges) == len(WATER)
