"""Section "evidence": whether the decision rests on enough spectra, and on ones that the models never saw."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.gate_limits import GateLimits
from stellar_emulator.gate.decision import Criterion
from stellar_emulator.gate.evidence import Evidence
from stellar_emulator.gate.measured_spectra import Measured

SECTION = "evidence"

APART = 0.01
"""Of the RMSE: judges of one architecture and different seeds differ by about as much as they err."""


def evidence_criteria(limits: GateLimits, measured: Measured, evidence: Evidence) -> list[Criterion]:
    """Ask for enough runs, spectra and judges, one contract, one preset, nothing leaked, valid grids, no smoke."""
    spectra = len(measured.run)
    attempts = f"attempt {evidence.attempts_before + 1} on this gate set"
    return [
        at_least("runs", measured.runs, limits.runs, attempts),
        at_least("spectra", spectra, limits.spectra),
        _judges(limits, measured, evidence),
        one_digest("contracts", evidence.contract_digests),
        one_digest("presets of the judges", evidence.judge_presets),
        Criterion(SECTION, "gate runs that a model saw", evidence.leaked_runs, 0, evidence.leaked_runs == 0, rule="=="),
        departed(evidence.departures),
        yes("grid validation passed", evidence.validation_passed),
        yes("not smoke-trained", not evidence.smoke),
    ]


def _judges(limits: GateLimits, measured: Measured, evidence: Evidence) -> Criterion:
    """Judges count by their seeds and by what they answer: the same weights under another name are one judge."""
    apart = judges_apart(measured.test)
    note = "" if apart == len(measured.test) else f"{len(measured.test)} judges, {apart} that answer differently"
    return at_least("judges of different seeds", min(apart, len(set(evidence.judge_seeds))), limits.judges, note)


def judges_apart(test: NDArray[np.float64]) -> int:
    """Judges whose errors (judges, n, labels) differ from those of all before by `APART` of their RMSE."""
    kept: list[NDArray[np.float64]] = []
    for errors in test:
        scale = APART * np.sqrt((errors**2).mean(axis=0))
        # Written so that NaN, which a broken judge answers, counts as different and is refused for its skill.
        if all(not (np.sqrt(((errors - other) ** 2).mean(axis=0)) < scale).all() for other in kept):
            kept.append(errors)
    return len(kept)


def _named(departures: tuple[str, ...]) -> str:
    if not departures:
        return ""
    return f"{'; '.join(departures)}: another contract wants names of its own for its models"


def departed(fields: tuple[str, ...]) -> Criterion:
    """Ask that the contract be the champion's; ``fields``: those in which it isn't."""
    name = "fields in which the contract is not the champion's"
    return Criterion(SECTION, name, len(fields), 0, not fields, note=_named(fields), rule="==")


def at_least(name: str, figure: int, bound: int, note: str = "") -> Criterion:
    """Ask for so many of something."""
    return Criterion(SECTION, name, figure, bound, figure >= bound, note=note, rule=">=")


def one_digest(what: str, digests: Mapping[str, str]) -> Criterion:
    """Ask that digests of several places, by the place's name, be one."""
    different = len(set(digests.values()))
    note = "" if different == 1 else ", ".join(f"{where} {digest[:12]}" for where, digest in digests.items())
    return Criterion(SECTION, f"different {what}", different, 1, different == 1, note=note or "", rule="==")


def yes(name: str, answer: bool) -> Criterion:
    """Ask a question of yes or no."""
    return Criterion(SECTION, name, None, None, answer)
