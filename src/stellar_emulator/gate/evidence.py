"""Facts about models and spectra that the caller collects before the gate, and that arrays do not show."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Evidence:
    """Facts that a decision rests on.

    smoke: whether any of the models came from a smoke preset. contract_digests, judge_presets: digest by where it was
    found (each model, each grid; the pinned preset and each judge's); all of one mapping must be equal. leaked_runs:
    gate runs that any of the models saw in training, validation or test. validation_passed: grid validation of the
    training grid and of the gate grid. attempts_before: decisions made on this gate set before this one.
    judge_seeds: one for each of the challenger's judges. departures: what the contract asks less of, or otherwise, than
    the contract of the champion.
    """

    smoke: bool
    contract_digests: Mapping[str, str]
    judge_presets: Mapping[str, str]
    leaked_runs: int
    validation_passed: bool
    attempts_before: int
    judge_seeds: tuple[int, ...]
    departures: tuple[str, ...] = ()
