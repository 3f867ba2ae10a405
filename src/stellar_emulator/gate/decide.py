"""The gate itself: whether a challenger may serve as champion."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.gate_limits import GateLimits
from stellar_emulator.errors import InputError
from stellar_emulator.evaluation.accuracy import PAPER_TABLE_5
from stellar_emulator.gate.against_champion import champion_criteria
from stellar_emulator.gate.bins import cells
from stellar_emulator.gate.candidate import Candidate
from stellar_emulator.gate.coverage import coverage, coverage_criterion, coverage_table
from stellar_emulator.gate.decision import Criterion, Decision
from stellar_emulator.gate.evidence import Evidence
from stellar_emulator.gate.evidence_criteria import evidence_criteria
from stellar_emulator.gate.fidelity import fidelity_criteria, flux_figures
from stellar_emulator.gate.fresh import examine, fresh_criteria, typical
from stellar_emulator.gate.label_statistics import LabelStatistics, label_statistics
from stellar_emulator.gate.labels import label_criteria, smooth_warnings, strictly_matched
from stellar_emulator.gate.measured_spectra import Measured, Spectra, measure
from stellar_emulator.gate.pixels import pixel_criteria, pixel_table


def decide(
    contract: Contract,
    spectra: Spectra,
    challenger: Candidate,
    champion: Candidate | None,
    evidence: Evidence,
    seed: int,
    extra: Sequence[Criterion] = (),
    fresh_seed: int = 0,
) -> Decision:
    """Judge a challenger on computed spectra that nothing else reads, and at labels that were drawn after training.

    extra: the criteria of "serves". fresh_seed: by `fresh_labels.fresh_seed`, from the challenger's own digests.

    Raises
    ------
    InputError
        If the contract has no limits for the gate, or there are no spectra.
    """
    limits_of(contract)
    if not len(spectra.labels):
        raise InputError("the gate set holds no spectra: compute it with the contract's gate_seed")
    measured = measure(contract, spectra, challenger, champion)
    known = typical(contract, measured)
    fresh = examine(contract, limits_of(contract), challenger, known, fresh_seed)
    found = fresh_criteria(contract, limits_of(contract), known, fresh)
    runs = np.unique(measured.labels[:, contract.columns(contract.run_labels)], axis=0)
    covered = coverage(contract, runs)
    decision = weigh(contract, measured, evidence, seed, [*found, coverage_criterion(covered), *extra])
    return replace(
        decision,
        settings={**decision.settings, "fresh_seed": fresh_seed},
        tables={**decision.tables, "coverage": coverage_table(covered)},
    )


def weigh(
    contract: Contract, measured: Measured, evidence: Evidence, seed: int, extra: Sequence[Criterion] = ()
) -> Decision:
    """Decide on what was measured on the gate set. Raises `InputError` if the contract has no limits for the gate."""
    limits = limits_of(contract)
    with np.errstate(invalid="ignore", divide="ignore"):
        figures = label_statistics(contract, limits, measured, seed)
        bins = cells(contract, limits, measured)
        criteria = [
            *evidence_criteria(limits, measured, evidence),
            *label_criteria(contract, limits, figures),
            *(cell.criterion for cell in bins),
            *fidelity_criteria(contract, limits, measured),
            *pixel_criteria(contract, limits, measured.pixels),
            *champion_criteria(limits, measured, seed),
            *extra,
        ]
    return Decision(
        criteria=tuple(criteria),
        warnings=tuple(smooth_warnings(contract, limits, figures)),
        strict=strictly_matched(limits, figures),
        attempts_before=evidence.attempts_before,
        settings={
            "seed": seed,
            "judge_seeds": list(evidence.judge_seeds),
            "contract_digests": dict(evidence.contract_digests),
            "judge_presets": dict(evidence.judge_presets),
            "runs": measured.runs,
            "spectra": len(measured.run),
            "limits": limits.model_dump(),
        },
        tables={
            "labels": _label_table(contract, figures),
            "regions": [asdict(cell) for cell in bins],
            "flux_error": _flux_table(contract, measured),
            "pixels": pixel_table(contract, measured.pixels),
        },
        measured=measured,
    )


def limits_of(contract: Contract) -> GateLimits:
    """The contract's limits. Raises `InputError` if it has none."""
    if contract.gate is None:
        raise InputError(f"contract {contract.name} has no section gate: state its limits there before a promotion")
    return contract.gate


def _label_table(contract: Contract, figures: LabelStatistics) -> list[dict[str, Any]]:
    """A row for each accuracy label; paper_test, paper_generated: its Table 5, None where it has no value."""
    rows = []
    for i, label in enumerate(contract.accuracy_labels):
        paper = PAPER_TABLE_5.get(label.name, {})
        row: dict[str, Any] = {"label": label.name, "unit": label.unit}
        row |= {name: float(values[i]) for name, values in vars(figures).items()}
        rows.append(row | {"paper_test": paper.get("test"), "paper_generated": paper.get("generated")})
    return rows


def _flux_table(contract: Contract, measured: Measured) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [{"of": "challenger", **flux_figures(contract, measured, measured.flux)}]
    if measured.champion_flux is not None:
        rows.append({"of": "champion", **flux_figures(contract, measured, measured.champion_flux)})
    return rows
