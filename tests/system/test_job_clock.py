"""The time left of a whole job follows from the stages behind it and the share of the one that runs."""

import pytest

from stellar_emulator.system.job_clock import Expected, JobClock, shown


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    time = [100.0]
    monkeypatch.setattr("stellar_emulator.system.job_clock.time.monotonic", lambda: time[0])
    return time


def test_the_time_left_is_that_of_all_stages_at_the_pace_so_far(now: list[float]) -> None:
    clock = JobClock()
    clock.begin("grid")
    clock.expect({"check": Expected(10.0), "chain": Expected(100.0, steps=50), "figures": Expected(40.0)})
    assert clock.left is None
    assert clock.remark == ""
    clock.begin("check")
    now[0] += 20.0
    clock.begin("chain")
    # Twice as slow as expected.
    assert clock.left == pytest.approx(280.0)
    for step in range(25):
        now[0] += 4.0
        clock.advance(step)
    assert clock.left == pytest.approx(180.0)
    assert clock.remark == "whole job 3 min left"
    clock.begin("figures")
    now[0] += 80.0
    clock.end()
    assert clock.seconds == {"grid": 0.0, "check": 20.0, "chain": 100.0, "figures": 80.0}
    assert clock.left == pytest.approx(0.0)


def test_stages_that_an_earlier_job_did_do_not_tell_the_pace(now: list[float]) -> None:
    clock = JobClock()
    clock.expect({"chain": Expected(1000.0), "validator": Expected(100.0, steps=10), "figures": Expected(50.0)})
    clock.begin("chain")
    now[0] += 0.5
    clock.begin("validator")
    assert clock.left is None
    now[0] += 10.0
    clock.advance(0)
    assert clock.left == pytest.approx(140.0)


def test_the_table_has_the_longest_stage_first_and_the_sum(now: list[float]) -> None:
    clock = JobClock()
    for stage, spent in (("check", 25.0), ("chain", 75.0)):
        clock.begin(stage)
        now[0] += spent
    clock.end()
    title, first, second, last = [line.split() for line in clock.table.splitlines()]
    assert title == ["where", "the", "time", "went"]
    assert [first, second, last] == [
        ["chain", "75.0", "s", "75%"],
        ["check", "25.0", "s", "25%"],
        ["all", "100.0", "s"],
    ]


@pytest.mark.parametrize(("seconds", "text"), [(45.4, "45 s"), (360.0, "6 min"), (7500.0, "2 h 05 min")])
def test_times_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert shown(seconds) == text
