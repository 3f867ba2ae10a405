"""The contract's section ``expectations``: what the spectra of a grid must show beyond bounds and wavelength axis."""

from collections.abc import Iterable
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

MEAN_FLUX = "mean flux"
LINE_WIDTH = "line width"
"""Measure of a spectrum that correlations may name besides the depths of lines."""


def depth_of(line: str) -> str:
    """Name of the measure of a line's depth."""
    return f"depth {line}"


def _ascending(interval: tuple[float, float]) -> tuple[float, float]:
    if not interval[0] < interval[1]:
        raise ValueError(f"the first of two bounds must be the lower one, got {interval[0]:g} and {interval[1]:g}")
    return interval


Where = dict[str, Annotated[tuple[float, float], AfterValidator(_ascending)]]
WHERE = "Label ranges, inclusive: only spectra inside all of them are looked at."


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Limits(_Frozen):
    """Inclusive bounds of a number; one of them may be missing."""

    lower: float | None = Field(default=None, description="Smallest value allowed.")
    upper: float | None = Field(default=None, description="Largest value allowed; this, `lower` or both must be given.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.lower is None and self.upper is None:
            raise ValueError("give lower, upper or both")
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise ValueError(f"lower ({self.lower}) must not exceed upper ({self.upper})")
        return self


class Least(_Frozen):
    """Smallest value allowed."""

    lower: float = Field(description="Smallest value allowed.")


class Most(_Frozen):
    """Largest value allowed."""

    upper: float = Field(ge=0, description="Largest value allowed.")


class StatisticalLeast(Least):
    """Smallest value allowed, in a grid that is large enough to test it."""

    spectra: int = Field(ge=2, description="Smaller grids are not evaluated.")


class StatisticalMost(Most):
    """Largest value allowed, in a grid that is large enough to test it."""

    spectra: int = Field(ge=2, description="Smaller grids are not evaluated.")


class Continuum(_Limits):
    """Bounds of an upper quantile of each spectrum's flux."""

    quantile: float = Field(gt=0.5, lt=1, description="Share of the pixels whose flux lies below it.")


class LinePosition(_Limits):
    """Bounds in Angstrom of a line's centroid against its place in ``regions.line_cores``."""

    line: str = Field(description="One of `regions.line_cores`.")
    half_width: float = Field(gt=0, description="Angstrom either side of the place over which the centroid is taken.")
    where: Where = Field(default_factory=dict, description=WHERE)


class RankCorrelation(_Limits):
    """Bounds of the rank correlation of a measure with a label, all other labels held fixed."""

    measure: str = Field(description=f"`{MEAN_FLUX}`, `{LINE_WIDTH}`, or `{depth_of('LINE')}` of a line by its name.")
    label: str = Field(description="Name of a label.")
    where: Where = Field(default_factory=dict, description=WHERE)
    values: int = Field(ge=10, description="Different values of the label; fewer are not evaluated.")


class Identity(_Frozen):
    """No label vector occurs twice; the rows of a run share its labels and its part of the split; runs differ."""

    run_distance: float = Field(
        gt=0, description="Least distance of two runs along the longest side of the unit label box."
    )


class Coverage(_Frozen):
    """Bins of equal probability under a label's sampling density, none of which may be empty."""

    bins: int = Field(ge=2, description="Number of bins of each label.")
    values: int = Field(ge=2, description="Different values of the label; fewer are not evaluated.")


class Expectations(_Frozen):
    """Limits by the name of an expectation; an expectation that is left out is not checked."""

    continuum: Continuum | None = Field(default=None, description="How near the flux comes to its continuum.")
    contrast: Least | None = Field(default=None, description="Maximum minus minimum of a spectrum.")
    clipped_pixels: Most | None = Field(default=None, description="Pixels that lie exactly on a flux bound.")
    repeated_pixels: Most | None = Field(default=None, description="Neighbouring pixels of one and the same value.")
    spike: Most | None = Field(default=None, description="Distance of a pixel from a curve through its neighbours.")
    stuck_pixel: StatisticalLeast | None = Field(default=None, description="Range of a pixel's flux over the grid.")
    line_position: tuple[LinePosition, ...] = Field(default=(), description="Where lines lie: air is not vacuum.")
    rank_correlation: tuple[RankCorrelation, ...] = Field(
        default=(), description="How spectra follow their labels: columns are not swapped."
    )
    label_residual: StatisticalMost | None = Field(
        default=None, description="Distance of labels from those of similar spectra, in units of half their range."
    )
    identity: Identity | None = Field(default=None, description="What is the same, and what must differ.")
    coverage: Coverage | None = Field(default=None, description="No part of a label's range is left out.")

    @model_validator(mode="before")
    @classmethod
    def _known(cls, content: Any) -> Any:
        unknown = [str(name) for name in content if name not in cls.model_fields] if isinstance(content, dict) else []
        if unknown:
            raise ValueError(f"no expectation is called {', '.join(unknown)}: known are {', '.join(cls.model_fields)}")
        return content

    def fault(self, labels: Iterable[str], lines: Iterable[str]) -> str:
        """Labels or lines that the section names but the contract lacks, in one line; empty if there are none."""
        known = {
            "label": list(labels),
            "line": list(lines),
            "measure": [MEAN_FLUX, LINE_WIDTH, *(depth_of(line) for line in lines)],
        }
        restricted: tuple[LinePosition | RankCorrelation, ...] = (*self.line_position, *self.rank_correlation)
        for limits in restricted:
            named = {kind: getattr(limits, kind) for kind in known if kind in type(limits).model_fields}
            for kind, name in (*named.items(), *(("label", label) for label in limits.where)):
                if name not in known[kind]:
                    return f"{name} is no {kind} of this contract ({', '.join(known[kind])})"
        return ""
