"""Axes of pixels: evenly spaced in wavelength or in its logarithm, or listed. No other module depends on steps."""

from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from stellar_emulator.contract.medium import Medium

SPEED_OF_LIGHT = 299792.458
"""Speed of light in km/s."""

Spacing = Literal["linear", "logarithmic", "listed"]

_SPACINGS: dict[str, Spacing] = {"step": "linear", "velocity_step": "logarithmic", "wavelengths": "listed"}
"""The spacing of an axis, by the one field that states it."""

MOST_PIXELS = 10_000_000
"""Of any axis: more than any spectrograph has, and less than would fill a machine's memory."""

_MATCH = 1e-2
"""Fraction of a pixel's width by which wavelengths may miss its centre, so that single precision passes."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __eq__(self, other: object) -> bool:
        """By fields alone: an axis that keeps its pixels is the same as one that has yet to compute them."""
        return isinstance(other, type(self)) and self.model_dump() == other.model_dump()


class WavelengthAxis(_Frozen):
    """Pixels, given by their centres: by `start` and a step in wavelength or velocity, or as a list."""

    start: float = Field(description="Centre of the first pixel; it may be left out if the pixels are listed.")
    step: float | None = Field(
        default=None, gt=0, description="Linear axis: from each centre to the next, the same for all."
    )
    velocity_step: float | None = Field(
        default=None,
        gt=0,
        description="Logarithmic axis: from each centre to the next in km/s, the speed of light times the step of ln "
        "wavelength (69.03 for steps of 1e-4 in log10).",
    )
    wavelengths: tuple[float, ...] | None = Field(
        default=None, description="Listed axis: all centres, ascending, in place of a step."
    )
    count: int = Field(
        ge=2,
        le=MOST_PIXELS,
        description="Number of pixels, 10 million at most; it may be left out if the pixels are listed.",
    )
    unit: Literal["Angstrom"] = Field(description="Of `start`, `step` and `wavelengths`.")
    medium: Medium = Field(description="In which the wavelengths are measured.")

    @model_validator(mode="before")
    @classmethod
    def _listed_are_counted(cls, given: Any) -> Any:
        listed = given.get("wavelengths") if isinstance(given, dict) else None
        if not isinstance(listed, list | tuple) or not listed:
            return given
        return {"start": listed[0], "count": len(listed), **given}

    @model_validator(mode="after")
    def _one_spacing(self) -> Self:
        given = [name for name in _SPACINGS if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise ValueError(
                f"wavelength: give one of step (linear), velocity_step (logarithmic) and wavelengths (listed), "
                f"got {found}"
            )
        if self.spacing == "logarithmic" and self.start <= 0:
            raise ValueError(f"wavelength: start must be above 0 on a logarithmic axis, got {self.start:g}")
        return self

    @model_validator(mode="after")
    def _list_ascends(self) -> Self:
        if self.wavelengths is None:
            return self
        if (self.start, self.count) != (self.wavelengths[0], len(self.wavelengths)):
            raise ValueError(
                f"wavelength: start {self.start:g} and count {self.count} are not those of the wavelengths listed "
                f"({self.wavelengths[0]:g}, {len(self.wavelengths)}): leave both out"
            )
        for lower, upper in pairwise(self.wavelengths):
            if not 0 < lower < upper:
                raise ValueError(
                    f"wavelength: wavelengths must be above 0 and ascend, but {upper:g} follows on {lower:g}"
                )
        return self

    @model_serializer(mode="wrap")
    def _stated(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The fields that a contract states, without those of the other spacings."""
        return {name: value for name, value in handler(self).items() if value is not None}

    @property
    def spacing(self) -> Spacing:
        return next(kind for name, kind in _SPACINGS.items() if getattr(self, name) is not None)

    @cached_property
    def pixels(self) -> NDArray[np.float64]:
        """Centres, shape (count,)."""
        return np.asarray(np.round(self._at(np.arange(self.count)), 6))

    @property
    def stop(self) -> float:
        """Centre of the last pixel."""
        return float(self.pixels[-1])

    @cached_property
    def edges(self) -> NDArray[np.float64]:
        """Edges of the pixels, half a step from their centres, and both ends, shape (count + 1,)."""
        return self._at(np.arange(self.count + 1) - 0.5)

    @cached_property
    def widths(self) -> NDArray[np.float64]:
        """Width of each pixel, in the axis's unit, shape (count,)."""
        return np.full(self.count, self.step) if self.step is not None else np.diff(self.edges)

    @property
    def width(self) -> float:
        """Width of a pixel in the middle, in the axis's unit; on a linear axis this is the step."""
        return float(np.median(self.widths))

    def every(self, pixels: int) -> "WavelengthAxis":
        """The axis of every so many pixels of this one, from the first on."""
        count = (self.count - 1) // pixels + 1
        changes: dict[str, Any] = {"count": count}
        if self.wavelengths is not None:
            changes["wavelengths"] = self.wavelengths[::pixels]
        for name in ("step", "velocity_step"):
            if getattr(self, name) is not None:
                changes[name] = getattr(self, name) * pixels
        return WavelengthAxis.model_validate({**self.model_dump(), **changes})

    @property
    def finest(self) -> float:
        """Width of the narrowest pixel, in the axis's unit."""
        return float(self.widths.min())

    @property
    def finest_velocity(self) -> float:
        """Smallest distance in km/s between the centres of neighbouring pixels."""
        if self.velocity_step is not None:
            return self.velocity_step
        if self.step is not None:
            return SPEED_OF_LIGHT * self.step / self.stop
        return float(SPEED_OF_LIGHT * np.diff(np.log(self.pixels)).min())

    @property
    def steps(self) -> str:
        """The step as text for messages: in the axis's unit, or in km/s with that unit."""
        if self.velocity_step is not None:
            return f"{self.velocity_step:.10g} km/s"
        if self.step is not None:
            return f"{self.step:.10g}"
        return f"{np.diff(self.pixels).min():.4g} to {np.diff(self.pixels).max():.4g}"

    def holds(self, wavelength: float) -> bool:
        """Whether a wavelength lies between the first and the last centre."""
        return self.start <= wavelength <= self.stop

    def matches(self, wavelength: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which wavelengths (count,) agree with the axis to a hundredth of a pixel; (count,)."""
        return np.asarray(np.abs(wavelength - self.pixels) <= _MATCH * self.widths)

    def nearest(self, wavelength: float) -> int:
        """Number of the pixel that a wavelength lies in; below 0, or `count` and more, beyond the ends."""
        if self.step is not None:
            return round((wavelength - self.start) / self.step)
        return int(np.searchsorted(self.edges, wavelength, side="right")) - 1

    def window(self, wavelength: float, half_width: float) -> slice:
        """Pixels within a half width, in the axis's unit, of the one that a wavelength lies in."""
        centre = self.nearest(wavelength)
        if self.step is not None:
            half = round(half_width / self.step)
            return slice(max(0, centre - half), centre + half + 1)
        return slice(max(0, self.nearest(wavelength - half_width)), self.nearest(wavelength + half_width) + 1)

    def integral(
        self, flux: NDArray[np.float32], window: NDArray[np.bool_], per_unit: float = 1.0
    ) -> NDArray[np.float32]:
        """Integral of flux, (n, pixels of the window), over a window, (count,), in the axis's unit; shape (n,).

        The rectangle rule: each pixel's flux is its mean over the pixel. ``per_unit``: units of the integral per unit
        of the axis, 1000 for mA with an axis in A.
        """
        if self.step is not None:
            return np.asarray((per_unit * self.step) * flux.sum(axis=1))
        return np.asarray(flux @ (per_unit * self.widths[window]).astype(np.float32))

    def _at(self, places: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.float64]:
        """Wavelengths at positions in units of pixels, where the centre of the first one is at 0."""
        if self.step is not None:
            return np.asarray(self.start + self.step * places)
        if self.velocity_step is not None:
            return np.asarray(self.start * np.exp(places * (self.velocity_step / SPEED_OF_LIGHT)))
        listed = np.asarray(self.wavelengths, dtype=np.float64)
        whole = np.clip(np.floor(places).astype(np.int64), 0, len(listed) - 2)
        return np.asarray(listed[whole] + (places - whole) * (listed[whole + 1] - listed[whole]))


class IntrinsicAxis(_Frozen):
    """The logarithmic axis of unbroadened spectra, with the step in which their flux is quantised."""

    start: float = Field(description="First edge in Angstrom, above 0.")
    stop: float = Field(description="Where the axis ends at the latest, in Angstrom; above `start`.")
    velocity_step: float = Field(gt=0, description="Width of each bin in km/s.")
    flux_per_count: float = Field(gt=0, description="Flux is stored in whole multiples of it.")
    medium: Medium = Field(default="air", description="In which the wavelengths are measured.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not 0 < self.start < self.stop:
            raise ValueError(f"intrinsic: start ({self.start}) must be above 0 and below stop ({self.stop})")
        bins = SPEED_OF_LIGHT * np.log(self.stop / self.start) / self.velocity_step
        if bins > MOST_PIXELS:
            raise ValueError(
                f"intrinsic: velocity_step ({self.velocity_step:g}) makes {bins:.3g} bins, more than {MOST_PIXELS:,}: "
                "give a wider one"
            )
        return self

    @cached_property
    def edges(self) -> NDArray[np.float64]:
        """Bin edges in Angstrom, shape (bins + 1,)."""
        step = self.velocity_step / SPEED_OF_LIGHT
        bins = int(np.log(self.stop / self.start) / step)
        return np.asarray(self.start * np.exp(step * np.arange(bins + 1)))

    @cached_property
    def wavelength(self) -> NDArray[np.float64]:
        """Bin centres on the logarithmic axis in Angstrom, shape (bins,)."""
        return np.asarray(np.sqrt(self.edges[1:] * self.edges[:-1]))
