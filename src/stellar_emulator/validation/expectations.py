"""The project's own Great Expectations classes. Each one's ``description`` is the sentence that Data Docs show.

Great Expectations takes seconds to import, and its classes can be derived from only then: `own_expectations` does both.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar

import pandas as pd

from stellar_emulator.contract.axis import WavelengthAxis
from stellar_emulator.contract.label import Label
from stellar_emulator.validation.axis_fault import axis_fault
from stellar_emulator.validation.grid_statistics import empty_bins, rank_correlation


@cache
def own_expectations() -> dict[str, Any]:
    """All classes below by their names; Great Expectations is imported when this is first called."""
    from great_expectations.core.metric_domain_types import MetricDomainTypes
    from great_expectations.execution_engine import PandasExecutionEngine
    from great_expectations.expectations import (
        ExpectColumnPairValuesToBeEqual,
        ExpectColumnValuesToBeBetween,
        ExpectColumnValuesToBeUnique,
    )
    from great_expectations.expectations.expectation import BatchExpectation
    from great_expectations.expectations.metrics.metric_provider import metric_value
    from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider

    class ExpectFluxToBeFinite(ExpectColumnValuesToBeBetween):
        """Expect no pixel of a spectrum to be NaN or infinite."""

    class ExpectFluxToBeInRange(ExpectColumnValuesToBeBetween):
        """Expect the lowest and highest flux of a spectrum to lie within the contract's bounds."""

    class ExpectSpectraToBeUnique(ExpectColumnValuesToBeUnique):
        """Expect no spectrum to be the same as another, pixel for pixel."""

    class ExpectLabelsToBeUnique(ExpectColumnValuesToBeUnique):
        """Expect no two spectra to have the same labels throughout."""

    class ExpectContinuumNearOne(ExpectColumnValuesToBeBetween):
        """Expect an upper quantile of a normalised flux to lie near 1; it does not if never or twice normalised."""

    class ExpectSpectrumToHaveContrast(ExpectColumnValuesToBeBetween):
        """Expect the highest and the lowest flux of a spectrum to differ: a flat spectrum has no information."""

    class ExpectNoClippedPixels(ExpectColumnValuesToBeBetween):
        """Expect no pixel to lie exactly on a bound of the flux: such pixels are dead or saturated."""

    class ExpectNoRepeatedPixels(ExpectColumnValuesToBeBetween):
        """Expect no stretch of neighbouring pixels to hold one value: such pixels are dead or filled in."""

    class ExpectNoSpikes(ExpectColumnValuesToBeBetween):
        """Expect every pixel to follow the smooth curve through its neighbours, which the instrument cannot leave."""

    class ExpectPixelsToVary(ExpectColumnValuesToBeBetween):
        """Expect each pixel's flux to vary from spectrum to spectrum: a stuck pixel does not."""

    class ExpectLinesAtTheirPlaces(ExpectColumnValuesToBeBetween):
        """Expect the centroid of a line in slow rotators at its place; wrong wavelengths move it."""

    class ExpectSpectraToFollowTheirLabels(ExpectColumnValuesToBeBetween):
        """Expect a spectrum's labels among those of the spectra that look alike: a wrong label lies beyond them."""

    class ExpectRunsToFollowTheirLabels(ExpectColumnValuesToBeBetween):
        """Expect a run's labels where a regression over similar spectra of other runs puts them."""

    class ExpectWeightsToFollowLabels(ExpectColumnValuesToBeBetween):
        """Expect weights to be a smooth function of the labels, as the inverse of a density is."""

    class ExpectWeightsToFitTheDensity(ExpectColumnValuesToBeBetween):
        """Expect weights to average 1 and to make the labels' distribution uniform."""

    class ExpectRunsToKeepApart(ExpectColumnValuesToBeBetween):
        """Expect no run to be a copy of another with its labels moved a little."""

    class ExpectLabelsToLieWithinHull(ExpectColumnValuesToBeBetween):
        """Expect labels to lie in the region in which the contract draws them."""

    class ExpectSpectraToKeepApart(ExpectColumnValuesToBeBetween):
        """Expect no spectrum of a run to be a copy of another with its labels moved a little."""

    class ExpectLabelsToVary(ExpectColumnValuesToBeBetween):
        """Expect a label to take many values, and none of them often."""

    class ExpectNoHolesInLabels(ExpectColumnValuesToBeBetween):
        """Expect no rectangle of two labels to be empty where many draws are due."""

    class ExpectLinesToBeThere(ExpectColumnValuesToBeBetween):
        """Expect a line's median depth in stars that show it; a line left out of a list has none."""

    class ExpectLinesAtTheirMedianPlaces(ExpectColumnValuesToBeBetween):
        """Expect a line's median centroid at its place; a stretched scale or a velocity moves it."""

    class ExpectDeparturesWithinErrors(ExpectColumnValuesToBeBetween):
        """Expect spectra to be those of a reference, as well as the reference itself is known."""

    class ExpectLabelsAsTheReference(ExpectColumnValuesToBeBetween):
        """Expect the labels that a reference would need for the spectra to be those given."""

    class ExpectRunToAgreeInItsLabels(ExpectColumnValuesToBeBetween):
        """Expect all rows of a run to have the run's labels."""

    class ExpectRunInOnePart(ExpectColumnValuesToBeBetween):
        """Expect all rows of a run in one part of the split: none may be trained on and tested on."""

    class ExpectRunsToDiffer(ExpectColumnValuesToBeBetween):
        """Expect runs of different numbers to have different labels: else a run may lie on both sides of the split."""

    class ExpectDigestAsRecorded(ExpectColumnPairValuesToBeEqual):
        """Expect the content of a grid to be what its provenance recorded when it was written."""

    class _TableMetric(TableMetricProvider):
        """What ``found`` makes of a whole table and of the metric's values."""

        found: ClassVar[Callable[..., object]]

        @metric_value(engine=PandasExecutionEngine)
        def _pandas(
            cls,  # noqa: N805
            execution_engine: Any,
            metric_domain_kwargs: dict[str, Any],
            metric_value_kwargs: dict[str, Any],
            metrics: dict[str, Any],
            runtime_configuration: dict[str, Any],
        ) -> object:
            domain = dict(metric_domain_kwargs)
            table, *_ = execution_engine.get_compute_domain(domain_kwargs=domain, domain_type=MetricDomainTypes.TABLE)
            return cls.found(pd.DataFrame(table), **metric_value_kwargs)

    class _RankCorrelation(_TableMetric):
        metric_name = "table.stellar_rank_correlation"
        value_keys = ("measure", "label", "others", "where", "values", "curved")
        found = staticmethod(rank_correlation)

    class _EmptyBins(_TableMetric):
        metric_name = "table.stellar_empty_bins"
        value_keys = ("label", "bins", "values")

        @staticmethod
        def found(table: pd.DataFrame, label: Mapping[str, Any], bins: int, values: int) -> list[str] | None:
            known = Label.model_validate(label)
            return empty_bins(known, table[known.name].to_numpy(), bins, values)

    class _AxisFault(_TableMetric):
        metric_name = "table.stellar_axis_fault"
        value_keys = ("axis",)

        @staticmethod
        def found(table: pd.DataFrame, axis: Mapping[str, Any]) -> str:
            medium = str(table["medium"].iloc[0]) if len(table) else ""
            return axis_fault(table["wavelength"].to_numpy(), medium, WavelengthAxis.model_validate(axis))

    class ExpectRankCorrelationToBeBetween(BatchExpectation):
        """Expect a measure of the spectra to follow a label as physics has it, the other labels held fixed.

        Shuffled, shifted or swapped labels break it. A grid with too few different values of the label is not
        evaluated: it meets the expectation, and no value is observed. A small grid's bounds are wider, by what chance
        alone makes of the correlation.
        """

        measure: str
        label: str
        others: Sequence[str]
        where: Mapping[str, Sequence[float]]
        values: int
        curved: bool = False
        min_value: float
        max_value: float

        metric_dependencies: ClassVar = (_RankCorrelation.metric_name,)
        success_keys: ClassVar = (*_RankCorrelation.value_keys, "min_value", "max_value")
        args_keys: ClassVar = success_keys

        def _validate(
            self, metrics: dict[str, Any], runtime_configuration: Any = None, execution_engine: Any = None
        ) -> dict[str, Any]:
            found = metrics[_RankCorrelation.metric_name]
            met = found is None or found.lies_between(self.min_value, self.max_value)
            return {"success": met, "result": {"observed_value": None if found is None else found.value}}

    class ExpectLabelToFillItsRange(BatchExpectation):
        """Expect spectra in every one of some ranges of a label that the contract's sampling makes equally likely.

        A grid with too few different values of the label is not evaluated.
        """

        label: Mapping[str, Any]
        bins: int
        values: int

        metric_dependencies: ClassVar = (_EmptyBins.metric_name,)
        success_keys: ClassVar = _EmptyBins.value_keys
        args_keys: ClassVar = success_keys

        def _validate(
            self, metrics: dict[str, Any], runtime_configuration: Any = None, execution_engine: Any = None
        ) -> dict[str, Any]:
            empty = metrics[_EmptyBins.metric_name]
            observed = None if empty is None else ", ".join(empty) or "none"
            return {"success": not empty, "result": {"observed_value": observed}}

    class ExpectWavelengthsToFollowAxis(BatchExpectation):
        """Expect the wavelengths of the pixels to be the contract's: start, step, count, unit and medium."""

        axis: Mapping[str, Any]

        metric_dependencies: ClassVar = (_AxisFault.metric_name,)
        success_keys: ClassVar = _AxisFault.value_keys
        args_keys: ClassVar = success_keys

        def _validate(
            self, metrics: dict[str, Any], runtime_configuration: Any = None, execution_engine: Any = None
        ) -> dict[str, Any]:
            fault = metrics[_AxisFault.metric_name]
            return {"success": not fault, "result": {"observed_value": fault or "as in the contract"}}

    own = [
        ExpectFluxToBeFinite,
        ExpectFluxToBeInRange,
        ExpectSpectraToBeUnique,
        ExpectLabelsToBeUnique,
        ExpectContinuumNearOne,
        ExpectSpectrumToHaveContrast,
        ExpectNoClippedPixels,
        ExpectNoRepeatedPixels,
        ExpectNoSpikes,
        ExpectPixelsToVary,
        ExpectLinesAtTheirPlaces,
        ExpectSpectraToFollowTheirLabels,
        ExpectRunsToFollowTheirLabels,
        ExpectWeightsToFollowLabels,
        ExpectWeightsToFitTheDensity,
        ExpectRunsToKeepApart,
        ExpectLabelsToLieWithinHull,
        ExpectSpectraToKeepApart,
        ExpectLabelsToVary,
        ExpectNoHolesInLabels,
        ExpectLinesToBeThere,
        ExpectLinesAtTheirMedianPlaces,
        ExpectDeparturesWithinErrors,
        ExpectLabelsAsTheReference,
        ExpectRunToAgreeInItsLabels,
        ExpectRunInOnePart,
        ExpectRunsToDiffer,
        ExpectDigestAsRecorded,
        ExpectRankCorrelationToBeBetween,
        ExpectLabelToFillItsRange,
        ExpectWavelengthsToFollowAxis,
    ]
    return {kind.__name__: kind for kind in own}
