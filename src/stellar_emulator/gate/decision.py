"""The outcome of the gate: criteria with figure, bound and verdict, and what follows from them."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from stellar_emulator.gate.measured_spectra import Measured

GATE = "gate"
"""Basis of a decision by the gate, in its record."""

SCHEMA = 1
"""Raised when a field of the record changes its meaning; see docs/decision.md."""

SECTIONS = (
    "evidence",
    "judge",
    "match",
    "shift",
    "regions",
    "fidelity",
    "pixels",
    "fresh",
    "smooth",
    "champion",
    "serves",
)
"""What the gate examines."""

WITHOUT_GATE = ("evidence", "nodes", "champion", "serves")
"""What is examined of a pair whose contract has no gate, see `gate.without_gate`."""


@dataclass(frozen=True)
class Criterion:
    """One thing that was asked.

    section: one of `SECTIONS` or `WITHOUT_GATE`. figure, bound: None where the answer is yes or no. rule: how the
    figure must stand to the bound, such as "<". informative: False where the question has no meaning here (no champion,
    a judge without skill in a region); the criterion is then shown and does not count.
    """

    section: str
    name: str
    figure: float | None
    bound: float | None
    passed: bool
    informative: bool = True
    note: str = ""
    rule: str = ""

    def __post_init__(self) -> None:
        known = dict.fromkeys((*SECTIONS, *WITHOUT_GATE))
        if self.section not in known:
            raise ValueError(f"section {self.section} is none of {', '.join(known)}")

    @property
    def verdict(self) -> str:
        """``passed``, ``refused`` or ``not counted``."""
        if not self.informative:
            return "not counted"
        return "passed" if self.passed else "refused"


@dataclass(frozen=True)
class Decision:
    """Criteria in order, and what stands beside them.

    strict: whether all labels meet the strict ratio, which is reported and not counted. attempts_before: decisions on
    this gate set before this one. settings: seeds, digests, sizes and limits. tables: rows by table name, in JSON's
    types. measured: the arrays behind all figures, for the page; no part of the record. sections: what had to be
    examined. basis: what the decision rests on where the contract has no gate, such as 5-fold cross-validation; empty
    for the gate.
    """

    criteria: tuple[Criterion, ...]
    warnings: tuple[str, ...]
    strict: bool
    attempts_before: int
    settings: Mapping[str, Any]
    tables: Mapping[str, Sequence[Mapping[str, Any]]]
    measured: Measured | None = field(default=None, repr=False, compare=False)
    sections: tuple[str, ...] = SECTIONS
    basis: str = ""

    @property
    def refusals(self) -> tuple[Criterion, ...]:
        """Criteria that count and were not met."""
        return tuple(criterion for criterion in self.criteria if criterion.informative and not criterion.passed)

    @property
    def unexamined(self) -> tuple[str, ...]:
        """Sections that nothing was asked in."""
        asked = {criterion.section for criterion in self.criteria}
        return tuple(section for section in self.sections if section not in asked)

    @property
    def promoted(self) -> bool:
        """Whether every section was examined and nothing that counts was refused."""
        return not self.refusals and not self.unexamined

    def joined(self, extra: Sequence[Criterion]) -> "Decision":
        """The same decision with further criteria, such as those of section "serves"."""
        return replace(self, criteria=(*self.criteria, *extra))

    def to_dict(self) -> dict[str, Any]:
        """Content of ``decision.json`` as far as the gate knows it, in JSON's types; see docs/decision.md."""
        record = {
            "schema": SCHEMA,
            "promoted": self.promoted,
            "basis": self.basis or GATE,
            "unexamined": list(self.unexamined),
            "strict": self.strict,
            "attempts_before": self.attempts_before,
            "criteria": [asdict(criterion) | {"verdict": criterion.verdict} for criterion in self.criteria],
            "warnings": list(self.warnings),
            "settings": dict(self.settings),
            "tables": {name: [dict(row) for row in rows] for name, rows in self.tables.items()},
        }
        return {name: _finite(value) for name, value in record.items()}

    def summary(self) -> str:
        """The table that people read, a line for each criterion, and the verdict."""
        shown = [row for row in self.criteria if row.section != "regions" or row in self.refusals]
        lines = [f"{'section':<10}{'criterion':<48}{'figure':>11}{'bound':>12}  verdict", *map(_line, shown)]
        regions = Counter(row.verdict for row in self.criteria if row.section == "regions")
        if regions:
            lines.append(f"{'regions':<10}" + ", ".join(f"{count} {verdict}" for verdict, count in regions.items()))
        lines += [f"{section:<10}not examined" for section in self.unexamined]
        lines += [f"warning: {warning}" for warning in self.warnings]
        if not self.basis:
            lines.append(f"strict ratio on every label (not counted): {'met' if self.strict else 'not met'}")
        return "\n".join([*lines, self.verdict])

    @property
    def verdict(self) -> str:
        """One line, that it is promoted, or refused and by what."""
        where = f"without a gate, by {self.basis}" if self.basis else "on this gate set"
        if self.promoted:
            return f"PROMOTED in attempt {self.attempts_before + 1} {where}"
        reasons = [f"{row.section} ({row.name})" for row in self.refusals]
        reasons += [f"{section} (not examined)" for section in self.unexamined]
        by = ":" if self.basis else " by"
        return f"REFUSED in attempt {self.attempts_before + 1} {where}{by} {'; '.join(reasons)}"


def _line(row: Criterion) -> str:
    bound = "" if row.bound is None else f"{row.rule} {_shown(row.bound)}"
    note = f"  ({row.note})" if row.note else ""
    return f"{row.section:<10}{row.name:<48}{_shown(row.figure):>11}{bound:>12}  {row.verdict}{note}"


def _shown(figure: float | None) -> str:
    return "" if figure is None else f"{figure:.4g}"


def _finite(value: Any) -> Any:
    """Replace NaN and infinity by None, which JSON can hold."""
    if isinstance(value, dict):
        return {name: _finite(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
