"""Which spectra of a grid to set aside, and why."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import RefusedError
from stellar_emulator.validation.check import Validation

COPIES = frozenset({"ExpectSpectraToBeUnique", "ExpectLabelsToBeUnique"})
"""Expectations that equal spectra break together."""


@dataclass(frozen=True)
class Quarantine:
    """Rows to keep and rows to set aside, ascending, together all rows; ``reasons`` of each row set aside."""

    good: NDArray[np.int64]
    bad: NDArray[np.int64]
    reasons: Mapping[int, tuple[str, ...]]


def quarantine(validation: Validation, contract: Contract) -> Quarantine:
    """Part a grid's rows by the violations of its check.

    Of spectra whose labels and flux are the same throughout, the first is kept: setting all of them aside would lose a
    good one.

    Raises
    ------
    RefusedError
        If the grid as a whole breaks the contract, or every spectrum does: nothing good would be left.
    """
    verdict, violations = validation.verdict, validation.violations
    whole = violations[violations["row"] < 0]
    if len(whole):
        messages = "; ".join(dict.fromkeys(whole["message"]))
        raise RefusedError(f"the grid as a whole breaks the data contract, so no spectra can be set aside: {messages}")
    kept = _first_copies(validation, contract)
    reasons: dict[int, list[str]] = {}
    for row, message in zip(violations["row"].to_numpy(), violations["message"], strict=True):
        if int(row) not in kept:
            reasons.setdefault(int(row), []).append(str(message))
    bad = np.array(sorted(reasons), dtype=np.int64)
    if len(bad) == verdict.rows:
        raise RefusedError("every spectrum breaks the data contract: no good one would be left")
    good = np.setdiff1d(np.arange(verdict.rows), bad)
    return Quarantine(good, bad, {row: tuple(reasons[row]) for row in sorted(reasons)})


def _first_copies(validation: Validation, contract: Contract) -> set[int]:
    """Rows to keep of those that are equal in all labels and pixels, and at fault in nothing else.

    Where one flux has several labels, or one label vector several fluxes, nobody can tell which is right.
    """
    violations = validation.violations
    copies = violations["expectation"].isin(COPIES)
    table = validation.summaries.loc[sorted(set(violations["row"][copies]))]
    labels = table.groupby(contract.label_names, dropna=False).ngroup()
    flux = table["flux_hash"]
    alike = (labels.groupby(flux).transform("nunique") == 1) & (flux.groupby(labels).transform("nunique") == 1)
    sound = ~table.index.isin(violations["row"][~copies])
    return set(table.index[alike & sound & ~labels.duplicated()])
