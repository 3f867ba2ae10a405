"""Dask's workers: those of a local cluster, which ends with its client, or those of a scheduler that runs anywhere."""

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from stellar_emulator.errors import SetupError, StellarEmulatorError

if TYPE_CHECKING:
    from distributed import Client, Future

T = TypeVar("T")
R = TypeVar("R")

DEATHS_ALLOWED = 100
"""Number of workers that may die during one task before the task counts as failed (local workers only)."""

WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # Dask gives freed memory back to the system at once; arrays of megabytes, made and freed all the time, then cost a
    # fifth of a worker's time in page faults.
    "MALLOC_TRIM_THRESHOLD_": str(256 * 2**20),
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
}
"""Of local workers, when they start: the allocator reads its part but once."""


@contextmanager
def client_of(workers: int | None, scheduler: str | None, connection_seconds: float) -> "Iterator[Client]":
    """Connect to the given scheduler, or to local worker processes of one thread each that end with the client.

    workers: number of local processes, by default one for each core; connection_seconds: to wait for a scheduler, and
    for its first worker.

    Raises
    ------
    SetupError
        If no scheduler answers, or it has no worker.
    """
    import dask
    from distributed import Client, LocalCluster

    logging.getLogger("distributed").setLevel(logging.WARNING)
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # a lost scheduler is told in one line
    if scheduler is None:
        with (
            dask.config.set(
                {
                    "distributed.scheduler.allowed-failures": DEATHS_ALLOWED,
                    "distributed.nanny.pre-spawn-environ": WORKER_ENVIRONMENT,
                }
            ),
            LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                dashboard_address="127.0.0.1:0",  # any free port: two commands at once have a scheduler each
                memory_limit=None,
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client
        return
    try:
        client = Client(scheduler, timeout=connection_seconds)
    except (OSError, ValueError) as error:
        raise SetupError(f"no Dask scheduler answers at {scheduler}: give the address that it printed") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=connection_seconds)
        except TimeoutError as error:
            raise SetupError(
                f"the Dask scheduler at {scheduler} has no worker: start one with `dask worker {scheduler}`"
            ) from error
        yield client


@dataclass(frozen=True)
class Work(Generic[T, R]):
    """Pieces of work for workers.

    function: computes one piece; called: names a piece in messages; what: word for all of them; ahead: pieces submitted
    in advance for each thread, enough that none waits for the command.
    """

    function: Callable[[T], R]
    called: Callable[[T], str]
    what: str
    ahead: int

    @property
    def kept(self) -> str:
        return f"finished {self.what} are kept, start again to go on"


def computed(client: "Client", work: Work[T, R], todo: Iterable[T]) -> Iterator[tuple[T, R]]:
    """Compute pieces, a few at a time for each thread, and yield them with their results as they finish.

    Raises
    ------
    SetupError
        If the scheduler is lost, a piece kills its workers, or they can't compute it.
    """
    from distributed import as_completed

    waiting, completed = iter(todo), as_completed()
    running: dict[Any, T] = {}

    def refill() -> None:
        try:
            threads = max(1, sum(client.nthreads().values()))
        except OSError as error:
            raise _lost(work) from error
        for piece in itertools.islice(waiting, max(0, work.ahead * threads - len(running))):
            future = client.submit(work.function, piece, pure=False)
            running[future.key] = piece
            completed.add(future)

    refill()
    for batch in completed.batches():
        for future in batch:
            piece = running.pop(future.key)
            yield piece, _result(future, work, piece)
        refill()


def _lost(work: Work[T, R]) -> SetupError:
    return SetupError(f"the Dask scheduler was lost; {work.kept}")


def _result(future: "Future[R]", work: Work[T, R], piece: T) -> R:
    from distributed.client import FutureCancelledError
    from distributed.scheduler import KilledWorker

    try:
        found = future.result()
    except StellarEmulatorError:
        raise
    except FutureCancelledError as error:
        raise _lost(work) from error
    except KilledWorker as error:
        raise SetupError(
            f"{work.called(piece)} was given up after {error.allowed_failures + 1} workers died computing it "
            f"(memory?); {work.kept}"
        ) from error
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise SetupError(
            f"a Dask worker could not compute {work.called(piece)} ({reason}): each worker needs this version of "
            f"stellar-emulator; {work.kept}"
        ) from error
    return found
