"""Checks a grid against its data contract with Great Expectations, and names the spectra that break it.

Everything expected is a `Rule` built from the contract. Great Expectations sees the summaries, one row a spectrum,
never the flux itself. Rows are counted from 0.
"""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from stellar_emulator.contract import Contract, Label, WavelengthAxis
from stellar_emulator.errors import InputError, RefusedError
from stellar_emulator.grid.store import Grid, axis_matches, grid_digest
from stellar_emulator.grid.summaries import summaries, summary_columns

WAVELENGTH_AXIS = "wavelength_axis"
"""The expectation of a fault in the wavelengths, found before any flux is read."""

ROWS_NAMED = 20
"""Offending spectra that a fault lists; it counts all."""

_ROWS_SHOWN = 3
_FAULTS_SHOWN = 3

_UNITS = {"nm": 1e1, "micrometres": 1e4, "centimetres": 1e8, "metres": 1e10}

# A vacuum wavelength exceeds its air wavelength by this share, from the near ultraviolet to the infrared.
_REFRACTIVITY = (2.7e-4, 2.95e-4)


@dataclass(frozen=True)
class Rule:
    """One expectation: the name of its Great Expectations class with settings, and how to tell a breach of it.

    For a rule on a column the message reads "``subject`` of 2 spectra ``phrase``: rows ..."; for a rule on the whole
    table (no column) it is ``phrase`` alone.
    """

    expectation: str
    phrase: str
    column: str = ""
    subject: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def bounds(self) -> tuple[float | None, float | None] | None:
        """Lower and upper bound, None for what the rule does not bound."""
        if not {"min_value", "max_value"} & set(self.settings):
            return None
        return self.settings.get("min_value"), self.settings.get("max_value")


