"""Sums of a survey's residuals by wavelength at rest and by a label, small enough to be kept with each chunk."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import InputError
from stellar_emulator.fitting.estimate import Fitted
from stellar_emulator.observed.velocity import at_rest

PLACES = 200
"""Bins of wavelength."""

METADATA = b"residuals"
"""Key under which a chunk's file keeps them."""


@dataclass(frozen=True)
class Residuals:
    """Sums over pixels, (4, label bins, wavelength bins): weight times residual over the continuum's level, weight,
    residual over its error squared, number."""

    sums: NDArray[np.float64]

    def __add__(self, other: "Residuals") -> "Residuals":
        return Residuals(self.sums + other.sums)

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean residual, (label bins, wavelength bins), NaN of none."""
        return _ratio(self.sums[0], self.sums[1])

    @property
    def size(self) -> NDArray[np.float64]:
        """Root mean square of residuals over their errors, (label bins, wavelength bins), NaN of none: 1 if all is
        right."""
        return np.asarray(np.sqrt(_ratio(self.sums[2], self.sums[3])))

    def to_text(self) -> bytes:
        """For a file's metadata; `from_text` reads it."""
        return base64.b64encode(self.sums.astype("<f4").tobytes())

    @classmethod
    def from_text(cls, text: bytes, contract: Contract) -> "Residuals":
        """Read what `to_text` wrote."""
        return cls(np.frombuffer(base64.b64decode(text), "<f4").reshape(_shape(contract)).astype(np.float64))


def nothing(contract: Contract) -> Residuals:
    """Sums of no pixel."""
    return Residuals(np.zeros(_shape(contract)))


def residuals_of(contract: Contract, found: Sequence[Fitted | InputError]) -> Residuals:
    """Sums over the pixels of some fits."""
    sums = np.zeros(_shape(contract))
    name = contract.first_binned
    own, borders = contract.label_names.index(name), bin_edges(contract)
    edges = wavelength_edges(contract)
    for one in found:
        if isinstance(one, InputError):
            continue
        solution, spectrum = one.solution, one.spectrum
        place = int(np.clip(np.searchsorted(borders, solution.parameters.labels[own]) - 1, 0, len(borders) - 2))
        rest = at_rest(spectrum.wavelength, solution.parameters.velocity)
        used = spectrum.usable & (rest > edges[0]) & (rest < edges[-1])
        if not used.any():
            continue
        bins = np.searchsorted(edges, rest[used]) - 1
        level = solution.level
        apart, error = (spectrum.flux - solution.model)[used], spectrum.error[used]
        weight = (level / error) ** 2
        for row, values in enumerate((weight * apart / level, weight, (apart / error) ** 2, np.ones(len(apart)))):
            sums[row, place] += np.bincount(bins, values, PLACES)
    return Residuals(sums)


def wavelength_edges(contract: Contract) -> NDArray[np.float64]:
    """Edges of the bins of wavelength, (bins + 1,)."""
    axis = contract.wavelength
    return np.linspace(axis.edges[0], axis.edges[-1], PLACES + 1)


def bin_edges(contract: Contract) -> NDArray[np.float64]:
    """Edges of the bins of the contract's first binned label, (bins + 1,)."""
    name = contract.first_binned
    label = contract.labels[contract.label_names.index(name)]
    return np.asarray(contract.regions.bins.get(name, (label.lower, label.upper)), dtype=np.float64)


def bin_names(contract: Contract) -> list[str]:
    """The bins of that label, for people."""
    return [f"{lower:g} to {upper:g}" for lower, upper in pairwise(bin_edges(contract).tolist())]


def _shape(contract: Contract) -> tuple[int, int, int]:
    return 4, len(bin_edges(contract)) - 1, PLACES


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0))
