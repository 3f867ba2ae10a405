"""Pieces of work side by side on all cores, few at a time, so that memory stays bounded."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from stellar_emulator.system.cores import usable_cores

Given = TypeVar("Given")
Found = TypeVar("Found")

_MOST = 8


def side_by_side(work: Callable[[Given], Found], pieces: Iterator[Given]) -> Iterator[Found]:
    """What ``work`` makes of each piece, in order; twice as many pieces as threads are in memory at most."""
    threads = min(_MOST, usable_cores())
    running: deque[Future[Found]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for piece in pieces:
            running.append(pool.submit(work, piece))
            if len(running) >= 2 * threads:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