@dataclass(frozen=True)
class Fault:
    """One expectation that a grid breaks.

    column: empty for a fault of the grid as a whole; count: offending spectra; rows, run_ids, observed: the first
    `ROWS_NAMED` of them, with the observed value as text; bounds: lower and upper; message: one line for the user.
    """

    expectation: str
    column: str
    count: int
    rows: tuple[int, ...]
    run_ids: tuple[int, ...]
    observed: tuple[str, ...]
    bounds: tuple[float | None, float | None] | None
    message: str


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    digest: the grid's, see `store.Grid.digest`; empty where wrong wavelengths ended the check before the flux was read.
    contract_digest: of the contract that it was checked by. notes: what was assumed of the grid, never a fault.
    """

    passed: bool
    rows: int
    digest: str
    faults: tuple[Fault, ...]
    contract_digest: str
    notes: tuple[str, ...]

    def summary(self) -> str:
        """One line a fault, each naming the offending spectra; one line if the grid passed."""
        if self.passed:
            return f"{self.rows} spectra obey the data contract"
        return "\n".join(fault.message for fault in self.faults)

    def to_dict(self) -> dict[str, object]:
        """Content of ``verdict.json``."""
        return asdict(self)


def require_valid(grid: Grid, contract: Contract) -> Verdict:
    """Check a grid and return the verdict, which is a pass.

    Raises
    ------
    InputError
        If the wavelengths aren't the contract's, or the file can't be read to its end.
    RefusedError
        If a spectrum breaks a rule; the message names the first faults and their spectra.
    """
    verdict = validate(grid, contract)
    require_passed(verdict, grid)
    return verdict


def require_passed(verdict: Verdict, grid: Grid) -> None:
    """Raise as `require_valid` does, for a verdict that is there already."""
    if verdict.passed:
        return
    shown = "; ".join(fault.message for fault in verdict.faults[:_FAULTS_SHOWN])
    hidden = len(verdict.faults) - _FAULTS_SHOWN
    more = f"; and {_counted(hidden, 'more fault', 'more faults')}" if hidden > 0 else ""
    wrong_axis = verdict.faults[0].expectation == WAVELENGTH_AXIS
    raise (InputError if wrong_axis else RefusedError)(f"grid {grid.path.name} breaks the data contract: {shown}{more}")


def validate(grid: Grid, contract: Contract) -> Verdict:
    """Check wavelengths first, then every spectrum, reading the flux once in row groups.

    Raises
    ------
    InputError
        If the file can't be read to its end.
    """
    notes = grid.provenance.get("notes")
    noted = tuple(str(note) for note in notes) if isinstance(notes, list) else ()
    message = axis_fault(grid, contract.wavelength)
    if message:
        fault = Fault(WAVELENGTH_AXIS, "", grid.rows, (), (), (), None, message)
        return Verdict(False, grid.rows, "", (fault,), contract.digest, noted)
    table = summaries(grid)
    faults = find_faults(table, contract)
    return Verdict(not faults, grid.rows, grid_digest(grid, list(table["flux_hash"])), faults, contract.digest, noted)


def axis_fault(grid: Grid, axis: WavelengthAxis) -> str:
    """What is wrong with a grid's wavelengths, in one line with the remedy; empty if they are the contract's."""
    wavelength = grid.wavelength
    wanted = f"{axis.count} pixels, {axis.start:g} to {axis.stop:.10g} {axis.unit} in steps of {axis.step:g}"
    resample = f"resample the flux to {wanted}"
    if wavelength.ndim != 1 or not len(wavelength) or not np.isfinite(wavelength).all():
        return f"wavelengths are not finite numbers, one a pixel: give {wanted}"
    given = f"{wavelength[0]:.10g}-{wavelength[-1]:.10g}"
    for unit, factor in _UNITS.items():
        if 0.8 < np.median(wavelength) * factor / np.median(axis.pixels) < 1.25:
            return f"wavelengths {given} look like {unit}: multiply by {factor:.0f} to get {axis.unit}"
    if len(wavelength) != axis.count:
        return f"the spectra have {len(wavelength)} pixels ({given}), the contract wants {axis.count}: {resample}"
    if not (np.diff(wavelength) > 0).all():
        return f"wavelengths {given} don't increase from pixel to pixel: sort them, and the flux with them"
    if grid.medium != axis.medium:
        return f"wavelengths are in {grid.medium}, the contract wants {axis.medium}: convert them, then {resample}"
    if axis_matches(wavelength, axis):
        return ""
    shift = np.median(wavelength / axis.pixels - 1.0) * (1.0 if axis.medium == "air" else -1.0)
    if _REFRACTIVITY[0] < shift < _REFRACTIVITY[1]:
        other = "vacuum" if axis.medium == "air" else "air"
        return f"wavelengths {given} look like {other}, the contract wants {axis.medium}: convert them"
    pixel = int(np.argmax(np.abs(wavelength - axis.pixels) > 1e-2 * axis.step))
    return (
        f"wavelengths {given} are not the contract's: pixel {pixel} lies at {wavelength[pixel]:.10g} instead of "
        f"{axis.pixels[pixel]:.10g}: {resample}"
    )


def rules(contract: Contract) -> tuple[Rule, ...]:
    """Everything expected of the summaries of a grid; nothing but the contract says what."""
    columns = summary_columns(contract.label_names)
    pixels, flux = contract.wavelength.count, contract.flux
    return (
        Rule(
            "ExpectTableColumnsToMatchOrderedList",
            f"the columns are not those of the contract, in its order ({', '.join(contract.label_names)})",
            settings={"column_list": columns},
        ),
        Rule("ExpectTableRowCountToBeBetween", "the grid holds no spectrum", settings={"min_value": 1}),
        *(_present(name) for name in ("run_id", *contract.label_names, "weight")),
        *(_inside(label) for label in contract.labels),
        _between("weight", "weight", "is not above 0", min_value=0.0, strict_min=True),
        _between("pixels", "flux", f"has not {pixels} pixels", min_value=pixels, max_value=pixels),
        _between("non_finite", "flux", "holds NaN or infinite pixels", min_value=0, max_value=0),
        _between("flux_minimum", "flux", f"falls below {flux.lower:g}", min_value=flux.lower),
        _between("flux_maximum", "flux", f"exceeds {flux.upper:g}", max_value=flux.upper),
        Rule("ExpectColumnValuesToBeUnique", "is the same as another's, pixel for pixel", "flux_hash", "flux"),
    )


def _present(column: str) -> Rule:
    return Rule("ExpectColumnValuesToNotBeNull", "is missing or NaN", column, column)


def _inside(label: Label) -> Rule:
    phrase = f"lies outside {label.lower:.10g} to {label.upper:.10g} {label.unit}".rstrip()
    return _between(label.name, label.name, phrase, min_value=label.lower, max_value=label.upper)


def _between(column: str, subject: str, phrase: str, **settings: float) -> Rule:
    return Rule("ExpectColumnValuesToBeBetween", phrase, column, subject, settings)


def find_faults(table: pd.DataFrame, contract: Contract) -> tuple[Fault, ...]:
    """Faults of a table of `summaries`, in the order of the `rules`."""
    expected = rules(contract)
    results = {int(result.expectation_config.meta["rule"]): result for result in _evaluate(table, expected)}
    return tuple(
        _fault(rule, results[number], table) for number, rule in enumerate(expected) if not results[number].success
    )


def _evaluate(table: pd.DataFrame, expected: tuple[Rule, ...]) -> list[Any]:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = great_expectations.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("grid").add_dataframe_asset("summaries")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": table})
    suite = great_expectations.ExpectationSuite(
        name="data contract", expectations=[_expectation(rule, number) for number, rule in enumerate(expected)]
    )
    return list(batch.validate(suite, result_format={"result_format": "COMPLETE"}).results)


def _expectation(rule: Rule, number: int) -> Any:
    from great_expectations import expectations

    column = {"column": rule.column} if rule.column else {}
    return getattr(expectations, rule.expectation)(**column, **rule.settings, meta={"rule": number})


def _fault(rule: Rule, result: Any, table: pd.DataFrame) -> Fault:
    exception = _exception(result.exception_info)
    if exception:
        message = f"{rule.expectation} of {rule.column or 'the grid'} could not be evaluated: {exception}"
        return Fault(rule.expectation, rule.column, 0, (), (), (), rule.bounds, message)
    if not rule.column:
        found = str(result.result.get("observed_value"))
        return Fault(rule.expectation, "", len(table), (), (), (found,), rule.bounds, rule.phrase)
    count = int(result.result["unexpected_count"])
    offenders = table.loc[list(result.result["unexpected_index_list"])[:ROWS_NAMED]]
    rows = tuple(int(row) for row in offenders.index)
    run_ids = tuple(int(run) for run in offenders["run_id"])
    observed = tuple(str(value) for value in offenders[rule.column].to_numpy())
    message = f"{rule.subject} of {_counted(count, 'spectrum', 'spectra')} {rule.phrase}: "
    return Fault(
        rule.expectation,
        rule.column,
        count,
        rows,
        run_ids,
        observed,
        rule.bounds,
        message + _named(count, rows, run_ids, observed),
    )


def _named(count: int, rows: tuple[int, ...], run_ids: tuple[int, ...], observed: tuple[str, ...]) -> str:
    first = list(zip(rows, run_ids, observed, strict=True))[:_ROWS_SHOWN]
    shown = ", ".join(f"{row} (run {run}, {_short(value)})" for row, run, value in first)
    more = f" and {count - len(first)} more" if count > len(first) else ""
    return f"{'row' if count == 1 else 'rows'} {shown}{more}"


def _short(value: str) -> str:
    """A number as it is; of a hash enough to see which ones are equal."""
    return value if len(value) < 32 else value[:8]


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _exception(information: Mapping[str, Any]) -> str:
    """First line of what an expectation raised, empty if nothing: one exception, or one for each of its metrics."""
    raised = [information] if "raised_exception" in information else list(information.values())
    messages = [str(one["exception_message"]) for one in raised if one.get("raised_exception")]
    return messages[0].strip().splitlines()[0] if messages else ""
