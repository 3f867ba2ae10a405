"""What fitting asks of an emulator and of a validator; `stellar_emulator.Emulator` and `Validator` answer it."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from stellar_emulator.contract.contract import Contract
from stellar_emulator.observed.velocity import Library

LIBRARY_SPECTRA = 512
"""Evenly over the label box: the nearest one is good enough to begin from."""


class EmulatorLike(Protocol):
    """Labels (n, labels) inside the box to normalised flux (n, pixels), its slopes and its error."""

    @property
    def contract(self) -> Contract: ...
    @property
    def version(self) -> str: ...
    def flux(self, labels: NDArray[np.float64], /) -> NDArray[np.float32]: ...
    def jacobian(self, labels: NDArray[np.float64], /) -> NDArray[np.float32]: ...
    def error(self, labels: NDArray[np.float64], /) -> NDArray[np.float32]: ...


class ValidatorLike(Protocol):
    """Normalised flux (n, pixels) to labels (n, labels), their errors, and how far a spectrum is from known ones."""

    @property
    def contract(self) -> Contract: ...
    @property
    def version(self) -> str: ...
    def labels(self, flux: NDArray[np.float32], noise: float = 0.0) -> NDArray[np.float32]: ...
    def uncertainty(self, labels: NDArray[np.float64], noise: float = 0.0) -> NDArray[np.float32]: ...
    def reconstruction_error(self, flux: NDArray[np.float32], noise: float = 0.0) -> NDArray[np.float32]: ...
    def reconstruction_limit(self, noise: float = 0.0) -> float: ...


def library(emulator: EmulatorLike, spectra: int = LIBRARY_SPECTRA) -> Library:
    """Generate spectra evenly over the label box, to begin from."""
    contract = emulator.contract
    unit = qmc.Sobol(len(contract.labels), scramble=True, rng=np.random.default_rng(0)).random(spectra)
    labels = np.clip(qmc.scale(unit, contract.lower, contract.upper), contract.lower, contract.upper)
    return Library(contract.wavelength, labels, emulator.flux(labels))
