"""Numbers that are taken of a grid as a whole, each with its limits: values of labels, weights, holes, lines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.expectation_limits import OfLine, depth_of
from stellar_emulator.contract.label import Label
from stellar_emulator.contract.roles import Kind
from stellar_emulator.grid.sampling import drawn_name, unwarped, warped
from stellar_emulator.validation.boxed import boxed_table
from stellar_emulator.validation.grid_statistics import inside
from stellar_emulator.validation.rules import WHOLE, Rule, range_of, restricted
from stellar_emulator.validation.spectrum_measures import centroid_of, line_places
from stellar_emulator.validation.weights import unevenness

HOLE_CELLS = 24
"""Across each of two labels: edges of a hole are found to that fineness."""


@dataclass(frozen=True)
class Statistic:
    """One number with its limits. observed: NaN where the grid is too small to tell.

    expectation, phrase, sentence, subject: as of a `Rule`, whose message ``phrase`` is, with ``{observed}``.
    """

    column: str
    observed: float
    expectation: str
    phrase: str
    sentence: str
    subject: str
    lower: float | None = None
    upper: float | None = None


def statistics_of(table: pd.DataFrame, contract: Contract) -> tuple[Statistic, ...]:
    """All numbers of a table of summaries that the contract limits."""
    drawn = boxed_table(contract, table)
    return (
        *_label_values(table, contract),
        *_weights(drawn, contract),
        *_holes(drawn, contract),
        *_lines(table, contract),
    )


def as_table(statistics: Sequence[Statistic]) -> pd.DataFrame:
    """One row, a column for each number."""
    return pd.DataFrame({one.column: [one.observed] for one in statistics})


def statistic_rules(statistics: Sequence[Statistic]) -> tuple[Rule, ...]:
    """One rule for each number."""
    return tuple(
        Rule(
            one.expectation,
            one.phrase,
            one.column,
            one.subject,
            {name: value for name, value in (("min_value", one.lower), ("max_value", one.upper)) if value is not None},
            one.sentence,
            WHOLE,
        )
        for one in statistics
    )


def _label_values(table: pd.DataFrame, contract: Contract) -> Iterator[Statistic]:
    limits = contract.expectations.label_values
    if not limits:
        return
    runs = table.drop_duplicates("run_id")
    for label in contract.labels:
        draws = runs if label.kind is Kind.RUN else table
        counts = draws[label.name].value_counts().to_numpy()
        enough = len(table) >= limits.spectra and len(counts) > 0
        least = min(float(limits.different), limits.share * len(draws))
        yield Statistic(
            f"values of {label.name}",
            float(len(counts)) if enough else np.nan,
            "ExpectLabelsToVary",
            f"{label.name} takes {{observed}} different values, fewer than {least:.0f}: it is constant, rounded or a "
            "default",
            f"{label.name} takes {limits.different} different values, or {limits.share:.0%} of its draws.",
            label.name,
            lower=least,
        )
        yield Statistic(
            f"commonest {label.name}",
            float(counts.max() / len(draws)) if enough else np.nan,
            "ExpectLabelsToVary",
            f"{label.name} has one value in a share of {{observed}} of its draws, more than {limits.common:g}: a "
            "default stands for what is not known",
            f"No value of {label.name} is shared by more than {limits.common:g} of its draws.",
            label.name,
            upper=limits.common,
        )


def _weights(table: pd.DataFrame, contract: Contract) -> Iterator[Statistic]:
    limits = contract.expectations.weights
    if not limits:
        return
    enough, weight = len(table) >= limits.spectra, table["weight"].to_numpy()
    finite = weight[np.isfinite(weight)]
    low, high = limits.mean
    yield Statistic(
        "mean weight",
        float(finite.mean()) if enough and len(finite) else np.nan,
        "ExpectWeightsToFitTheDensity",
        f"the mean weight is {{observed}}, not {low:g} to {high:g}: weights are relative to the uniform box",
        f"The mean weight lies between {low:g} and {high:g}.",
        "weight",
        low,
        high,
    )
    found = unevenness(contract, table) if enough else dict.fromkeys(contract.label_names, np.nan)
    for name, value in found.items():
        yield Statistic(
            f"unevenness of {name}",
            value,
            "ExpectWeightsToFitTheDensity",
            f"the weights don't make {name} uniform: its weighted distribution is {{observed}} times as far from it as "
            f"chance brings it, more than {limits.unevenness:g}: they are not those of the labels' density",
            f"The weights make {name} uniform.",
            name,
            upper=limits.unevenness,
        )


def _holes(table: pd.DataFrame, contract: Contract) -> Iterator[Statistic]:
    limits = contract.expectations.hole
    if not limits:
        return
    runs = table.drop_duplicates("run_id")
    for first, second in combinations(contract.labels, 2):
        alone = first.kind is second.kind is Kind.RUN
        draws = runs if alone else table
        due, where = _largest_hole(contract, first, second, draws) if len(table) >= limits.spectra else (np.nan, "")
        yield Statistic(
            f"hole of {first.name} and {second.name}",
            due,
            "ExpectNoHolesInLabels",
            f"{where} holds no spectrum, where {{observed}} draws are due: a part of the two labels was left out",
            f"No part of {first.name} and {second.name} is empty where {limits.due:g} draws are due.",
            first.name,
            upper=limits.due,
        )


def _largest_hole(contract: Contract, first: Label, second: Label, draws: pd.DataFrame) -> tuple[float, str]:
    """Draws due in the largest empty rectangle of two labels, and where it lies."""
    shares = [unwarped(label, draws[label.name].to_numpy()) for label in (first, second)]
    whole = np.isfinite(shares[0]) & np.isfinite(shares[1])
    edges = np.linspace(0.0, 1.0, HOLE_CELLS + 1)
    counts, *_ = np.histogram2d(shares[0][whole], shares[1][whole], bins=[edges, edges])
    (top, bottom), (left, right) = largest_empty(counts == 0)
    area = (bottom - top) * (right - left) / HOLE_CELLS**2
    where = " with ".join(
        f"{drawn_name(contract, label)} {low:.4g} to {high:.4g} {label.unit}".rstrip()
        for label, (low, high) in (
            (first, warped(first, edges[[top, bottom]])),
            (second, warped(second, edges[[left, right]])),
        )
    )
    return float(area * whole.sum()), where


def largest_empty(empty: NDArray[np.bool_]) -> tuple[tuple[int, int], tuple[int, int]]:
    """The largest rectangle of True: first row and last + 1, likewise of columns; of no size where there is none."""
    best, found = 0, ((0, 0), (0, 0))
    for top in range(len(empty)):
        open_columns = np.ones(empty.shape[1], dtype=bool)
        for bottom in range(top, len(empty)):
            open_columns = open_columns & empty[bottom]
            if not open_columns.any():
                break
            changes = np.flatnonzero(np.diff(np.concatenate([[0], open_columns.astype(np.int8), [0]])))
            starts, ends = changes[::2], changes[1::2]
            longest = int((ends - starts).argmax())
            size = (bottom + 1 - top) * int(ends[longest] - starts[longest])
            if size > best:
                best, found = size, ((top, bottom + 1), (int(starts[longest]), int(ends[longest])))
    return found


def _lines(table: pd.DataFrame, contract: Contract) -> Iterator[Statistic]:
    limits, places = contract.expectations, line_places(contract)
    for one in limits.line_depth:
        if one.line in places:
            yield _of_line(table, one, depth_of(one.line), "ExpectLinesToBeThere", "depth", "is missing or weak")
    for one in limits.line_place:
        if one.line in places:
            column = centroid_of(one.line, one.half_width)
            what = f"centroid off {places[one.line]:g} {contract.wavelength.unit}"
            yield _of_line(table, one, column, "ExpectLinesAtTheirMedianPlaces", what, "lies elsewhere")


def _of_line(table: pd.DataFrame, one: OfLine, column: str, expectation: str, what: str, fault: str) -> Statistic:
    rows = inside(table, one.where)
    values = table[column].to_numpy()[rows]
    values = values[~np.isnan(values)]
    where, limits = restricted(one.where), range_of(one.lower, one.upper)
    return Statistic(
        f"{column} {where}",
        float(np.round(np.median(values), 6)) if len(values) >= one.spectra else np.nan,
        expectation,
        f"{one.line} {fault}: its median {what} is {{observed}}{where}, not {limits}",
        f"The median {what} of {one.line} is {limits}{where}.",
        "flux",
        one.lower,
        one.upper,
    )
