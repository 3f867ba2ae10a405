"""Runs of an engine in parallel: a label sequence becomes shards of intrinsic spectra, and survives kills.

Each finished run goes into a journal at once, and from there, a shard at a time, into Parquet. Workers are Dask's, on
this machine or on any cluster: they receive labels, return a spectrum and never access the folder.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.hull import drawn_within
from stellar_emulator.errors import InputError, SetupError
from stellar_emulator.grid import sampling, shards
from stellar_emulator.grid.engines.base import Engine, RunFailedError, require_served, synthesised
from stellar_emulator.grid.engines.intrinsic import IntrinsicSpectrum
from stellar_emulator.grid.engines.journal import FailedRun, Journal
from stellar_emulator.grid.engines.synspec.engine import SYNSPEC, synspec_for
from stellar_emulator.system.cluster import Work, client_of, computed
from stellar_emulator.system.lock import locked, make_folder
from stellar_emulator.version import VERSION

if TYPE_CHECKING:
    from distributed import Client

TASKS_PER_THREAD = 3
"""Runs submitted in advance for each worker thread: enough that none waits for the journal."""

CONNECTION_SECONDS = 60
"""Seconds to wait for a scheduler, and for its first worker."""

Task = tuple[int, NDArray[np.float64]]
"""Number and labels of a run, (run labels,)."""


@dataclass(frozen=True)
class Synthesis:
    """The result of a call of `synthesize_runs`.

    runs: runs 0 to runs - 1 of the sequence are in shards, except the failed ones; computed: computations of this
    call, failed ones included; failed: every failed run of the folder, by run number.
    """

    folder: Path
    runs: int
    computed: int
    failed: dict[int, FailedRun]

    @property
    def summary(self) -> str:
        """A summary of one line, and one more line for each failed run."""
        head = f"{self.folder}: {self.runs} runs, {self.computed} of them computed now, {len(self.failed)} failed"
        return "\n".join([head, *(f"  run {n} {run.labels}: {run.reason}" for n, run in self.failed.items())])


def synthesize_runs(
    contract: Contract,
    seed: int,
    runs: int,
    folder: Path,
    workers: int | None = None,
    scheduler: str | None = None,
    command: str = "",
    engine: Engine | None = None,
) -> Synthesis:
    """Compute runs 0 to ``runs - 1`` of the sequence ``seed`` and pack them into shards in ``folder``.

    The content of ``folder`` is kept: a killed call resumes where it stopped, a larger ``runs`` extends the grid (full
    shards do not change), and a smaller one computes nothing. A failed run is recorded and not repeated, and the others
    continue. Call it under ``if __name__ == "__main__":``, since local workers are processes that import the caller.

    Parameters
    ----------
    contract
        States run labels and intrinsic axis.
    seed
        Seed of the label sequence: ``contract.sampling.seed`` or ``contract.sampling.gate_seed``.
    runs
        Length of the sequence, 1 or more.
    folder
        It is made if it is missing. While it is being filled it also contains ``journal/``, with a file of 40 kB for
        each run that is not in a shard yet.
    workers
        Local worker processes of one thread each; by default one for each core. Unused with ``scheduler``.
    scheduler
        Address of a running Dask scheduler, such as ``tcp://10.0.0.1:8786``. Its workers need this package, gfortran
        and the package index (or a filled ``$STELLAR_EMULATOR_CACHE``), but no shared disk; they may come and go.
    command
        The user's command, for the provenance.
    engine
        Computes the runs; by default SYNSPEC, with the line data that the contract names.

    Raises
    ------
    InputError
        If an argument is out of bounds, the engine can't serve the contract, or the folder is in use, holds runs of
        another sequence or engine, or is damaged.
    SetupError
        If gfortran or a part is missing, the scheduler can't be reached or lost, or its workers can't compute.
    """
    engine = engine or synspec_for(contract)
    axis = require_served(engine, contract)
    for name, value in (("runs", runs), ("workers", workers)):
        if value is not None and value < 1:
            raise InputError(f"{name} must be 1 or more, got {value}")
    make_folder(folder)
    with locked(folder):
        grid = _Folder(contract, seed, folder, engine)
        todo = grid.begin(runs, command)
        if todo:
            engine.install(axis)
            labels = sampling.run_labels(contract, seed, 0, runs)
            progress = tqdm(total=runs, initial=runs - len(todo), unit="run", desc=engine.name, mininterval=1.0)
            with client_of(workers, scheduler, CONNECTION_SECONDS) as client, progress:
                for (number, own), outcome in _computed(client, engine, contract, [(n, labels[n]) for n in todo]):
                    grid.record(number, own, outcome)
                    progress.update()
        grid.end()
        return Synthesis(folder, grid.runs, len(todo), grid.failed())


class _Folder:
    """A folder of shards, with the journal of the runs that are in none yet: call `begin`, `record` for each run,
    `end`.

    Whatever is killed at any time, each finished run is in the journal until both a shard and the provenance include
    it.
    """

    def __init__(self, contract: Contract, seed: int, folder: Path, engine: Engine) -> None:
        self.contract, self.seed, self.folder, self.engine = contract, seed, folder, engine
        self.journal = Journal(folder / "journal")
        self.provenance = _opened_provenance(contract, seed, folder, engine)
        self.journal.folder.mkdir(exist_ok=True)
        self.target = 0
        self.unfinished: set[int] = set()

    @property
    def runs(self) -> int:
        """Runs 0 to runs - 1 are in shards, or have failed."""
        return int(self.provenance["runs"])

    def failed(self) -> dict[int, FailedRun]:
        """Failed runs among the packed ones."""
        return {int(n): FailedRun(tuple(run["labels"]), run["reason"]) for n, run in self.provenance["failed"].items()}

    def begin(self, runs: int, command: str) -> list[int]:
        """Prepare for an extension to ``runs``; return the runs to compute, in order."""
        self.journal.remove_partials()
        self.target = max(runs, self.runs)
        if self.target == self.runs:
            return []
        self._reopen_partial_shard()
        self.unfinished = set(range(self._open_from(), runs)) - self.journal.finished() - set(self.journal.failed())
        self.provenance["syntheses"].append(_this_synthesis(self.engine, self.runs, runs, command))
        shards.write_provenance(self.folder, self.provenance)
        self._pack_whole_shards()
        return sorted(self.unfinished)

    def record(self, number: int, labels: NDArray[np.float64], outcome: IntrinsicSpectrum | FailedRun) -> None:
        """Write one computed run to the journal, and its shard to Parquet if no other run of the shard is missing."""
        if isinstance(outcome, FailedRun):
            self.journal.record_failure(number, outcome)
        else:
            self.journal.record(number, labels, outcome)
        self.unfinished.discard(number)
        self._pack_whole_shards()

    def end(self) -> None:
        """Pack the remaining runs into a partial shard, and remove all runs that are in shards from the journal."""
        if self.runs < self.target:
            self._pack(self._open_from(), self.target)
        for number in self.journal.finished() | set(self.journal.failed()):
            if number < self.runs:
                self.journal.remove(number)
        if not any(self.journal.folder.iterdir()):
            self.journal.folder.rmdir()

    def _open_from(self) -> int:
        """First run of the first shard that isn't full."""
        return self.runs - self.runs % shards.SHARD_RUNS

    def _reopen_partial_shard(self) -> None:
        """Put the runs of the last, partial shard back into the journal (none if a killed call has already done so)."""
        failed = {n: run for n, run in self.failed().items() if n >= self._open_from()}
        for number, run in failed.items():
            self.journal.record_failure(number, run)
        if set(range(self._open_from(), self.runs)) <= self.journal.finished() | set(failed):
            return
        path = self.folder / shards.shard_name(self._open_from() // shards.SHARD_RUNS)
        shards.check_digest(path, self.provenance)
        shard = shards.read_shard(path, self.contract)
        for row, number in enumerate(shard.run_id):
            self.journal.record(int(number), shard.labels[row], shard.spectrum(row))

    def _pack_whole_shards(self) -> None:
        size = shards.SHARD_RUNS
        while (first := self._open_from()) + size <= self.target and self.unfinished.isdisjoint(
            range(first, first + size)
        ):
            self._pack(first, first + size)

    def _pack(self, first: int, stop: int) -> None:
        """Move runs ``first`` to ``stop - 1`` from the journal into one shard, then record that in the provenance."""
        failed = {number: run for number, run in self.journal.failed().items() if first <= number < stop}
        if len(failed) == stop - first:
            raise SetupError(
                f"all runs from {first} to {stop - 1} failed ({failed[first].reason}): mend the cause, delete "
                f"{self.journal.folder} and start again"
            )
        numbers = [number for number in range(first, stop) if number not in failed]
        name = shards.shard_name(first // shards.SHARD_RUNS)
        digest = shards.write_shard(self.folder / name, self.contract, self.seed, self._rows(numbers))
        self.provenance["shards"][name] = digest
        self.provenance["failed"].update({str(number): asdict(run) for number, run in failed.items()})
        self.provenance["runs"] = stop
        shards.write_provenance(self.folder, self.provenance)
        for number in range(first, stop):
            self.journal.remove(number)

    def _rows(self, numbers: list[int]) -> shards.IntrinsicGrid:
        labels = sampling.run_labels(self.contract, self.seed, 0, numbers[-1] + 1)[numbers]
        entries = [self.journal.read(number) for number in numbers]
        for number, expected, (found, _) in zip(numbers, labels, entries, strict=True):
            if not np.array_equal(expected, found):
                raise InputError(
                    f"run {number} in {self.journal.folder} has labels {found.tolist()}, but seed {self.seed} gives "
                    f"{expected.tolist()}: it belongs to another sequence, use another folder"
                )
        return shards.stacked(numbers, labels, [spectrum for _, spectrum in entries])


def _opened_provenance(contract: Contract, seed: int, folder: Path, engine: Engine) -> dict[str, Any]:
    """Read the folder's provenance, or make one for an empty grid; refuse a folder with other content."""
    inputs = _inputs(contract, seed, engine)
    if not (folder / shards.PROVENANCE).exists() and not shards.shard_digests(folder):
        empty = {"runs": 0, "failed": {}, "shards": {}, "syntheses": [], "known_limits": list(engine.known_limits)}
        return {"contract": contract.name, "engine": engine.name, **inputs, **empty}
    provenance = {"engine": SYNSPEC.name, **shards.read_provenance(folder)}
    inputs["engine"] = engine.name
    for name, expected in inputs.items():
        if provenance.get(name) != expected:
            raise InputError(
                f"{folder} holds a grid with {name} {provenance.get(name)}, now asked for is {expected}: "
                "use another folder"
            )
    return provenance


def _inputs(contract: Contract, seed: int, engine: Engine) -> dict[str, Any]:
    """All inputs that determine a run's spectrum besides its number: they must not change within a folder."""
    axis = require_served(engine, contract)
    within = drawn_within(contract) and contract.hull
    return {
        "seed": seed,
        "run_labels": [
            label.model_dump(include={"name", "unit", "lower", "upper", "median"}) for label in contract.run_labels
        ],
        **({"drawn_within": within.model_dump(mode="json", include={"labels", "corners"})} if within else {}),
        "intrinsic_axis": axis.model_dump(),
        "wavelength": {"unit": contract.wavelength.unit, "medium": contract.wavelength.medium},
        **engine.provenance(),
    }


def _this_synthesis(engine: Engine, first: int, runs: int, command: str) -> dict[str, Any]:
    """Provenance of one call: who extended the grid from ``first`` runs to ``runs``, when and with what."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "package_version": VERSION,
        **engine.machine(),
        "from_runs": first,
        "to_runs": runs,
    }


def compute_run(engine: Engine, contract: Contract, labels: NDArray[np.float64]) -> IntrinsicSpectrum | FailedRun:
    """Compute one run on a worker; ``labels`` are its run labels, shape (run labels,).

    Raises
    ------
    SetupError
        If the worker's machine lacks a part of the engine.
    """
    try:
        return synthesised(engine, contract, labels)
    except (RunFailedError, ValueError) as error:  # ValueError: an output that is no table of numbers
        return FailedRun(tuple(labels.tolist()), " ".join(str(error).split()))


def compute_runs(
    engine: Engine, contract: Contract, labels: NDArray[np.float64], workers: int | None = None
) -> list[IntrinsicSpectrum | FailedRun]:
    """Compute runs of some labels (runs, run labels) on this machine's cores, in order, and keep nothing on disk.

    Raises
    ------
    InputError
        If the engine can't serve the contract.
    SetupError
        If gfortran or a part is missing.
    """
    engine.install(require_served(engine, contract))
    with client_of(workers, None, CONNECTION_SECONDS) as client:
        found = {number: outcome for (number, _), outcome in _computed(client, engine, contract, enumerate(labels))}
    return [found[number] for number in range(len(labels))]


def _computed(
    client: "Client", engine: Engine, contract: Contract, todo: Iterable[Task]
) -> Iterator[tuple[Task, IntrinsicSpectrum | FailedRun]]:
    """Compute runs on workers; yield them as they finish."""
    function = partial(_computed_task, engine, contract)
    return computed(client, Work(function, lambda task: f"run {task[0]}", "runs", TASKS_PER_THREAD), todo)


def _computed_task(engine: Engine, contract: Contract, task: Task) -> IntrinsicSpectrum | FailedRun:
    return compute_run(engine, contract, task[1])
