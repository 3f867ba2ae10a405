"""One pair, trained through the command on a user's own file, that the tests of the jobs share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fresh_store import fresh_store
from workplace import ONE_JUDGE, PRESET, Ended, Workplace, user_arrays


@pytest.fixture(scope="session")
def save_npz() -> Callable[..., None]:
    """Write a user's file, some arrays replaced (None: left out)."""

    def save(path: Path, runs: int = 100, **changed: np.ndarray | None) -> None:
        arrays: dict[str, Any] = {
            name: array for name, array in {**user_arrays(runs), **changed}.items() if array is not None
        }
        np.savez(path, **arrays)

    return save


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory, save_npz: Callable[..., None]) -> Workplace:
    folder = tmp_path_factory.mktemp("workplace")
    fresh_store(folder)
    (folder / "little.yaml").write_text(PRESET)
    (folder / "one_judge.yaml").write_text(ONE_JUDGE)
    save_npz(folder / "grid.npz")
    return Workplace(folder)


@pytest.fixture(scope="session")
def trained(workplace: Workplace) -> Ended:
    """The first training in the workplace, whose files lie in ``trained``."""
    ended = workplace.train("trained")
    assert ended.code == 0, ended.err
    return ended
