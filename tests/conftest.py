"""Marks tests by how they are run: `make fast` leaves the slow ones and the integration out; the longest run first."""

import os
from pathlib import Path

import pytest
from slow_files import SLOW, rank

TESTS = Path(__file__).parent

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")

# Workers share the cores. Threads that spin while they wait for a core that another worker has make linear algebra
# several times slower. NumPy and TensorFlow read this when they are imported, and so do commands that tests start.
if "PYTEST_XDIST_WORKER" in os.environ:
    for _name in THREADS:
        os.environ.setdefault(_name, "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        file = file_of(item)
        if file.startswith("integration/"):
            item.add_marker(pytest.mark.integration)
        elif file in SLOW:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: rank(file_of(item)))


def file_of(item: pytest.Item) -> str:
    return item.path.relative_to(TESTS).as_posix()
