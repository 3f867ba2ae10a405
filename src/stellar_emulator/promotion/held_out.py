"""Measures a pair whose contract has no gate on its own grid, at runs that a training did not see."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import InputError
from stellar_emulator.evaluation.evaluation import Model
from stellar_emulator.gate.decision import Criterion, Decision
from stellar_emulator.gate.fresh_labels import fresh_seed
from stellar_emulator.gate.without_gate import Errors, Facts, HeldOut, decide_without_gate
from stellar_emulator.grid.source import Source
from stellar_emulator.grid.split import split_rows
from stellar_emulator.grid.store import Grid, run_hashes
from stellar_emulator.networks.preset import AnyPreset, parse_preset
from stellar_emulator.promotion.candidates import RegisteredPair
from stellar_emulator.promotion.gather_evidence import origin
from stellar_emulator.system.say import say
from stellar_emulator.training.baseline import interpolated
from stellar_emulator.training.cross_validation import (
    FEW_RUNS,
    CrossValidated,
    cross_validate,
    inner_runs,
    rows_measured,
)
from stellar_emulator.training.fit_network import Report
from stellar_emulator.training.train_emulator import train_emulator

MOST_RUNS = 512
"""Runs of a test part that are measured at most, drawn by the contract's gate seed."""

DRAWN, AT_ONCE = 4096, 256
"""Labels between the runs, and how many of their spectra are made at a time."""

ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class Judged:
    """The pair that is judged and what it is judged on. before: decisions without a gate so far; departures: of the
    contract from the champion's."""

    contract: Contract
    source: Source
    challenger: RegisteredPair
    champion: RegisteredPair | None
    departures: Sequence[str]
    before: int


def decide_by_held_out(judged: Judged, extra: Sequence[Criterion]) -> Decision:
    """Decide on a pair without a gate; ``extra``: the criteria of "serves".

    Raises
    ------
    InputError
        If the pair's training can't be repeated, since its preset is none.
    """
    contract, challenger, grid = judged.contract, judged.challenger, judged.source.grid
    hashes = run_hashes(grid, contract)
    few = contract.sampling.on_nodes and len(np.unique(hashes)) < FEW_RUNS and not _lent(challenger)
    found = _by_folds(judged, hashes) if few else _by_test_part(judged, hashes)
    told = origin(contract, challenger)
    facts = Facts(
        smoke=told.smoke,
        contract_digests=told.contract_digests,
        validation_passed=told.validation_passed,
        trained_on={model.metadata["grid_digest"] for model in challenger.models.values()} == {grid.digest},
        departures=tuple(judged.departures),
        attempts_before=judged.before,
    )
    return decide_without_gate(found, facts, contract.sampling.gate_seed, extra)


def _lent(pair: RegisteredPair) -> bool:
    """Whether the emulator's networks come from another one, so that no training on this grid makes them."""
    return "networks_of" in pair.emulator.metadata


def _by_folds(judged: Judged, hashes: NDArray[np.str_]) -> HeldOut:
    """By cross-validation over runs: the pair's training, and the champion's, are repeated without each fold."""
    grid, challenger = judged.source.grid, judged.challenger
    say("the contract has no gate: repeating the emulator's training without each fold of the runs")
    found = _folds(judged, challenger, hashes)
    computed = _Computed(grid, found.rows)
    emulator = computed.errors(found.generated)
    champion = None
    if judged.champion is not None:
        same = _training(judged.champion) == _training(challenger)
        champion = emulator if same else computed.errors(_folds(judged, judged.champion, hashes).generated)
    repeated = _repeated(judged, hashes)(grid.labels[found.rows])
    apart = np.abs(challenger.emulator.network(grid.labels[found.rows]) - repeated).mean()
    return HeldOut(
        basis=f"{found.folds}-fold cross-validation over {found.runs} runs",
        run=np.unique(hashes[found.rows], return_inverse=True)[1].ravel(),
        inner=found.inner,
        emulator=emulator,
        baseline=None if found.reference is None else computed.errors(found.reference),
        champion=champion,
        registered=float(apart / max(emulator.mae.mean(), np.finfo(np.float64).tiny)),
        outside=_outside(judged),
    )


def _folds(judged: Judged, pair: RegisteredPair, hashes: NDArray[np.str_]) -> CrossValidated:
    preset, seed = _how(pair)
    source, contract = judged.source, judged.contract
    with tempfile.TemporaryDirectory() as scratch:
        return cross_validate(
            source.grid, source.intrinsic, hashes, contract, preset, seed, Path(scratch), _unreported, judged=False
        )


def _repeated(judged: Judged, hashes: NDArray[np.str_]) -> Model:
    """The emulator that the challenger's training makes of this grid."""
    preset, seed = _how(judged.challenger)
    source, contract = judged.source, judged.contract
    split = split_rows(contract, hashes)
    with tempfile.TemporaryDirectory() as scratch:
        made = train_emulator(source.grid, source.intrinsic, split, contract, preset, seed, Path(scratch), _unreported)
    return made.network


