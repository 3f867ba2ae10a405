"""Everything expected of a grid, as rules built from its contract, and what breaks them.

Great Expectations sees tables of numbers, never the flux itself: one row a spectrum, one row a pixel, and one row for
the grid as a whole. Rows are counted from 0.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.expectation_limits import RankCorrelation
from stellar_emulator.contract.hull import drawn_within
from stellar_emulator.contract.label import Label
from stellar_emulator.validation import residuals, run_consistency, spectrum_measures, twins, weights
from stellar_emulator.validation.boxed import BEYOND
from stellar_emulator.validation.expectations import own_expectations
from stellar_emulator.validation.verdict import ROWS_NAMED, WAVELENGTH_AXIS, Fault, counted

SPECTRA = "spectra"
PIXELS = "pixels"
GRID = "grid"
WHOLE = "grid as a whole"
"""The tables that rules look at."""

VIOLATIONS = {
    "row": "int64",
    "run_id": "int64",
    "expectation": "str",
    "subject": "str",
    "pixel": "int64",
    "wavelength": "float64",
    "observed": "float64",
    "observed_text": "str",
    "lower": "float64",
    "upper": "float64",
    "message": "str",
}
"""Columns of the table of violations, with their types."""

LABEL_VECTOR = "label_vector"
"""Column of the summaries: spectra of equal labels have equal numbers."""

_ROWS_SHOWN = 3
_OBSERVED = "{observed}"
_WHOLE = -1


@dataclass(frozen=True)
class Rule:
    """One expectation: the name of its Great Expectations class with settings, and how to tell a breach of it.

    For a rule on a column the message reads "``subject`` of 2 spectra ``phrase``: rows ..."; for a rule on a whole
    table (no column) it is ``phrase`` alone, with the observed value in place of ``{observed}``. sentence: what is
    expected, for Data Docs; pixel_column: of the summaries, where a fault has a pixel.
    """

    expectation: str
    phrase: str
    column: str = ""
    subject: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    sentence: str = ""
    table: str = SPECTRA
    pixel_column: str = ""

    @property
    def bounds(self) -> tuple[float | None, float | None] | None:
        """Lower and upper bound, None for what the rule does not bound."""
        if not {"min_value", "max_value"} & set(self.settings):
            return None
        return self.settings.get("min_value"), self.settings.get("max_value")


@dataclass(frozen=True)
class Findings:
    """What breaks some rules on one table: faults in the rules' order, all their violations, what was not evaluated,
    and Great Expectations' own result.
    """

    faults: tuple[Fault, ...]
    violations: pd.DataFrame
    notes: tuple[str, ...]
    result: Any


def axis_rules(contract: Contract) -> tuple[Rule, ...]:
    """What is expected of the wavelengths, before any flux is read."""
    axis = contract.wavelength
    return (
        Rule(
            WAVELENGTH_AXIS,
            "{observed}",
            subject="wavelength",
            settings={"axis": axis.model_dump()},
            sentence=f"The wavelengths are {axis.start:g} to {axis.stop:.10g} {axis.unit} in {axis.medium}: "
            f"{axis.count} pixels in steps of {axis.steps}.",
            table=PIXELS,
        ),
    )


def pixel_rules(contract: Contract, rows: int) -> tuple[Rule, ...]:
    """What is expected of each pixel over all spectra."""
    stuck = contract.expectations.stuck_pixel
    if not stuck or rows < stuck.spectra:
        return axis_rules(contract)
    return (
        *axis_rules(contract),
        Rule(
            "ExpectPixelsToVary",
            f"changes by less than {stuck.lower:g} over the whole grid",
            "range",
            "flux",
            {"min_value": stuck.lower},
            f"Over the grid, the flux of each pixel varies by {stuck.lower:g} or more.",
            PIXELS,
        ),
    )


def grid_rules() -> tuple[Rule, ...]:
    """What is expected of a grid whose provenance carries a digest."""
    return (
        Rule(
            "ExpectDigestAsRecorded",
            "the grid is not what was written: its provenance recorded another digest",
            subject="digest",
            settings={"column_A": "digest", "column_B": "recorded"},
            sentence="The grid's digest is the one that its provenance recorded.",
            table=GRID,
        ),
    )


def rules(contract: Contract, columns: Sequence[str]) -> tuple[Rule, ...]:
    """Everything expected of the summaries of a grid; nothing but the contract says what.

    ``columns`` are those that the summaries must have, in order.
    """
    return (
        *_basic(contract, columns),
        *_of_weights(contract),
        *_of_flux(contract),
        *_of_physics(contract),
        *_of_identity(contract),
        *_of_twins(contract),
        *_of_hull(contract),
    )


def _basic(contract: Contract, columns: Sequence[str]) -> tuple[Rule, ...]:
    pixels, flux = contract.wavelength.count, contract.flux
    labels = ", ".join(contract.label_names)
    finite, within = "ExpectFluxToBeFinite", "ExpectFluxToBeInRange"
    return (
        Rule(
            "ExpectTableColumnsToMatchOrderedList",
            f"the columns are not those of the contract, in its order ({labels})",
            settings={"column_list": list(columns)},
            sentence=f"The labels are {labels}, in this order.",
        ),
        Rule(
            "ExpectTableRowCountToBeBetween",
            "the grid holds no spectrum",
            settings={"min_value": 1},
            sentence="The grid holds a spectrum at least.",
        ),
        *(_present(name) for name in ("run_id", *contract.label_names, "weight")),
        *(_inside(label) for label in contract.labels),
        Rule(
            _BETWEEN,
            "is not a finite number above 0",
            "weight",
            "weight",
            {"min_value": 0.0, "strict_min": True, "max_value": _LARGEST},
            "Every weight is a finite number above 0.",
        ),
        Rule(
            _BETWEEN,
            f"has not {pixels} pixels",
            "pixels",
            "flux",
            {"min_value": pixels, "max_value": pixels},
            f"Every spectrum has {pixels} pixels.",
        ),
        _between(
            finite, "non_finite", "flux", "holds NaN or infinite pixels", "non_finite_pixel", min_value=0, max_value=0
        ),
        _between(within, "flux_minimum", "flux", f"falls below {flux.lower:g}", "minimum_pixel", min_value=flux.lower),
        _between(within, "flux_maximum", "flux", f"exceeds {flux.upper:g}", "maximum_pixel", max_value=flux.upper),
        Rule(
            "ExpectSpectraToBeUnique",
            "is the same as another's, pixel for pixel",
            "flux_hash",
            "flux",
            sentence="No spectrum is the same as another, pixel for pixel.",
        ),
    )


_BETWEEN = "ExpectColumnValuesToBeBetween"

_LARGEST = float(np.finfo(np.float64).max)


def _present(column: str) -> Rule:
    sentence = f"{column} is never missing."
    return Rule("ExpectColumnValuesToNotBeNull", "is missing or NaN", column, column, sentence=sentence)


def _inside(label: Label) -> Rule:
    phrase = f"lies outside {label.lower:.10g} to {label.upper:.10g} {label.unit}".rstrip()
    return _between(_BETWEEN, label.name, label.name, phrase, min_value=label.lower, max_value=label.upper)


def _between(expectation: str, column: str, subject: str, phrase: str, pixel: str = "", **settings: Any) -> Rule:
    given = {name: value for name, value in settings.items() if value is not None}
    return Rule(expectation, phrase, column, subject, given, f"No spectrum's {subject} {phrase}.", SPECTRA, pixel)


def _of_flux(contract: Contract) -> list[Rule]:
    """Shape of single spectra."""
    limits = contract.expectations
    found = []
    if limits.continuum:
        low, high, share = limits.continuum.lower, limits.continuum.upper, limits.continuum.quantile
        phrase = f"is not normalised to its continuum: its {share:g} quantile is not {range_of(low, high)}"
        found.append(
            _between(
                "ExpectContinuumNearOne", spectrum_measures.CONTINUUM, "flux", phrase, min_value=low, max_value=high
            )
        )
    if limits.contrast:
        least = limits.contrast.lower
        phrase = f"is flat: lowest and highest pixel differ by less than {least:g}"
        found.append(
            _between("ExpectSpectrumToHaveContrast", spectrum_measures.CONTRAST, "flux", phrase, min_value=least)
        )
    if limits.clipped_pixels:
        most, flux = limits.clipped_pixels.upper, contract.flux
        phrase = f"has dead or saturated pixels: more than {most:g} lie exactly on {flux.lower:g} or {flux.upper:g}"
        found.append(_between("ExpectNoClippedPixels", spectrum_measures.CLIPPED, "flux", phrase, max_value=most))
    if limits.repeated_pixels:
        most = limits.repeated_pixels.upper
        phrase = f"has dead pixels: more than {most:g} neighbours share one value"
        found.append(_between("ExpectNoRepeatedPixels", spectrum_measures.REPEATED, "flux", phrase, max_value=most))
    if limits.spike:
        most = limits.spike.upper
        phrase = f"has a spike: a pixel lies more than {most:g} off its neighbours"
        found.append(
            _between(
                "ExpectNoSpikes", spectrum_measures.SPIKE, "flux", phrase, spectrum_measures.SPIKE_PIXEL, max_value=most
            )
        )
    return found


def _of_physics(contract: Contract) -> list[Rule]:
    """Spectra against their labels."""
    limits = contract.expectations
    found = []
    for position in limits.line_position:
        place = spectrum_measures.line_centre(contract, position.line)
        phrase = (
            f"has {position.line} in the wrong place: its centroid is not {range_of(position.lower, position.upper)} "
            f"{contract.wavelength.unit} off {place:g}{restricted(position.where)}"
        )
        found.append(
            _between(
                "ExpectLinesAtTheirPlaces",
                spectrum_measures.position_of(position.line),
                "flux",
                phrase,
                min_value=position.lower,
                max_value=position.upper,
            )
        )
    if limits.label_residual:
        most = limits.label_residual.upper
        phrase = f"does not follow its labels: one is more than {most:g} half-ranges beyond those of similar spectra"
        found.append(_between("ExpectSpectraToFollowTheirLabels", residuals.RESIDUAL, "flux", phrase, max_value=most))
    if limits.local_fit:
        most = limits.local_fit.upper
        phrase = (
            f"does not follow its run's labels: one lies more than {most:g} standard deviations off what similar "
            "spectra lead to"
        )
        found.append(_between("ExpectRunsToFollowTheirLabels", residuals.DEPARTURE, "flux", phrase, max_value=most))
    found += [_correlation(contract, correlation) for correlation in limits.rank_correlation]
    if limits.coverage:
        found += [_filled(contract, label) for label in contract.labels]
    return found


def _correlation(contract: Contract, correlation: RankCorrelation) -> Rule:
    low = -1.0 if correlation.lower is None else correlation.lower
    high = 1.0 if correlation.upper is None else correlation.upper
    what = f"rank correlation of {correlation.measure} with {correlation.label}, other labels held fixed"
    where = restricted(correlation.where)
    return Rule(
        "ExpectRankCorrelationToBeBetween",
        f"the {what}, is {{observed}}{where}, not {low:g} to {high:g}: labels and flux don't belong together (swapped "
        "columns, shifted or shuffled rows)",
        subject=correlation.label,
        settings={
            "measure": correlation.measure,
            "label": correlation.label,
            "others": [name for name in contract.label_names if name != correlation.label],
            "where": {name: list(interval) for name, interval in correlation.where.items()},
            "values": correlation.values,
            "curved": correlation.curved,
            "min_value": low,
            "max_value": high,
        },
        sentence=f"The {what}, lies between {low:g} and {high:g}{where}.",
    )


def _filled(contract: Contract, label: Label) -> Rule:
    coverage = contract.expectations.coverage
    assert coverage is not None
    return Rule(
        "ExpectLabelToFillItsRange",
        f"{label.name} leaves a part of its range empty: no spectrum at {{observed}} {label.unit}".rstrip(),
        subject=label.name,
        settings={"label": label.model_dump(mode="json"), "bins": coverage.bins, "values": coverage.values},
        sentence=f"{label.name} has spectra in each of {coverage.bins} equally likely parts of {label.lower:g} to "
        f"{label.upper:g} {label.unit}".rstrip()
        + ".",
    )


def _of_weights(contract: Contract) -> list[Rule]:
    """Weights of single spectra."""
    limits = contract.expectations.weights
    if not limits:
        return []
    phrase = (
        f"does not fit the density of the labels: its logarithm lies more than {limits.residual:g} off the smooth "
        "function of them that all weights follow"
    )
    return [
        _between(_BETWEEN, "weight", "weight", f"is above {limits.largest:g}", max_value=limits.largest),
        _between("ExpectWeightsToFollowLabels", weights.RESIDUAL, "weight", phrase, max_value=limits.residual),
    ]


def _of_twins(contract: Contract) -> list[Rule]:
    """Runs and spectra that are nearly others."""
    limits = contract.expectations.twins
    if not limits:
        return []
    own = ", ".join(label.name for label in contract.run_labels)
    return [
        _between(
            "ExpectRunsToKeepApart",
            twins.SPACING,
            "run_id",
            f"is nearly another run's: its {own} lie nearer to those of another run than chance brings any two, which "
            "may be a copy that reaches the other side of the split",
            min_value=limits.run_spacing,
        ),
        _between(
            "ExpectSpectraToKeepApart",
            twins.ROW_DISTANCE,
            "labels",
            f"are nearly those of another spectrum of the run: they differ by less than {limits.row_distance:g} of "
            "their ranges",
            min_value=limits.row_distance,
        ),
    ]


def _of_hull(contract: Contract) -> list[Rule]:
    """Labels that are drawn within a hull of two of them."""
    within = drawn_within(contract)
    if within is None or contract.hull is None:
        return []
    names = " and ".join(label.name for label in within)
    return [
        _between(
            "ExpectLabelsToLieWithinHull",
            BEYOND,
            names,
            f"lie beyond the hull in which the contract draws them by more than {contract.hull.distance:g} label "
            "ranges: give such spectra a contract of their own",
            max_value=contract.hull.distance,
        )
    ]


def _of_identity(contract: Contract) -> list[Rule]:
    """Runs and label vectors."""
    identity = contract.expectations.identity
    if not identity:
        return []
    own = ", ".join(label.name for label in contract.run_labels)
    least = identity.run_distance
    return [
        Rule(
            "ExpectLabelsToBeUnique",
            "are the same as another's",
            LABEL_VECTOR,
            "labels",
            sentence="No two spectra have the same labels throughout.",
        ),
        _between(
            "ExpectRunToAgreeInItsLabels",
            run_consistency.LABEL_SHARE,
            "run_id",
            f"does not fit: the row has not the {own} of most rows of its run",
            min_value=0.5,
            strict_min=True,
        ),
        _between(
            "ExpectRunInOnePart",
            run_consistency.PART_SHARE,
            "run_id",
            "lies on two sides of the split: most rows of its run fall into another part",
            min_value=0.5,
            strict_min=True,
        ),
        _between(
            "ExpectRunsToDiffer",
            run_consistency.DISTANCE,
            "run_id",
            f"goes by a second number: another run has the same {own} to {least:g} of their ranges, which may put them "
            "on two sides of the split",
            min_value=least,
        ),
    ]


def range_of(lower: float | None, upper: float | None) -> str:
    """Bounds in words, such as "0.1 to 0.2" or "0.1 and above"."""
    if lower is None or upper is None:
        return f"{upper:g} and below" if lower is None else f"{lower:g} and above"
    return f"{lower:g} to {upper:g}"


def restricted(where: Mapping[str, Sequence[float]]) -> str:
    """Where a rule holds, such as " (teff 3600 to 6000)"; empty for everywhere."""
    ranges = [f"{name} {interval[0]:g} to {interval[1]:g}" for name, interval in where.items()]
    return f" ({', '.join(ranges)})" if ranges else ""


def evaluate(table: pd.DataFrame, expected: Sequence[Rule], wavelength: NDArray[np.float64]) -> Findings:
    """What breaks rules that are all on one table; ``wavelength`` (pixels,) says where faults with a pixel lie."""
    suite_result = run_expectations(expected[0].table, table, expected)
    results = {int(result.expectation_config.meta["rule"]): result for result in suite_result.results}
    faults, pieces, notes = [], [], []
    for number, rule in enumerate(expected):
        result = results[number]
        if not result.success:
            offence = _offence(rule, result, table, wavelength)
            faults.append(offence[0])
            pieces.append(offence[1])
        elif rule.table == WHOLE and table[rule.column].isna().all():
            notes.append(f"not evaluated, the grid has too few spectra: {rule.sentence}")
        elif not rule.column and "observed_value" in result.result and result.result["observed_value"] is None:
            notes.append(f"not evaluated, the grid has too few different values: {rule.sentence}")
    return Findings(tuple(faults), join_violations(pieces), tuple(notes), suite_result)


def join_violations(pieces: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Tables of violations as one, with its columns even where there are none."""
    empty = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in VIOLATIONS.items()})
    return pd.concat(pieces, ignore_index=True) if pieces else empty


