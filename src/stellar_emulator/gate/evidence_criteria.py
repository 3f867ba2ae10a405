"""Section "evidence": whether the decision rests on enough spectra, and on ones that the models never saw."""

from collections.abc import Mapping

from stellar_emulator.contract.gate_limits import GateLimits
from stellar_emulator.gate.decision import Criterion
from stellar_emulator.gate.evidence import Evidence
from stellar_emulator.gate.measured_spectra import Measured

SECTION = "evidence"


def evidence_criteria(limits: GateLimits, measured: Measured, evidence: Evidence) -> list[Criterion]:
    """Ask for enough runs, spectra and judges, one contract, one preset, nothing leaked, valid grids, no smoke."""
    spectra, judges = len(measured.run), len(measured.test)
    attempts = f"attempt {evidence.attempts_before + 1} on this gate set"
    return [
        _at_least("runs", measured.runs, limits.runs, attempts),
        _at_least("spectra", spectra, limits.spectra),
        _at_least("judges of different seeds", min(judges, len(set(evidence.judge_seeds))), limits.judges),
        _one_digest("contracts", evidence.contract_digests),
        _one_digest("presets of the judges", evidence.judge_presets),
        Criterion(SECTION, "gate runs that a model saw", evidence.leaked_runs, 0, evidence.leaked_runs == 0, rule="=="),
        _yes("grid validation passed", evidence.validation_passed),
        _yes("not smoke-trained", not evidence.smoke),
    ]


def _at_least(name: str, figure: int, bound: int, note: str = "") -> Criterion:
    return Criterion(SECTION, name, figure, bound, figure >= bound, note=note, rule=">=")


def _one_digest(what: str, digests: Mapping[str, str]) -> Criterion:
    different = len(set(digests.values()))
    note = "" if different == 1 else ", ".join(f"{where} {digest[:12]}" for where, digest in digests.items())
    return Criterion(SECTION, f"different {what}", different, 1, different == 1, note=note or "", rule="==")


def _yes(name: str, answer: bool) -> Criterion:
    return Criterion(SECTION, name, None, None, answer)
