"""An engine of one line, in microseconds: what another radiative-transfer code looks like to the grid."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from stellar_emulator.contract.axis import SPEED_OF_LIGHT, IntrinsicAxis
from stellar_emulator.contract.medium import Medium
from stellar_emulator.grid.engines.base import RunFailedError
from stellar_emulator.grid.engines.intrinsic import IntrinsicSpectrum


@dataclass(frozen=True)
class LineEngine:
    """Takes Teff and calcium, computes in vacuum, and knows neither continuum nor limb darkening unless it is told."""

    name: str = "line"
    labels: tuple[str, ...] = ("teff",)
    optional: tuple[str, ...] = ()
    elements: frozenset[str] = frozenset({"ca"})
    medium: Medium = "vacuum"
    known_limits: tuple[str, ...] = ("It is one line.",)
    darkening: float | None = None
    fails_above: float = np.inf

    def provenance(self) -> dict[str, Any]:
        return {"line": "Ca II 8544"}

    def machine(self) -> dict[str, str]:
        return {"computer": "any"}

    def install(self, axis: IntrinsicAxis) -> None:
        pass

    def synthesise(self, axis: IntrinsicAxis, labels: Mapping[str, float]) -> IntrinsicSpectrum:
        if labels["teff"] > self.fails_above:
            raise RunFailedError(f"too hot for {self.name}")
        velocity = np.log(axis.wavelength / 8544.44) * SPEED_OF_LIGHT
        depth = 0.8 * (7000.0 / labels["teff"] - 0.9) * 10.0 ** (0.5 * labels.get("ca_m", 0.0))
        return IntrinsicSpectrum(1.0 - depth * np.exp(-0.5 * (velocity / 15.0) ** 2), limb_darkening=self.darkening)
