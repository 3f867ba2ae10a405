"""Gives the tests of fitting one small pair for each contract."""

import pytest

from stars import ARCHIVE, GAIA, pair_of
from stellar_emulator.fitting.estimate import Pair


@pytest.fixture(scope="session")
def pair() -> Pair:
    return pair_of(GAIA)


@pytest.fixture(scope="session")
def archive_pair() -> Pair:
    return pair_of(ARCHIVE)
