"""The trained models as plain arithmetic: emulators (labels to flux) of both families, and the validator."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.broadening.broadening import Broadening, contract_broadening, mode_count
from stellar_emulator.contract.contract import Contract
from stellar_emulator.networks.dense import DenseChain

LIMB_DARKENING_WEIGHT = 0.05
"""Weight of limb darkening relative to flux in the loss: an error of 0.01 in it changes flux by about 1e-4."""

COMPONENT_ROUNDING = 8.0 * 2.0**-24
"""Relative rounding of a principal component: two computations may differ by this times the summed sizes of its terms.

Terms of either sign have partial sums that stay near the root r of their squares' sum. The roundings of all n of them
add up to about sqrt(n) r units, and sqrt(n) r is the sum of sizes. The factor is a margin.
"""


@dataclass(frozen=True)
class EmulatorNetwork:
    """Decoder(label network(labels)): broadening is learned like everything else (Gebran 2024).

    chain: maps physical labels (n, labels) in the contract's order to flux (n, pixels).
    """

    chain: DenseChain

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds for one spectrum."""
        return self.chain.weights

    def __call__(self, labels: NDArray[np.floating]) -> NDArray[np.float32]:
        return self.chain(np.asarray(labels, dtype=np.float32))


@dataclass(frozen=True)
class ExactEmulatorNetwork:
    """Decoder(label network(run labels)), followed by rotation, instrument and other broadening as exact convolutions.

    chain: maps physical run labels (n, run labels) to Fourier modes and, last, weighted limb darkening (n, 2 modes +
    1).
    """

    chain: DenseChain
    broadening: Broadening
    contract: Contract

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds for one spectrum, broadening included."""
        return self.chain.weights + self.broadening.multiply_adds

    @property
    def run_columns(self) -> list[int]:
        return self.contract.columns(self.contract.run_labels)

    def __call__(self, labels: NDArray[np.floating]) -> NDArray[np.float32]:
        return self.broadened(self.chain(np.asarray(labels, dtype=np.float32)[:, self.run_columns]), labels)

    def broadened(self, made: NDArray[np.float32], labels: NDArray[np.floating]) -> NDArray[np.float32]:
        """Flux of modes and weighted limb darkening, (n, 2 modes + 1), at the broadening labels of (n, labels)."""
        physical = np.asarray(labels, dtype=np.float64)
        limb_darkening = made[:, -1].astype(np.float64) / LIMB_DARKENING_WEIGHT
        return self.broadening.at_labels(self.contract, made[:, :-1], physical, limb_darkening)


def exact_emulator(chain: DenseChain, contract: Contract) -> ExactEmulatorNetwork:
    """The emulator of the exact family: a trained chain, followed by the contract's own broadening.

    A chain may have all modes, or those alone that a fixed instrument passes.

    Raises
    ------
    InputError
        If the contract has no intrinsic axis to broaden from.
    """
    served, instrument, axis = False, contract.instrument, contract.intrinsic
    if instrument is not None and axis is not None:
        # Both parts of each mode, and limb darkening.
        served = chain.outputs == 2 * mode_count(axis, instrument.resolution) + 1
    return ExactEmulatorNetwork(chain, contract_broadening(contract, served=served), contract)


@dataclass(frozen=True)
class ValidatorNetwork:
    """Principal components, then one head for all labels or one for each.

    projection: maps flux (n, pixels) to standardised coefficients; heads: map coefficients to physical labels, their
    outputs side by side in the contract's order.
    """

    projection: DenseChain
    heads: tuple[DenseChain, ...]

    def __call__(self, flux: NDArray[np.floating]) -> NDArray[np.float32]:
        return self._labels(self.projection(np.asarray(flux, dtype=np.float32)))

    def rounding(self, flux: NDArray[np.floating]) -> NDArray[np.float64]:
        """Changes of labels due to single precision, (n, labels): the root of the summed squares over components."""
        (layer,) = self.projection.layers
        exact: NDArray[Any] = np.asarray(flux, dtype=np.float64)  # layers are typed for single precision
        components = self.projection(exact)
        labels = self._labels(components)
        errors = COMPONENT_ROUNDING * (np.abs(exact) @ np.abs(layer.kernel) + np.abs(layer.bias))
        moved = [self._labels(components + errors * one) - labels for one in np.eye(components.shape[1])]
        return np.asarray(np.sqrt(np.square(moved).sum(axis=0)))

    def _labels(self, components: NDArray[np.floating]) -> NDArray[Any]:
        return np.concatenate([head(components) for head in self.heads], axis=1)
