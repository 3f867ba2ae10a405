"""How many steps a peer is given."""

import pytest
from benchmarks.toolkit import steps_in


def test_steps_fill_the_time_with_compiling_and_with_the_slow_step_of_each_ten() -> None:
    # Compiling takes 5 s, a step 0.1 s, one step of ten 1.1 s.
    ended, now = [5.0, 5.1], 5.1
    for step in range(25):
        now += 1.1 if step % 10 == 9 else 0.1
        ended.append(now)
    assert steps_in(105.1, ended) == 2 + 500


@pytest.mark.parametrize("seconds", [0.0, 6.0])
def test_some_steps_are_taken_however_slow_they_are(seconds: float) -> None:
    assert steps_in(seconds, [5.0 + 2.0 * step for step in range(12)]) == 10
