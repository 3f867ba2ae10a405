"""The contract's section ``gate``: the limits that a pair of models must meet on the gate set to serve as champion."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0)]
ByLabel = dict[str, Positive]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FluxCeilings(_Frozen):
    """Largest flux errors, as `evaluation.flux_error.FluxErrorRow` defines them."""

    mae: Positive = Field(description="over the box")
    p90_mae: Positive = Field(description="of 90 % of the box")
    hard_mae: Positive = Field(description="in the hard region")
    core_mae: Positive = Field(description="in the line cores")


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

    @property
    def by_label(self) -> dict[str, ByLabel]:
        """The limits that are given for each label, by field name."""
        return {"skill": self.skill, "ratio": self.ratio, "shift": self.shift, "region_ratio": self.region_ratio}
