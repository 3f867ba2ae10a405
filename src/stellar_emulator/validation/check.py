"""Checks a grid against its data contract: the wavelengths first, then every spectrum, read once in row groups."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.hull import drawn_within
from stellar_emulator.grid.split import about_few
from stellar_emulator.grid.store import Grid, run_hashes
from stellar_emulator.validation import residuals, run_consistency, spectrum_measures, twins, weights
from stellar_emulator.validation.boxed import BEYOND, beyond, boxed_table
from stellar_emulator.validation.grid_statistics import inside
from stellar_emulator.validation.rules import (
    GRID,
    LABEL_VECTOR,
    PIXELS,
    SPECTRA,
    WHOLE,
    Findings,
    axis_rules,
    evaluate,
    grid_rules,
    join_violations,
    pixel_rules,
    rules,
)
from stellar_emulator.validation.statistics import Statistic, as_table, statistic_rules, statistics_of
from stellar_emulator.validation.summaries import FLUX_COLUMNS, FluxStatistics, label_table, summaries
from stellar_emulator.validation.verdict import Verdict

MANY_RUNS = 1000
"""Of which no part of a split is small."""


@dataclass(frozen=True)
class Validation:
    """All that a check found: the verdict and what it rests on.

    violations: every breach, one a row, with the columns `rules.VIOLATIONS`; row and run_id are -1 for the grid as a
    whole, pixel is -1 and wavelength NaN where none is meant, lower and upper NaN for what is not bounded. summaries:
    one row a spectrum, only labels and weight where wrong wavelengths ended the check. flux_range: by pixel, empty
    likewise. results: Great Expectations' results (`ExpectationSuiteValidationResult`) by the table they were found
    in: "pixels", "spectra", "grid as a whole" and, where its provenance carries a digest, "grid". departures: from an
    emulator that the grid was held against, see `departures.cells`; None without one.
    """

    verdict: Verdict
    violations: pd.DataFrame
    summaries: pd.DataFrame
    flux_range: FluxStatistics
    results: dict[str, Any]
    departures: pd.DataFrame | None = None


def check(grid: Grid, contract: Contract) -> Validation:
    """Check wavelengths first, then every spectrum, reading the flux once in row groups.

    Raises
    ------
    InputError
        If the file can't be read to its end.
    """
    pixels = pd.DataFrame({"pixel": np.arange(grid.pixels), "wavelength": grid.wavelength, "medium": grid.medium})
    found = {PIXELS: evaluate(pixels, axis_rules(contract), grid.wavelength)}
    if found[PIXELS].faults:
        return _validation(grid, contract, "", found, label_table(grid), FluxStatistics(*np.empty((5, 0))))
    table, flux_range = summaries(grid, contract)
    digest = grid.note_digest(list(table["flux_hash"]))
    pixels = pixels.assign(range=flux_range.maximum - flux_range.minimum)
    found[PIXELS] = evaluate(pixels, pixel_rules(contract, grid.rows), grid.wavelength)
    table = with_derived(table, contract)
    found[SPECTRA] = _check_rows(table, contract)
    if statistics := statistics_of(table, contract):
        found[WHOLE] = check_statistics(statistics, contract)
    if recorded_digest(grid):
        whole = pd.DataFrame({"digest": [digest], "recorded": [recorded_digest(grid)]})
        found[GRID] = evaluate(whole, grid_rules(), grid.wavelength)
    return _validation(grid, contract, digest, found, table, flux_range)


def check_summaries(table: pd.DataFrame, contract: Contract) -> tuple[pd.DataFrame, Findings]:
    """Check `summaries`; return them with what takes all of them to tell, and what breaks the contract."""
    table = with_derived(table, contract)
    rows, statistics = _check_rows(table, contract), statistics_of(table, contract)
    if not statistics:
        return table, rows
    whole = check_statistics(statistics, contract)
    violations = [one.violations for one in (rows, whole) if len(one.violations)]
    faults, notes = (*rows.faults, *whole.faults), (*rows.notes, *whole.notes)
    return table, Findings(faults, join_violations(violations), notes, rows.result)


def _check_rows(table: pd.DataFrame, contract: Contract) -> Findings:
    fixed = ["run_id", *contract.label_names, "weight", *FLUX_COLUMNS]
    columns = fixed + [name for name in table.columns if name not in fixed]
    return evaluate(table, rules(contract, columns), contract.wavelength.pixels)


def check_statistics(statistics: Sequence[Statistic], contract: Contract) -> Findings:
    """Hold numbers that are taken of the grid as a whole against their limits."""
    return evaluate(as_table(statistics), statistic_rules(statistics), contract.wavelength.pixels)


def with_derived(table: pd.DataFrame, contract: Contract) -> pd.DataFrame:
    """Add to the summaries what takes all of them to tell; blank what is asked of other spectra only."""
    limits = contract.expectations
    further: dict[str, Any] = {}
    drawn = boxed_table(contract, table)
    for position in limits.line_position:
        column = spectrum_measures.position_of(position.line)
        further[column] = table[column].where(inside(table, position.where))
    further |= _residuals(table, contract)
    if limits.weights and len(table) >= limits.weights.spectra:
        further[weights.RESIDUAL] = weights.weight_residuals(contract, drawn)
    elif limits.weights:
        further[weights.RESIDUAL] = np.nan
    if limits.twins:
        further[twins.SPACING] = twins.run_spacing(contract, drawn)
        further[twins.ROW_DISTANCE] = twins.row_distance(contract, table)
    if drawn_within(contract) is not None:
        further[BEYOND] = beyond(contract, table)
    if limits.identity:
        further[LABEL_VECTOR] = table.groupby(contract.label_names, dropna=False).ngroup()
        further |= dict(run_consistency.run_columns(contract, table))
    return table.assign(**further)


def _residuals(table: pd.DataFrame, contract: Contract) -> dict[str, Any]:
    """The columns of `residuals.label_residuals` that the contract asks for; NaN where the grid is too small."""
    limits = contract.expectations
    asked = {residuals.RESIDUAL: limits.label_residual, residuals.DEPARTURE: limits.local_fit}
    large = {name: len(table) >= limit.spectra for name, limit in asked.items() if limit}
    found = residuals.label_residuals(contract, table) if any(large.values()) else {}
    return {name: found[name] if enough else np.nan for name, enough in large.items()}


def recorded_digest(grid: Grid) -> str:
    """The digest that a grid's provenance carries, empty if none."""
    return str(grid.provenance.get("digest", ""))


