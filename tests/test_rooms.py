"""Each room has tests of its own, some of which are fast."""

from pathlib import Path

import pytest
from slow_files import SLOW
from synthetic import ROOT

TESTS = Path(__file__).parent
ROOMS = sorted(path.name for path in (ROOT / "src" / "stellar_emulator").iterdir() if (path / "__init__.py").is_file())


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_a_fast_test(room: str) -> None:
    files = {f"{room}/{path.name}" for path in (TESTS / room).glob("test_*.py")}
    assert files - SLOW, f"tests/{room} has no fast test"
