"""The decision on a pair whose contract has no gate, such as one that `import` drafted: what little its grid allows.

Nothing here is the statistical gate: no spectra were kept from training for it, and nobody said what labels may err by.
The flux at runs that a training did not see is compared with what interpolation makes of the same other runs, and with
the champion. That tells whether the emulator is worth having, not whether it is good enough for a purpose.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.gate.bootstrap import resample_counts, run_sums
from stellar_emulator.gate.decision import WITHOUT_GATE, Criterion, Decision
from stellar_emulator.gate.evidence_criteria import at_least, departed, one_digest, yes

LEAST_RUNS = 10
"""Runs below which five folds leave too few to interpolate between."""

AGREES = 1.0
"""How far the registered emulator may be from its training repeated, in units of the error of the folds."""

RESAMPLES, CONFIDENCE = 2000, 0.95

WARNINGS = (
    "this contract has no gate: no spectra were kept from training to judge on, no margins say what labels may err by",
    "the validator was not judged, nor labels that are inferred from generated spectra",
)


@dataclass(frozen=True)
class Errors:
    """Of spectra at runs that a training did not see: mean absolute and mean square error of the flux, (spectra,)."""

    mae: NDArray[np.float64]
    square: NDArray[np.float64]


@dataclass(frozen=True)
class HeldOut:
    """What was measured.

    basis: how, in words; run: number of each spectrum's run, from 0, (spectra,); inner: whether that lies within the
    hull of the others; baseline: of interpolation, None if there are too few runs for it; champion: None without one;
    registered: mean distance in flux of the registered emulator from its training repeated, over the error of the
    folds, None if it was measured itself; outside: share of spectra at labels between the runs whose flux the contract
    does not allow.
    """

    basis: str
    run: NDArray[np.intp]
    inner: NDArray[np.bool_]
    emulator: Errors
    baseline: Errors | None
    champion: Errors | None
    registered: float | None
    outside: float

    @property
    def runs(self) -> int:
        return int(self.run.max()) + 1


@dataclass(frozen=True)
class Facts:
    """What spectra do not show; fields as of `gate.evidence.Evidence`. trained_on: whether the spectra are the grid on
    which the models were trained."""

    smoke: bool
    contract_digests: Mapping[str, str]
    validation_passed: bool
    trained_on: bool
    departures: tuple[str, ...]
    attempts_before: int


def decide_without_gate(found: HeldOut, facts: Facts, seed: int, extra: Sequence[Criterion] = ()) -> Decision:
    """Decide by errors at runs held out; seed: of the bootstrap; extra: the criteria of "serves"."""
    criteria = [*_evidence(found, facts), *_nodes(found), _champion(found, seed), *extra]
    return Decision(
        criteria=tuple(criteria),
        warnings=WARNINGS,
        strict=False,
        attempts_before=facts.attempts_before,
        settings={"seed": seed, "runs": found.runs, "contract_digests": dict(facts.contract_digests)},
        tables={"held_out": held_out_table(found)},
        sections=WITHOUT_GATE,
        basis=found.basis,
    )


def _evidence(found: HeldOut, facts: Facts) -> list[Criterion]:
    return [
        at_least("runs", found.runs, LEAST_RUNS),
        one_digest("contracts", facts.contract_digests),
        yes("spectra are the grid that the pair was trained on", facts.trained_on),
        departed(facts.departures),
        yes("grid validation passed", facts.validation_passed),
        yes("not smoke-trained", not facts.smoke),
    ]


def _nodes(found: HeldOut) -> list[Criterion]:
    """Better than interpolation on average; the registered emulator is what its training makes; flux between runs is
    one."""
    where, inside = _where(found)
    name = f"MAE of flux at {where} / cubic RBF's"
    if found.baseline is None:
        criteria = [
            Criterion("nodes", name, None, 1.0, False, True, "too few runs, or on a plane: nothing to beat", "<")
        ]
    else:
        ours, theirs = found.emulator.mae[inside].mean(), found.baseline.mae[inside].mean()
        rms = [np.sqrt(one.square[inside].mean()) for one in (found.emulator, found.baseline)]
        criteria = [
            _below(name, ours / theirs, 1.0, f"{ours:.3g} and {theirs:.3g}"),
            _below("RMS of the same", rms[0] / rms[1], 1.0, f"{rms[0]:.3g} and {rms[1]:.3g}", counts=False),
        ]
    if found.registered is not None:
        criteria.append(_below("registered emulator, repeated / folds' error", found.registered, AGREES))
    note = "4,096 labels between the runs"
    name = "share of spectra out of the flux range"
    return [*criteria, Criterion("nodes", name, found.outside, 0.0, found.outside <= 0.0, True, note, "<=")]


def _below(name: str, figure: float, bound: float, note: str = "", counts: bool = True) -> Criterion:
    return Criterion("nodes", name, float(figure), bound, bool(figure < bound), counts, note, "<")


def _where(found: HeldOut) -> tuple[str, NDArray[np.bool_]]:
    """The spectra that count: of inner runs, which nothing has to extrapolate to; all, if there are none such."""
    if found.inner.any():
        return "inner runs", found.inner
    return "all runs", np.ones(len(found.run), dtype=bool)


def _champion(found: HeldOut, seed: int) -> Criterion:
    """Not worse beyond chance: the lower bound of challenger / champion, by a paired bootstrap over runs, is not above
    1."""
    if found.champion is None:
        return Criterion("champion", "not worse than the champion", None, None, True, False, "void: there is none")
    counts = resample_counts(found.runs, RESAMPLES, seed)
    ours, theirs = (run_sums(found.run, one.mae[:, None])[:, 0] for one in (found.emulator, found.champion))
    with np.errstate(invalid="ignore", divide="ignore"):
        lower = float(np.quantile((counts @ ours) / (counts @ theirs), 1.0 - CONFIDENCE))
        point = float(ours.sum() / theirs.sum())
    name = f"MAE of flux / champion's, {100 * CONFIDENCE:g} % lower bound"
    return Criterion("champion", name, lower, 1.0, lower <= 1.0, True, f"ratio {point:.4f}", "<=")


def held_out_table(found: HeldOut) -> list[dict[str, Any]]:
    """Errors at runs held out, in JSON's types: of emulator, baseline and champion, at inner and at all runs."""
    everywhere = np.ones(len(found.run), dtype=bool)
    parts = [("inner runs", found.inner), ("all runs", everywhere)]
    whose = {"emulator": found.emulator, "cubic RBF": found.baseline, "champion": found.champion}
    return [
        {
            "of": of,
            "where": where,
            "mae": float(one.mae[inside].mean()),
            "rms": float(np.sqrt(one.square[inside].mean())),
            "spectra": int(inside.sum()),
        }
        for of, one in whose.items()
        if one is not None
        for where, inside in parts
        if inside.any()
    ]
