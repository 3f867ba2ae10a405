"""Sections "judge", "match" and "shift": how well labels are inferred, and whether equally well from generated
spectra."""

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.gate_limits import ByLabel, GateLimits
from stellar_emulator.gate.decision import Criterion
from stellar_emulator.gate.label_statistics import LabelStatistics


def label_criteria(contract: Contract, limits: GateLimits, figures: LabelStatistics) -> list[Criterion]:
    """Require a judge that constrains labels, errors that match, and labels that do not shift."""
    bias = np.maximum(figures.bias_upper, -figures.bias_lower)
    level = f"{100 * limits.confidence:g} %"
    return [
        *_by_label(contract, "judge", "skill", figures.skill, ">=", limits.skill),
        *_by_label(contract, "match", f"RMSE ratio, {level} upper bound", figures.ratio_upper, "<", limits.ratio),
        *_by_label(contract, "match", f"bias / RMSE, {level} bound", bias, "<", _same(contract, limits.bias)),
        *_by_label(contract, "shift", "judged RMS shift", figures.judged_shift, "<", limits.shift),
        *_by_label(contract, "shift", "RMS shift by the flux", figures.flux_shift, "<", limits.shift),
        *_by_label(
            contract,
            "shift",
            "share of the box determined",
            figures.determined_share,
            ">=",
            _same(contract, limits.determined_share),
        ),
    ]


def smooth_warnings(contract: Contract, limits: GateLimits, figures: LabelStatistics) -> list[str]:
    """Warn of labels that generated spectra constrain significantly better than computed ones do."""
    return [
        f"{label.name}: RMSE ratio {figures.ratio[i]:.3f}, significantly below {limits.smooth_ratio:g}: "
        "generated spectra are smoother than computed ones"
        for i, label in enumerate(contract.accuracy_labels)
        if figures.ratio_upper[i] < limits.smooth_ratio
    ]


def strictly_matched(limits: GateLimits, figures: LabelStatistics) -> bool:
    """Whether every label, not counted the contract's wider margins, meets the strict ratio."""
    return bool((figures.ratio_upper < limits.strict_ratio).all())


def _same(contract: Contract, limit: float) -> ByLabel:
    return {label.name: limit for label in contract.accuracy_labels}


def _by_label(
    contract: Contract, section: str, what: str, figures: NDArray[np.float64], rule: str, bounds: ByLabel
) -> list[Criterion]:
    """One criterion a label; NaN meets no bound."""
    criteria = []
    for label, figure in zip(contract.accuracy_labels, figures.tolist(), strict=True):
        bound = bounds[label.name]
        passed = figure < bound if rule == "<" else figure >= bound
        criteria.append(Criterion(section, f"{label.name}: {what}", figure, bound, passed, rule=rule))
    return criteria
