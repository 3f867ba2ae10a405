"""Gate runs that did not exist before: the gate's own sequence goes on, first where it left cells of the box empty."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import InputError
from stellar_emulator.gate.coverage import coverage
from stellar_emulator.grid import sampling
from stellar_emulator.grid.departures.departures import depart
from stellar_emulator.grid.engines.base import Engine
from stellar_emulator.grid.engines.journal import FailedRun
from stellar_emulator.grid.engines.runs import compute_runs
from stellar_emulator.grid.engines.synspec.engine import synspec_for
from stellar_emulator.grid.expand import expanded
from stellar_emulator.grid.known_runs import unique_run_labels
from stellar_emulator.grid.shards import stacked
from stellar_emulator.grid.store import Grid, Rows
from stellar_emulator.system.say import say

SEARCHED = 4096
"""Runs of the sequence among which those in empty cells are sought; each attempt on a gate set takes the next ones."""


def fresh_runs(contract: Contract, gate: Grid, attempts: int, count: int, engine: Engine | None = None) -> Rows:
    """Compute ``count`` further runs of the gate's sequence, and broaden them as the gate set's are.

    Which runs follows from the contract, the gate set and the number of ``attempts`` before: nobody chooses.

    Raises
    ------
    InputError
        If the gate set is not of the contract's gate sequence, the engine can't serve the contract, or no run succeeds.
    SetupError
        If the engine is not at hand.
    """
    first = _sequence_length(contract, gate) + attempts * SEARCHED
    engine = engine or synspec_for(contract)
    numbers = chosen(contract, unique_run_labels(gate, contract), first, count)
    seed = contract.sampling.gate_seed
    labels = sampling.run_labels(contract, seed, first, SEARCHED)[numbers - first]
    say(f"computing {count} fresh runs of the gate's sequence with {engine.name}, {numbers[0]} to {numbers[-1]}")
    outcomes = compute_runs(engine, contract, labels)
    good = [place for place, outcome in enumerate(outcomes) if not isinstance(outcome, FailedRun)]
    for place, outcome in enumerate(outcomes):
        if isinstance(outcome, FailedRun):
            say(f"fresh run {numbers[place]} failed and is left out: {outcome.reason}")
    if not good:
        raise InputError(f"none of the {count} fresh runs succeeded: {outcomes[0].reason}")  # type: ignore[union-attr]
    spectra = [outcome for outcome in outcomes if not isinstance(outcome, FailedRun)]
    runs = stacked(numbers[good].tolist(), labels[good], spectra)
    depart(contract, runs.labels, runs.flux)
    return joined(list(expanded(contract, runs, seed, contract.sampling.realisations)))


def chosen(contract: Contract, own: NDArray[np.float64], first: int, count: int) -> NDArray[np.intp]:
    """Numbers of ``count`` runs from ``first`` on: those in cells that the gate's ``own`` runs left empty, then others.

    own: run labels (runs, run labels). Raises `InputError` for more runs than `SEARCHED`.
    """
    if count > SEARCHED:
        raise InputError(f"fresh_runs: at most {SEARCHED} at once, got {count}; the gate set itself has fewer")
    inside = coverage(contract, own).holds(
        contract, sampling.run_labels(contract, contract.sampling.gate_seed, first, SEARCHED)
    )
    order = np.argsort(~inside, kind="stable")
    return first + np.sort(order[:count])


def joined(parts: Sequence[Rows]) -> Rows:
    """Spectra of several batches as one."""
    names = ("run_id", "labels", "weight", "flux")
    return Rows(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _sequence_length(contract: Contract, gate: Grid) -> int:
    """Number of the first run beyond a gate set. Raises `InputError` if its runs are not those of the sequence."""
    last = int(gate.run_id.max())
    wanted = sampling.run_labels(contract, contract.sampling.gate_seed, 0, last + 1)[gate.run_id]
    own = gate.labels[:, contract.columns(contract.run_labels)]
    if gate.run_id.min() < 0 or not np.allclose(own, wanted, 1e-6, 1e-6):
        raise InputError(
            f"fresh_runs: {gate.path} holds other runs than the sequence of gate_seed {contract.sampling.gate_seed}, "
            "so nothing follows on them: leave fresh_runs out, or compute a gate set with that seed"
        )
    return last + 1
