"""Holds a grid against an emulator: warnings by band and by label, since either of the two may be right."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.expectation_limits import Against
from stellar_emulator.grid.store import Grid
from stellar_emulator.models.emulator import Emulator
from stellar_emulator.validation.check import Validation
from stellar_emulator.validation.departures import Departures, cells, departures, row_shifts, sample, shifts
from stellar_emulator.validation.overlap import Overlap, overlap
from stellar_emulator.validation.rules import Rule, run_expectations
from stellar_emulator.validation.verdict import counted

_FLUX, _LABELS = "departures", "label shifts"


@dataclass(frozen=True)
class Comparison:
    """Departures of a grid from an emulator, as `departures.cells` and `departures.shifts` give them.

    warnings: one line a band and one a label that departs by more than the contract allows; notes: what could not be
    compared; results: Great Expectations' own.
    """

    cells: pd.DataFrame
    shifts: pd.DataFrame
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    results: dict[str, Any]


def hold_against(grid: Grid, contract: Contract, emulator: Emulator) -> Comparison:
    """Compare all spectra that the emulator's contract covers with what the emulator generates.

    Raises
    ------
    InputError
        If the contracts don't overlap, see `overlap.overlap`, the emulator's errors were not measured, or the grid
        can't be read.
    """
    common = overlap(contract, emulator.contract)
    found = departures(grid, common, emulator.network, emulator.bundle.measured["flux_rms"])
    name = emulator.contract.name
    if not len(found.rows):
        nothing = f"no spectrum lies in the label box of {name}: none could be held against it"
        return Comparison(pd.DataFrame(), pd.DataFrame(), (nothing,), (), {})
    asked = sample(found.rows)
    moved = shifts(contract, common, *row_shifts(grid, common, emulator.network, emulator.jacobian, asked))
    notes = _notes(grid, common, found, name)
    runs = len(np.unique(grid.run_id[found.rows]))
    return weighed(contract, name, cells(contract, grid.labels[found.rows], found, runs), moved, notes)


def weighed(
    contract: Contract, name: str, parts: pd.DataFrame, moved: pd.DataFrame, notes: tuple[str, ...] = ()
) -> Comparison:
    """Warn of the departures that exceed the contract's limits; ``name`` is the reference's."""
    limits = contract.expectations.against or Against()
    moved = moved.assign(limit=moved["label"].map(limits.shift))
    moved = moved.assign(share=moved["typical"] / moved["limit"])
    results = {
        f"{what} from {name}": run_expectations(what, table, _rules(limits)[what])
        for what, table in ((_FLUX, parts), (_LABELS, moved))
    }
    far = parts[_offending(results[f"{_FLUX} from {name}"], parts)]
    off = moved[_offending(results[f"{_LABELS} from {name}"], moved)]
    warnings = (*_of_bands(far, parts, name), *(_of_label(contract, one, name) for one in off.itertuples()))
    return Comparison(parts, moved, warnings, notes, results)


def with_comparison(validation: Validation, comparison: Comparison) -> Validation:
    """A validation that says of the comparison too; its verdict passes or fails as before."""
    verdict = replace(
        validation.verdict,
        warnings=comparison.warnings,
        notes=(*validation.verdict.notes, *comparison.notes),
    )
    results = {**validation.results, **comparison.results}
    return replace(validation, verdict=verdict, results=results, departures=comparison.cells)


def _rules(limits: Against) -> dict[str, tuple[Rule, ...]]:
    kind = "ExpectDeparturesWithinErrors"
    return {
        _FLUX: (
            Rule(
                kind,
                "",
                "rms_errors",
                settings={"max_value": limits.rms},
                sentence=f"In each band and part of a label, the flux departs by {limits.rms:g} of the reference's own "
                "errors at most (root mean square).",
            ),
            Rule(
                kind,
                "",
                "typical_errors",
                settings={"max_value": limits.typical},
                sentence=f"In each band and part of a label, half of the spectra depart by {limits.typical:g} of the "
                "reference's own errors at most.",
            ),
            Rule(
                kind,
                "",
                "mean_errors",
                settings={"max_value": limits.mean},
                sentence=f"In each band and part of a label, the mean departure is {limits.mean:g} of the reference's "
                "own errors at most.",
            ),
        ),
        _LABELS: (
            Rule(
                "ExpectLabelsAsTheReference",
                "",
                "share",
                settings={"max_value": 1.0},
                sentence="The labels that the reference would need lie as near to those given as the contract says.",
            ),
        ),
    }


def _offending(result: Any, table: pd.DataFrame) -> "pd.Series[bool]":
    rows = {row for one in result.results for row in one.result.get("unexpected_index_list") or ()}
    return pd.Series(table.index.isin(rows), index=table.index)


def _of_bands(far: pd.DataFrame, parts: pd.DataFrame, name: str) -> list[str]:
    """One line a band, with the part of a label where it is worst."""
    found = []
    for (first, last), inside in far.groupby(["first", "last"]):
        worst = inside.iloc[
            int(inside[["rms_errors", "typical_errors", "mean_errors"]].max(axis=1).to_numpy().argmax())
        ]
        parts_there = int(((parts["first"] == first) & (parts["last"] == last)).sum())
        found.append(
            f"flux at {first:.1f} to {last:.1f} Angstrom departs from {name}: most at {worst['label']} "
            f"{worst['lower']:.4g} to {worst['upper']:.4g}, by {worst['rms']:.2g} (root mean square, "
            f"{worst['rms_errors']:.1f} of its own errors; {worst['mean']:+.2g} on average); in {len(inside)} of "
            f"{counted(parts_there, 'part', 'parts')} of the labels"
        )
    return found


def _of_label(contract: Contract, one: Any, name: str) -> str:
    unit = next(label.unit for label in contract.labels if label.name == one.label)
    return (
        f"{one.label} departs from {name}: the labels that it would need lie up to {one.typical:.3g} {unit} off those "
        f"given ({one.mean:+.2g} on average), more than {one.limit:g}, in {one.spectra} spectra that tell it"
    ).replace("  ", " ")


def _notes(grid: Grid, common: Overlap, found: Departures, name: str) -> tuple[str, ...]:
    notes = []
    if len(found.rows) < grid.rows:
        notes.append(f"held against {name}: {len(found.rows)} of {grid.rows} spectra, which lie in its label box")
    if len(common.pixels) < grid.pixels:
        ends = grid.wavelength[common.pixels[[0, -1]]]
        notes.append(f"held against {name}: {ends[0]:.1f} to {ends[1]:.1f} Angstrom alone, which it covers")
    return tuple(notes)
