"""What single generated spectra must keep of the data contract."""

import numpy as np
import pytest
from synthetic import GAIA

from stellar_emulator.gate.expected import broken

assert GAIA.gate is not None
ROOM = GAIA.gate.fresh.place_room
PIXELS = GAIA.wavelength.pixels
(POSITION,) = GAIA.expectations.line_position
SLOW = np.array([[5000.0, 4.0, 2.0, 0.0, 1.0, 11500.0]])


def off_by(shift: float) -> np.ndarray:
    place = GAIA.regions.line_cores[POSITION.line] + shift
    return (1.0 - 0.6 * np.exp(-0.5 * ((PIXELS - place) / 0.3) ** 2)).astype(np.float32)[None]


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_a_line_may_be_a_tenth_of_its_range_beyond_it_as_rare_blends_are(side: float) -> None:
    assert POSITION.upper is not None
    assert POSITION.lower == -POSITION.upper
    name, edge = f"{POSITION.line} in the wrong place", POSITION.upper * (1.0 + 2.0 * ROOM)
    assert not broken(GAIA, SLOW, off_by(side * 0.95 * edge), ROOM)[name].any()
    assert broken(GAIA, SLOW, off_by(side * 1.05 * edge), ROOM)[name].all()
