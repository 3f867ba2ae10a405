"""The lock of promotions on a real store: one holder at a time, whoever dies, and however many come at once."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from fresh_store import fresh_store

from stellar_emulator.errors import SetupError
from stellar_emulator.promotion import lease as module
from stellar_emulator.promotion.lease import lease
from stellar_emulator.registry import tracking

LOCK = "model-lock-1"


@pytest.fixture(scope="module", autouse=True)
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    mlflow.set_tracking_uri(fresh_store(tmp_path_factory.mktemp("store")))
    tracking.connect()
    yield
    mlflow.set_tracking_uri("")


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    yield
    for name in locks():
        mlflow.MlflowClient().delete_registered_model(name)


def locks() -> list[str]:
    return sorted(found.name for found in mlflow.MlflowClient().search_registered_models())


def left_behind(**changed: str) -> None:
    """A lock as somebody on another machine holds it, or as changed."""
    tags = {
        "token": "theirs",
        "holder": "far-away",
        "machine": "far-away:1:2",
        "pid": "12",
        "since": "2030-01-01T00:00:00Z",
        "expires": str(time.time() + 100),
    }
    mlflow.MlflowClient().create_registered_model(LOCK, tags={**tags, **changed})


def dead_pid() -> str:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return str(child.pid)


def test_it_is_held_inside_and_gone_after_success_and_failure() -> None:
    with lease("model") as held:
        assert locks() == [held.name] == [LOCK]
        held.require()
    assert locks() == []
    with pytest.raises(ZeroDivisionError), lease("model"):
        1 / 0  # noqa: B018
    assert locks() == []


def test_the_loser_is_told_who_holds_it() -> None:
    left_behind()
    with pytest.raises(SetupError) as refused, lease("model"):
        pass
    assert "far-away is promoting or rolling back model (process 12, since 2030" in str(refused.value)
    assert refused.value.exit_code == 3
    assert locks() == [LOCK]
    with lease("another"):
        assert locks() == ["another-lock-1", LOCK]


@pytest.mark.parametrize("dead", [{"expires": "1"}, {"pid": "dead", "machine": "here"}], ids=["expired", "killed"])
def test_a_dead_holders_lock_is_taken_over_under_the_next_number(dead: dict[str, str]) -> None:
    meaning = {"dead": dead_pid(), "here": module._machine()}
    left_behind(**{name: meaning.get(value, value) for name, value in dead.items()})
    with lease("model") as held:
        assert held.name == "model-lock-2"
        assert locks() == [held.name]
    assert locks() == []


def test_a_dead_process_number_of_another_machine_says_nothing() -> None:
    left_behind(pid=dead_pid())
    with pytest.raises(SetupError, match="far-away"), lease("model"):
        pass


def test_a_holder_that_slept_too_long_learns_that_its_lock_is_lost() -> None:
    with lease("model") as slept:
        mlflow.MlflowClient().set_registered_model_tag(slept.name, "expires", "1")
        with pytest.raises(SetupError, match="was lost"):
            slept.require()
        with lease("model") as taken:
            slept.renew()
            with pytest.raises(SetupError, match="was lost"):
                slept.require()
            taken.require()
            slept.release()
            assert locks() == [taken.name]


def test_a_holder_renews_its_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEASE_SECONDS", 1.0)
    with lease("model") as held:
        client, first = mlflow.MlflowClient(), None
        for _ in range(100):
            expires = client.get_registered_model(held.name).tags["expires"]
            first = first or expires
            if expires != first:
                break
            time.sleep(0.1)
        assert float(expires) > float(first)


@pytest.mark.parametrize("before", ["nothing", "a dead holder"])
def test_of_many_at_once_never_two_hold_it(before: str) -> None:
    if before != "nothing":
        left_behind(expires="1")
    inside, most, won, told = 0, 0, 0, []
    guard, start = threading.Lock(), threading.Barrier(6)

    def contend() -> None:
        nonlocal inside, most, won
        start.wait()
        try:
            with lease("model"):
                with guard:
                    inside, won = inside + 1, won + 1
                    most = max(most, inside)
                time.sleep(0.3)
                with guard:
                    inside -= 1
        except SetupError as error:
            told.append(str(error))

    threads = [threading.Thread(target=contend) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert won >= 1
    assert won + len(told) == 6
    assert locks() == []
    assert all("wait for it" in line or "give the command again" in line for line in told)


def test_other_models_of_a_like_name_are_no_locks(tmp_path: Path) -> None:
    mlflow.MlflowClient().create_registered_model("model-lock-keeper")
    with lease("model") as held:
        assert locks() == [held.name, "model-lock-keeper"]
    assert locks() == ["model-lock-keeper"]


@pytest.mark.parametrize(
    "tags", [{}, {"expires": "soon"}, {"expires": "inf", "pid": "1"}, {"expires": "nan", "pid": "1"}, {"pid": "x"}]
)
def test_a_lock_that_no_promotion_wrote_blocks_nobody(tags: dict[str, str]) -> None:
    mlflow.MlflowClient().create_registered_model(LOCK, tags=tags)
    with lease("model"):
        assert LOCK not in locks()
