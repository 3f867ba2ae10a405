"""What a challenger makes of observed spectra, beside the champion: told with a decision, and counted where the
contract limits it.

Nobody knows these spectra's labels, so nothing here says which pair is right: it says by how much results move for
those who use them, and which pair's spectra are nearer to the observed ones.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.gate_limits import VELOCITY, ObservedLimits
from stellar_emulator.gate.against_champion import SECTION
from stellar_emulator.gate.decision import Criterion, Decision

WORSE = 5.0
"""Rise of chi-square from which a spectrum is fitted worse."""

TABLE, TOTALS = "observed", "observed_fits"


@dataclass(frozen=True)
class FittedTwice:
    """One observed spectrum, fitted with the challenger and with the champion.

    shift: challenger less champion, of each label and the velocity, (quantities,); error: the champion's, of the fit,
    (quantities,); chi_square, champions: by flux errors alone, over the pixels that both use; freedom: degrees of
    freedom of each. Without a champion shift, error and champions are NaN.
    """

    shift: NDArray[np.float64]
    error: NDArray[np.float64]
    chi_square: float
    champions: float
    freedom: int


@dataclass(frozen=True)
class Observed:
    """Fits of observed spectra, one or more. settings: what the record says of spectra and fits; alone: whether there
    is no champion."""

    fits: tuple[FittedTwice, ...]
    settings: Mapping[str, Any]
    alone: bool

    @property
    def shift(self) -> NDArray[np.float64]:
        """(n, quantities)."""
        return np.stack([one.shift for one in self.fits])

    @property
    def in_errors(self) -> NDArray[np.float64]:
        """The same in units of the champion's errors, NaN where it states none."""
        error = np.stack([one.error for one in self.fits])
        return self.shift / np.where(error > 0, error, np.nan)


def told(settings: Mapping[str, Any]) -> str:
    """How many of the spectra were fitted, in one sentence without its full stop."""
    unusable, first = settings["unusable"], settings["first_reason"]
    refused = f"; {unusable:,} can't be used, the first: {first}" if unusable else ""
    return f"{settings['fitted']:,} of {settings['taken']} of {settings['place']} were fitted{refused}"


def observed_table(contract: Contract, observed: Observed) -> list[dict[str, Any]]:
    """A row for each label and for the velocity, in JSON's types; none without a champion."""
    if observed.alone:
        return []
    quantities = [*((label.name, label.unit) for label in contract.labels), (VELOCITY, "km/s")]
    shift, in_errors = observed.shift, observed.in_errors
    return [
        {
            "label": name,
            "unit": unit,
            "shift": _of(shift[:, i], np.median),
            "rms": _of(shift[:, i], _rms),
            "shift_in_errors": _of(in_errors[:, i], np.median),
            "rms_in_errors": _of(in_errors[:, i], _rms),
        }
        for i, (name, unit) in enumerate(quantities)
    ]


def observed_totals(observed: Observed) -> dict[str, Any]:
    """Number of spectra, chi-square per degree of freedom and, with a champion, how it compares; in JSON's types.

    chi_square, champion: medians; change: the median of the difference; worse: share of spectra whose chi-square is
    larger by more than `WORSE`.
    """
    ours, theirs = (np.array([getattr(one, name) for one in observed.fits]) for name in ("chi_square", "champions"))
    freedom = np.array([max(one.freedom, 1) for one in observed.fits])
    alone: dict[str, Any] = {"spectra": len(ours), "chi_square": float(np.median(ours / freedom))}
    if observed.alone:
        return alone
    return alone | {
        "champion": float(np.median(theirs / freedom)),
        "change": float(np.median((ours - theirs) / freedom)),
        "worse": float(np.mean(ours - theirs > WORSE)),
    }


def observed_criteria(contract: Contract, observed: Observed) -> list[Criterion]:
    """Criteria of section "champion"; those count that the contract limits, if there is a champion."""
    totals = observed_totals(observed)
    spectra = f"{totals['spectra']:,} observed spectra"
    if observed.alone:
        name = f"chi-square per degree of freedom of {spectra}"
        return [_told(name, totals["chi_square"], "void: there is no champion to compare with")]
    limits = contract.gate.observed if contract.gate else None
    found = [_shift(row, spectra, limits) for row in observed_table(contract, observed)]
    change = f"per degree of freedom {totals['change']:+.3g}, from {totals['champion']:.4g}"
    found.append(_told(f"share of {spectra} fitted worse", totals["worse"], change))
    if limits is not None:
        enough = totals["spectra"] >= limits.spectra
        found.append(Criterion(SECTION, "observed spectra", totals["spectra"], limits.spectra, enough, rule=">="))
    return found


def with_observed(contract: Contract, decision: Decision, observed: Observed) -> Decision:
    """The decision with the criteria, tables and settings of fits of observed spectra."""
    rows = decision.criteria
    end = max((place + 1 for place, row in enumerate(rows) if row.section == SECTION), default=len(rows))
    tables = {TABLE: observed_table(contract, observed), TOTALS: [observed_totals(observed)]}
    return replace(
        decision,
        criteria=(*rows[:end], *observed_criteria(contract, observed), *rows[end:]),
        tables={**decision.tables, **tables},
        settings={**decision.settings, TABLE: dict(observed.settings)},
        observed=observed.in_errors,
    )


def figures(decision: Decision) -> dict[str, float]:
    """All numbers of the tables by name, such as ``observed.teff.shift``, for metrics; those that are none are left
    out."""
    rows = [(f"{TABLE}.{row['label']}", row) for row in decision.tables.get(TABLE, ())]
    rows += [(TABLE, row) for row in decision.tables.get(TOTALS, ())]
    found = {f"{where}.{name}": value for where, row in rows for name, value in row.items()}
    return {name: float(value) for name, value in found.items() if not isinstance(value, str) and np.isfinite(value)}


def _shift(row: Mapping[str, Any], spectra: str, limits: ObservedLimits | None) -> Criterion:
    """By how much a label moves; the criterion counts if the contract limits it."""
    name = f"shift of {row['label']} on {spectra}, in errors"
    note = f"median {row['shift']:+.3g}, RMS {row['rms']:.3g} {row['unit']}".rstrip()
    figure = abs(row["shift_in_errors"])
    bound = limits.shift.get(row["label"]) if limits else None
    if bound is None:
        return _told(name, figure, note)
    # Written so that NaN is refused.
    return Criterion(SECTION, name, figure, bound, bool(figure < bound), note=note, rule="<")


def _told(name: str, figure: float, note: str) -> Criterion:
    return Criterion(SECTION, name, figure, None, True, False, note)


def _of(values: NDArray[np.float64], what: Callable[[NDArray[np.float64]], Any]) -> float:
    """A figure of the values that are numbers; NaN if none is."""
    known = values[np.isfinite(values)]
    return float(what(known)) if len(known) else float("nan")


def _rms(values: NDArray[np.float64]) -> Any:
    return np.sqrt(np.mean(values**2))