def run_expectations(name: str, table: pd.DataFrame, expected: Sequence[Rule]) -> Any:
    """Great Expectations' results of rules on one table, each with its rule's number in ``meta``."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = great_expectations.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("grid").add_dataframe_asset(name)
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": table})
    suite = great_expectations.ExpectationSuite(
        name=f"data contract: {name}", expectations=[_expectation(rule, number) for number, rule in enumerate(expected)]
    )
    return batch.validate(suite, result_format={"result_format": "COMPLETE"})


def _expectation(rule: Rule, number: int) -> Any:
    from great_expectations import expectations as theirs

    kind = own_expectations().get(rule.expectation) or getattr(theirs, rule.expectation)
    column = {"column": rule.column} if rule.column else {}
    return kind(**column, **rule.settings, meta={"rule": number}, description=rule.sentence or None)


def _offence(
    rule: Rule, result: Any, table: pd.DataFrame, wavelength: NDArray[np.float64]
) -> tuple[Fault, pd.DataFrame]:
    """A broken rule as a fault, and all its violations."""
    exception = _exception(result.exception_info)
    if exception:
        message = f"{rule.expectation} of {rule.column or 'the grid'} could not be evaluated: {exception}"
        fault = Fault(rule.expectation, rule.column, 0, (), (), (), rule.bounds, message)
        return fault, _violations(rule, message, [_WHOLE], [_WHOLE], [""])
    if not rule.column:
        observed = result.result.get("observed_value")
        shown = "" if observed is None else str(observed)
        message = rule.phrase.replace(_OBSERVED, shown)
        fault = Fault(rule.expectation, "", len(table), (), (), (shown,), rule.bounds, message)
        return fault, _violations(rule, message, [_WHOLE], [_WHOLE], [observed])
    if rule.table == WHOLE:
        observed = table[rule.column].iloc[0]
        message = rule.phrase.replace(_OBSERVED, f"{observed:.4g}")
        fault = Fault(rule.expectation, rule.column, 0, (), (), (str(observed),), rule.bounds, message)
        return fault, _violations(rule, message, [_WHOLE], [_WHOLE], [observed])
    offenders = table.loc[list(result.result["unexpected_index_list"])]
    observed = list(offenders[rule.column])
    if rule.table == PIXELS:
        return _pixel_offence(rule, offenders, observed)
    rows, run_ids = offenders.index.to_numpy(), offenders["run_id"].to_numpy()
    places = None
    if rule.pixel_column:
        pixel = offenders[rule.pixel_column].to_numpy(dtype=np.int64)
        places = pd.DataFrame({"pixel": pixel, "wavelength": wavelength[pixel]})
    message = f"{rule.subject} of {counted(len(rows), 'spectrum', 'spectra')} {rule.phrase}: "
    fault = Fault(
        rule.expectation,
        rule.column,
        len(rows),
        tuple(int(row) for row in rows[:ROWS_NAMED]),
        tuple(int(run) for run in run_ids[:ROWS_NAMED]),
        tuple(str(value) for value in observed[:ROWS_NAMED]),
        rule.bounds,
        message + _named("row", rows, [_of_row(*cells) for cells in zip(run_ids, observed, strict=True)], places),
    )
    return fault, _violations(rule, f"{rule.subject} {rule.phrase}", rows, run_ids, observed, places)


def _pixel_offence(rule: Rule, offenders: pd.DataFrame, observed: list[Any]) -> tuple[Fault, pd.DataFrame]:
    count = len(offenders)
    message = f"{rule.subject} of {counted(count, 'pixel', 'pixels')} {rule.phrase}: "
    message += _named("pixel", offenders["pixel"].to_numpy(), [str(value) for value in observed], offenders)
    fault = Fault(
        rule.expectation, rule.column, count, (), (), tuple(map(str, observed[:ROWS_NAMED])), rule.bounds, message
    )
    nowhere = [_WHOLE] * count
    return fault, _violations(rule, f"{rule.subject} {rule.phrase}", nowhere, nowhere, observed, offenders)


def _violations(
    rule: Rule,
    message: str,
    rows: Sequence[int] | NDArray[np.int64],
    run_ids: Sequence[int] | NDArray[np.int64],
    observed: Sequence[Any],
    places: pd.DataFrame | None = None,
) -> pd.DataFrame:
    lower, upper = rule.bounds or (None, None)
    content = {
        "row": np.asarray(rows, dtype=np.int64),
        "run_id": np.asarray(run_ids, dtype=np.int64),
        "expectation": rule.expectation,
        "subject": rule.subject,
        "pixel": -1 if places is None else places["pixel"].to_numpy(),
        "wavelength": np.nan if places is None else places["wavelength"].to_numpy(),
        "observed": pd.to_numeric(pd.Series(list(observed), dtype=object), errors="coerce").to_numpy(dtype=np.float64),
        "observed_text": ["" if value is None else str(value) for value in observed],
        "lower": np.nan if lower is None else float(lower),
        "upper": np.nan if upper is None else float(upper),
        "message": message,
    }
    return pd.DataFrame(content).astype(VIOLATIONS)[list(VIOLATIONS)]


def _of_row(run_id: int, observed: Any) -> str:
    return f"run {run_id}, {_short(str(observed))}"


def _named(kind: str, numbers: NDArray[np.int64], texts: Sequence[str], places: pd.DataFrame | None) -> str:
    """The first offenders: "rows 3 (run 1, 0.2 at 8500.1), ... and 4 more"."""
    wavelengths = None if places is None else places["wavelength"].to_numpy()
    shown = []
    for offender, (number, text) in enumerate(zip(numbers[:_ROWS_SHOWN], texts, strict=False)):
        where = "" if wavelengths is None else f" at {wavelengths[offender]:.10g}"
        shown.append(f"{number} ({text}{where})")
    hidden = len(numbers) - len(shown)
    more = f" and {hidden} more" if hidden else ""
    return f"{kind if len(numbers) == 1 else f'{kind}s'} {', '.join(shown)}{more}"


def _short(value: str) -> str:
    """A number as it is; of a hash enough to see which ones are equal."""
    return value if len(value) < 32 else value[:8]


def _exception(information: Mapping[str, Any]) -> str:
    """First line of what an expectation raised, empty if nothing: one exception, or one for each of its metrics."""
    raised = [information] if "raised_exception" in information else list(information.values())
    messages = [str(one["exception_message"]) for one in raised if one.get("raised_exception")]
    return messages[0].strip().splitlines()[0] if messages else ""
