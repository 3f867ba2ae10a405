"""A tracking store that dies midway: one line, exit code 3, and the next command leaves everything right."""

from collections.abc import Iterator

import mlflow
import pytest
from arena import MODELS, Arena
from crash import WRITES, one_promoted
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import OperationalError

from stellar_emulator.promotion.audit import damage, trail
from stellar_emulator.promotion.champion import PairVersions

READS = (
    "get_registered_model",
    "get_model_version",
    "get_run",
    "search_experiments",
    "search_registered_models",
    "search_runs",
)
A, B = PairVersions(1, 1), PairVersions(2, 2)


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    with one_promoted(tmp_path_factory.mktemp("arena")) as made:
        yield made


def dying(patch: pytest.MonkeyPatch, calls: int) -> None:
    """Let all calls of the store fail after some, as SQLite does that another process has locked."""
    left = calls

    def counted(name: str) -> None:
        whole = getattr(mlflow.MlflowClient, name)

        def inner(*given: object, **options: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                cause = OperationalError("SELECT 1", {}, Exception("database is locked"))
                raise MlflowException("(sqlite3.OperationalError) database is locked\n[SQL: SELECT 1]") from cause
            return whole(*given, **options)

        patch.setattr(mlflow.MlflowClient, name, inner)

    for name in (*READS, *WRITES):
        counted(name)


@pytest.mark.parametrize("verb", ["history", "promote"])
@pytest.mark.parametrize("calls", [1, 3, 7, 12, 18, 24])
def test_it_is_one_line_and_goes_on_next_time(
    verb: str, calls: int, arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = arena.state()
    other = A if before[0] == B else B
    with monkeypatch.context() as patch:
        dying(patch, calls)
        ended = arena.run("history", "--verify", "yes") if verb == "history" else arena.promote(other)
    if verb == "history" and ended.code == 0:  # it asks less often
        assert calls > 3
        return
    assert ended.code == 3, ended.err
    assert "Traceback" not in ended.err
    assert "database is locked" in ended.err.splitlines()[-1]
    with arena.entered():
        assert damage(MODELS.emulator, trail(MODELS.emulator)) == []
    expire(arena)
    if verb == "promote":
        assert arena.promote(other).code == 0
        assert arena.state()[0] == other
        assert arena.locks() == []
        assert arena.run("history", "--verify", "yes").code == 0


def expire(arena: Arena) -> None:
    """This process lives on: the lock that it left is not that of a dead one."""
    for name in arena.locks():
        arena.client.set_registered_model_tag(name, "expires", "1")
