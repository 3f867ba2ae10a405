"""The interfaces of emulators and validators in fits; `stellar_emulator.Emulator` and `Validator` provide them."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from stellar_emulator.contract.axis import SPEED_OF_LIGHT
from stellar_emulator.contract.contract import Contract
from stellar_emulator.fitting.sharpness import largest_resolution
from stellar_emulator.grid.sampling import even_places
from stellar_emulator.observed.velocity import Library

LIBRARY_SPECTRA = 4096
"""Number of spectra spread evenly over the label box; the nearest one is a sufficient start."""

POINTS_PER_LINE = 2.0
"""Points on the full width of the sharpest line, on which observed spectra are compared with the library's."""


class Generator(Protocol):
    """Maps labels (n, labels) inside the box to normalised flux (n, pixels), and to flux and slopes (pixels, n, 1 +
    labels)."""

    @property
    def contract(self) -> Contract: ...
    def flux(self, labels: NDArray[np.float64], /) -> NDArray[np.float32]: ...
    def linear(self, labels: NDArray[np.float64], /) -> NDArray[np.float32]: ...


class EmulatorLike(Generator, Protocol):
    """The same with its error, and with a rough one of every so many pixels."""

    @property
    def version(self) -> str: ...
    def jacobian(self, labels: NDArray[np.float64], /) -> NDArray[np.float32]: ...
    def error(self, labels: NDArray[np.float64], /) -> NDArray[np.float32]: ...
    def rough(self, pixels: int, /) -> Generator: ...


class ValidatorLike(Protocol):
    """Maps normalised flux (n, pixels) to labels (n, labels) and their errors, and measures its unfamiliarity."""

    @property
    def contract(self) -> Contract: ...
    @property
    def version(self) -> str: ...
    def labels(self, flux: NDArray[np.float32], noise: float = 0.0) -> NDArray[np.float32]: ...
    def uncertainty(self, labels: NDArray[np.float64], noise: float = 0.0) -> NDArray[np.float32]: ...
    def reconstruction_error(self, flux: NDArray[np.float32], noise: float = 0.0) -> NDArray[np.float32]: ...
    def reconstruction_limit(self, noise: float = 0.0) -> float: ...


def library(emulator: EmulatorLike, spectra: int = LIBRARY_SPECTRA) -> Library:
    """Generate spectra evenly over the label box, or the hull of draws in it, from which fits begin."""
    contract = emulator.contract
    sequence = qmc.Sobol(len(contract.labels), scramble=True, rng=np.random.default_rng(0))
    unit = even_places(contract, contract.labels, sequence, spectra)
    labels = np.clip(qmc.scale(unit, contract.lower, contract.upper), contract.lower, contract.upper)
    sharpest = largest_resolution(contract)
    width = SPEED_OF_LIGHT / sharpest / POINTS_PER_LINE if sharpest else 0.0
    coarse = max(1, int(width / contract.wavelength.finest_velocity))
    return Library(contract.wavelength, labels, emulator.flux(labels), coarse)
