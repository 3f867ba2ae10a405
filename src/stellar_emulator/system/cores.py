"""How many cores this process may use, and work by all of them."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from stellar_emulator.system.quota import cores_by_quota

Given = TypeVar("Given")
Found = TypeVar("Found")

_MOST = 8


def cores() -> int:
    """Cores that this process may use: on shared machines and in containers fewer than the machine has."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(bound, cores_by_quota())


def side_by_side(work: Callable[[Given], Found], pieces: Iterator[Given]) -> Iterator[Found]:
    """What ``work`` makes of each piece, in order; twice as many pieces as threads are in memory at most."""
    threads = min(_MOST, cores())
    running: deque[Future[Found]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for piece in pieces:
            running.append(pool.submit(work, piece))
            if len(running) >= 2 * threads:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
