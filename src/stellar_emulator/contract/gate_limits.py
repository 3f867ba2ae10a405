"""The contract's section ``gate``: the limits that a pair of models must meet on the gate set to serve as champion."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

Positive = Annotated[float, Field(gt=0)]
ByLabel = dict[str, Positive]

VELOCITY = "radial_velocity"
"""Stands among the labels where shifts on observed spectra are limited."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FluxCeilings(_Frozen):
    """Largest flux errors, as `evaluation.flux_error.FluxErrorRow` defines them."""

    mae: Positive = Field(description="over the box")
    p90_mae: Positive = Field(description="of 90 % of the box")
    hard_mae: Positive = Field(description="in the hard region")
    core_mae: Positive = Field(description="in the line cores")


class PixelLimits(_Frozen):
    """Largest errors of any pixel and any line on the gate set, so that one line can't hide among thousands of pixels.

    Those of pixels are in units of the ceiling ``flux_error.mae``: four champions reach 2.2 over the box,
    6.3 in a region and 62 in one spectrum, and 0.033 in a line.
    """

    box: Positive = Field(default=6.0, description="RMS error of any pixel over the box, over the ceiling of the MAE.")
    region: Positive = Field(default=12.0, description="The same in any region, and in any tenth of any label.")
    any: Positive = Field(default=150.0, description="Error of any pixel of any spectrum, over the same ceiling.")
    line: Positive = Field(
        default=0.1, description="RMS error of any line's equivalent width over the line's RMS, over box and regions."
    )


class StatedLimits(_Frozen):
    """Factors by which the errors that a pair states of itself may differ from those that it has on the gate set.

    Training measured them on its test set, another sample of the box. For the shipped pairs they differ by at most 1.02
    over the box and 1.9 in a region; a small test set constrains a region's errors poorly.
    """

    box: Positive = Field(default=2.0, description="Largest factor over the label box.")
    region: Positive = Field(default=5.0, description="Largest factor in any region with enough runs of the gate set.")


class FreshLimits(_Frozen):
    """What must hold at labels drawn after training, where no spectrum was computed.

    Sizes give an island of 1e-5 of the box five draws on average. The other figures are in units that the gate set
    sets itself: its largest residuals, its judges' RMSE.
    """

    spectra: int = Field(default=524_288, ge=64, description="Labels drawn in the box, each looked at by itself.")
    lines: int = Field(default=256, ge=8, description="Lines of 192 spectra through the box along each label.")
    coarse: int = Field(
        default=98_304,
        ge=256,
        description="Spectra on further lines along each label, in steps as wide as it is smooth.",
    )
    resemblance: Positive = Field(
        default=3.0,
        description="What principal components of the gate set leave of any pixel, over the most that they leave of "
        "the gate set's own spectra near it.",
    )
    outlier: Positive = Field(
        default=15.0, description="A judge's error of any label, over its largest on the gate set near it."
    )
    ratio: Positive = Field(default=1.5, description="RMSE of the judges at fresh labels over that on the gate set.")
    place_room: float = Field(
        default=0.1,
        ge=0,
        description="How far beyond `line_position` a line may lie, as a share of that range: so many labels lead to "
        "rarer blends than the grid on which the range was set.",
    )
    jump: Positive = Field(
        default=0.4, description="Break of the flux along a label, as a shift of it in units of its RMSE."
    )
    kink: Positive = Field(default=0.08, description="The same where half of all lines have one in the same place.")
    pixel_jump: Positive = Field(default=0.05, description="Largest break of any pixel's flux along a label.")


class ObservedLimits(_Frozen):
    """How far a challenger may move what the champion finds in observed spectra, which `promote --observed` fits."""

    shift: ByLabel = Field(
        min_length=1,
        description="Largest median shift, up or down, of any labels of the contract and of `radial_velocity`, in "
        "units of the champion's errors of the fits.",
    )
    spectra: int = Field(default=100, ge=1, description="Smallest number of spectra that both pairs fit.")


class GateLimits(_Frozen):
    """Limits and margins; those by label are given for every accuracy label, in its unit if it has one."""

    runs: int = Field(ge=2, description="Smallest number of runs.")
    spectra: int = Field(ge=2, description="Smallest number of spectra.")
    judges: int = Field(ge=1, description="Number of seeds with which the judge is trained.")
    resamples: int = Field(ge=2000, description="Bootstrap resamples over runs.")
    confidence: float = Field(gt=0.5, lt=1, description="Confidence level of each one-sided bound.")
    skill: ByLabel = Field(description="Smallest 1 - MSE / variance of the judge on computed spectra.")
    ratio: ByLabel = Field(description="Upper bound of RMSE generated / RMSE test must lie below it.")
    strict_ratio: Positive = Field(description="The same for all labels; it is reported but does not count.")
    smooth_ratio: Positive = Field(description="A ratio significantly below it warns.")
    bias: Positive = Field(description="Largest difference of mean errors, in units of RMSE test.")
    shift: ByLabel = Field(description="Largest RMS shift of a label.")
    determined_signal_to_noise: Positive = Field(
        description="The shift by the flux counts if a spectrum of this S/N constrains a label better than the box."
    )
    determined_share: float = Field(gt=0, le=1, description="Smallest share of the box in which it must count.")
    region_ratio: ByLabel = Field(description="Largest RMSE generated / RMSE test in any bin.")
    region_skill: float = Field(lt=1, description="Skill of the judge in a bin below which the bin is not informative.")
    flux_error: FluxCeilings = Field(description="Largest flux errors.")
    grid: str = Field(
        default="",
        pattern="^([0-9a-f]{12,64})?$",
        description="Digest of the gate set, or 12 digits of it or more; absent: the embedded one, else the one of the "
        "first promotion.",
    )
    stated: StatedLimits = Field(
        default_factory=StatedLimits, description="Agreement of stated errors with those on the gate set."
    )
    pixels: PixelLimits = Field(default_factory=PixelLimits, description="Largest errors of single pixels and lines.")
    fresh: FreshLimits = Field(default_factory=FreshLimits, description="At labels drawn after training.")
    observed: ObservedLimits | None = Field(
        default=None, description="Shifts on observed spectra; absent: they are reported and don't count."
    )

    @model_serializer(mode="wrap")
    def _stated(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out the limits on observed spectra, which earlier versions did not have, where there are none."""
        return {name: value for name, value in handler(self).items() if name != "observed" or value is not None}

    @property
    def by_label(self) -> dict[str, ByLabel]:
        """The limits that are given for each label, by field name."""
        return {"skill": self.skill, "ratio": self.ratio, "shift": self.shift, "region_ratio": self.region_ratio}
