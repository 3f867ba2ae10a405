"""Marks tests by how they are run: `make fast` leaves the slow ones and the integration out."""

from pathlib import Path

import pytest
from slow_files import SLOW

TESTS = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        file = item.path.relative_to(TESTS).as_posix()
        if file.startswith("integration/"):
            item.add_marker(pytest.mark.integration)
        elif file in SLOW:
            item.add_marker(pytest.mark.slow)