def _how(pair: RegisteredPair) -> tuple[AnyPreset, int]:
    """Preset and seed of a pair's training. Raises `InputError` if they are none."""
    metadata = pair.emulator.metadata
    try:
        return parse_preset(metadata["preset"]), int(metadata["seed"])
    except (ValidationError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"emulator {pair.pair.emulator} says no preset and seed to train it by: train anew") from error


def _unreported(stage: str) -> Report:
    return lambda epoch, values: None


def _training(pair: RegisteredPair) -> tuple[object, object]:
    return pair.emulator.metadata["preset"], pair.emulator.metadata["seed"]


def _by_test_part(judged: Judged, hashes: NDArray[np.str_]) -> HeldOut:
    """By the runs that neither the registered emulator nor the champion was fitted to."""
    contract, source, challenger = judged.contract, judged.source, judged.challenger
    unseen = np.isin(_short(challenger, hashes), challenger.emulator.metadata["test_runs"])
    known = np.flatnonzero(~unseen)
    if judged.champion is not None:
        unseen &= ~np.isin(_short(judged.champion, hashes), judged.champion.emulator.metadata["seen_runs"])
    rows, run = _drawn(source.grid, hashes, np.flatnonzero(unseen), contract.sampling.gate_seed)
    if not len(rows):
        raise InputError("the grid holds no run that the pair was not trained on: give the grid that `train` was given")
    labels, computed = source.grid.labels[rows], _Computed(source.grid, rows)
    champion = judged.champion
    reference = interpolated(source.grid, source.intrinsic, known, contract, labels)
    return HeldOut(
        basis=f"{run.max() + 1} runs of the test part",
        run=run,
        inner=inner_runs(contract, source.grid.labels)[rows]
        if contract.sampling.on_nodes
        else np.zeros(len(rows), bool),
        emulator=computed.by(challenger.emulator.network),
        baseline=None if reference is None else computed.errors(reference),
        champion=None if champion is None else computed.by(champion.emulator.network),
        registered=None,
        outside=_outside(judged),
    )


def _drawn(
    grid: Grid, hashes: NDArray[np.str_], rows: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Of some rows those of `MOST_RUNS` runs at most, as many of each as are measured; and the number of each's run."""
    if not len(rows):
        return rows, np.empty(0, np.intp)
    unique, run = np.unique(hashes[rows], return_inverse=True)
    kept = np.random.default_rng(seed).permutation(len(unique))[:MOST_RUNS]
    inside = np.isin(run.ravel(), kept)
    _, run = np.unique(run.ravel()[inside], return_inverse=True)
    measured = rows_measured(grid.pixels, run)
    return rows[inside][measured], run[measured]


def _short(pair: RegisteredPair, hashes: NDArray[np.str_]) -> NDArray[np.str_]:
    """Hashes of runs, cut to as many digits as the emulator notes of its own."""
    digits = max((len(value) for value in pair.emulator.metadata["test_runs"]), default=1)
    return hashes.astype(f"<U{digits}")


@dataclass(frozen=True)
class _Computed:
    """The computed spectra in some rows of a grid, read a few at a time."""

    grid: Grid
    rows: NDArray[np.int64]

    def errors(self, made: NDArray[np.floating]) -> Errors:
        """Of spectra (rows, pixels) that stand for these."""
        return self._of([made[first : first + ROWS_AT_ONCE] for first in range(0, len(self.rows), ROWS_AT_ONCE)])

    def by(self, model: Model) -> Errors:
        """Of a model at their labels."""
        parts = range(0, len(self.rows), ROWS_AT_ONCE)
        return self._of([model(self.grid.labels[self.rows[first : first + ROWS_AT_ONCE]]) for first in parts])

    def _of(self, made: Sequence[NDArray[np.floating]]) -> Errors:
        mae, square = [], []
        for number, part in enumerate(made):
            rows = self.rows[number * ROWS_AT_ONCE : number * ROWS_AT_ONCE + len(part)]
            error = np.asarray(part, dtype=np.float64) - self.grid.take(rows)
            mae.append(np.abs(error).mean(axis=1))
            square.append(np.square(error).mean(axis=1))
        return Errors(np.concatenate(mae), np.concatenate(square))


def _outside(judged: Judged) -> float:
    """Share of spectra at labels between the runs that are no flux, or none that the contract allows.

    Labels of the run are means of some runs' by random weights, so that all lie within their hull; a seed that follows
    from the models draws them.
    """
    contract, challenger = judged.contract, judged.challenger
    random = np.random.default_rng(fresh_seed(model.digest for model in challenger.models.values()))
    own = contract.columns(contract.run_labels)
    runs = np.unique(judged.source.grid.labels[:, own], axis=0)
    labels = contract.lower + random.random((DRAWN, len(contract.labels))) * (contract.upper - contract.lower)
    weights = random.dirichlet(np.ones(len(own) + 1), DRAWN)
    labels[:, own] = np.einsum("nk,nkl->nl", weights, runs[random.integers(len(runs), size=weights.shape)])
    bad = 0
    for first in range(0, DRAWN, AT_ONCE):
        flux = challenger.emulator.network(labels[first : first + AT_ONCE])
        # Written so that NaN counts.
        good = (flux >= contract.flux.lower) & (flux <= contract.flux.upper)
        bad += int((~good.all(axis=1)).sum())
    return bad / DRAWN