def _validation(
    grid: Grid,
    contract: Contract,
    digest: str,
    found: dict[str, Findings],
    table: pd.DataFrame,
    flux_range: FluxStatistics,
) -> Validation:
    faults = tuple(fault for findings in found.values() for fault in findings.faults)
    notes = (
        *_noted(grid, contract),
        *_of_equal_labels(table, contract),
        *(note for findings in found.values() for note in findings.notes),
    )
    return Validation(
        Verdict(not faults, grid.rows, digest, faults, contract.digest, notes, contract.expectations_digest),
        join_violations([findings.violations for findings in found.values() if len(findings.violations)]),
        table,
        flux_range,
        {name: findings.result for name, findings in found.items()},
    )


def _of_equal_labels(table: pd.DataFrame, contract: Contract) -> list[str]:
    """A note of spectra that no label of the contract tells apart, where the contract doesn't forbid them."""
    count = int(table.duplicated(list(contract.label_names), keep=False).sum())
    if contract.expectations.identity or not count:
        return []
    return [
        f"{count} of {len(table)} spectra have the same labels as another: unless they are one with other noise, "
        "a label that tells them apart is missing from the contract (expectations: identity refuses such grids)"
    ]


def _noted(grid: Grid, contract: Contract) -> list[str]:
    """What was assumed of a grid, and what its size leaves untold."""
    notes = grid.provenance.get("notes")
    found = [str(note) for note in notes] if isinstance(notes, list) else []
    if "imported_from" in grid.provenance:
        found.append(f"{grid.provenance['imported_from']} carries no provenance: where it comes from is unknown")
    elif not set(grid.provenance) - {"digest", "notes"}:
        found.append("the grid carries no provenance: where it comes from is unknown")
    if not recorded_digest(grid):
        found.append("the grid carries no digest: it can't be compared with what was once written")
    if len(np.unique(grid.run_id)) < MANY_RUNS:
        found += about_few(contract, run_hashes(grid, contract))
    limits = contract.expectations
    untold = {
        "stuck pixels": limits.stuck_pixel,
        "spectra that don't follow their labels": limits.label_residual,
        "runs that don't follow their labels": limits.local_fit,
        "weights that don't fit the labels": limits.weights,
        "labels that don't vary": limits.label_values,
        "holes in pairs of labels": limits.hole,
    }
    for what, limit in untold.items():
        if limit and grid.rows < limit.spectra:
            found.append(f"not evaluated, the grid has fewer than {limit.spectra} spectra: {what}")
    return found
