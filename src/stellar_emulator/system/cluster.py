"""Dask's workers: those of a local cluster, which ends with its client, or those of a scheduler that runs anywhere."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from stellar_emulator.errors import SetupError

if TYPE_CHECKING:
    from distributed import Client

DEATHS_ALLOWED = 100
"""Number of workers that may die during one task before the task counts as failed (local workers only)."""


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
            dask.config.set({"distributed.scheduler.allowed-failures": DEATHS_ALLOWED}),
            LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                dashboard_address="127.0.0.1:0",  # any free port: two commands at once have a scheduler each
                memory_limit=None,
                env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
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
