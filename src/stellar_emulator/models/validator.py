"""The validator as people use it: spectra in, labels out, with their errors and a measure of unfamiliar spectra."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stellar_emulator.contract.checks import check_flux, check_labels, check_noise
from stellar_emulator.evaluation.measured import at_labels, at_noise, reconstructed, rms
from stellar_emulator.models.loaded import LoadedModel
from stellar_emulator.models.pair import find_model
from stellar_emulator.networks.onnx.runtime import open_network
from stellar_emulator.saved.bundle import read_bundle
from stellar_emulator.saved.fingerprint import require_same_answers
from stellar_emulator.shipped.resources import DEFAULT

LABEL_TOLERANCE = 1e-3
"""Largest difference of labels, relative to the outputs' size, from those of the trained layers when the model was
saved.

Single precision alone moves a faint principal component by 1e-4, and some labels by as much of their size."""

NOISE_MARGIN = 3.0
"""Standard deviations by which the amplitude of a spectrum's noise may exceed the stated one."""


@dataclass(frozen=True, eq=False, repr=False)
class Validator(LoadedModel):
    """Maps normalised flux on ``contract.wavelength`` to physical labels."""

    @classmethod
    def load(cls, where: str | Path | None = None, contract: str | Path = DEFAULT) -> "Validator":
        """Load a validator: the one that comes with the package, or the one that ``where`` names, as in
        `Emulator.load`.

        ``champion``, like other aliases, means the validator of the pair to which the emulator's alias points; a
        version is one of the validator's own.
        """
        bundle = read_bundle(find_model(where, "validator", contract), "validator")
        network = open_network(bundle.graph, len(bundle.contract.labels))
        require_same_answers(bundle, network, LABEL_TOLERANCE)
        return cls(bundle, network)

    def __call__(self, flux: ArrayLike, noise: float = 0.0) -> NDArray[np.float32]:
        """The same as `labels`."""
        return self.labels(flux, noise)

    def labels(self, flux: ArrayLike, noise: float = 0.0) -> NDArray[np.float32]:
        """Infer labels (n, labels), in the contract's order, from flux (n, pixels) with a given noise (standard
        deviation).

        Raises
        ------
        InputError
            If the flux is on another axis, not finite, or further out of range than its noise allows.
        """
        return self.network(check_flux(self.contract, flux, noise))

    def uncertainty(self, labels: ArrayLike, noise: float = 0.0) -> NDArray[np.float32]:
        """Measured errors of inferred labels, (n, labels), at labels (n, labels) and one noise of the flux.

        The root mean square over the test spectra of the same region of the label box, linear between regions and
        between the noise levels that were measured.

        Raises
        ------
        InputError
            If a label is out of bounds, the noise is not a standard deviation, or the model was saved without measured
            errors.
        """
        check_noise(self.contract, noise)
        checked = check_labels(self.contract, self.contract.label_names, labels)
        table = at_noise(self._measured["noise"], self._measured["label_rms"], noise)
        return at_labels(self.contract, table, checked)

    def reconstruction_error(self, flux: ArrayLike, noise: float = 0.0) -> NDArray[np.float32]:
        """Root mean square over pixels of the flux (n, pixels) minus its reconstruction from principal components,
        shape (n,).

        Raises
        ------
        InputError
            As `labels`, or if the model was saved without measured errors.
        """
        checked = check_flux(self.contract, flux, noise)
        mean = self._measured["mean"]
        return rms(reconstructed(checked, mean, self._projection) - checked)

    @property
    def reconstruction_quantiles(self) -> dict[float, float]:
        """Reconstruction errors below which a share of the noise-free test spectra lies, by that share."""
        shares, values = self._measured["quantiles"], self._measured["reconstruction_error"]
        return {round(float(share), 6): float(value) for share, value in zip(shares, values, strict=True)}

    def reconstruction_limit(self, noise: float = 0.0) -> float:
        """Reconstruction error beyond which a spectrum with this noise is unlike any of the grid.

        It is the largest of `reconstruction_quantiles` and the noise, added in quadrature. Raises `InputError` if the
        noise is not a standard deviation.
        """
        check_noise(self.contract, noise)
        largest = max(self.reconstruction_quantiles.values())
        excess = 1.0 + NOISE_MARGIN * np.sqrt(2.0 / self.contract.wavelength.count)
        return float(np.sqrt(largest**2 + excess * noise**2))

    @cached_property
    def _projection(self) -> NDArray[np.float32]:
        return self.bundle.weight("projection", 0, "kernel")

    @cached_property
    def _measured(self) -> Mapping[str, NDArray[Any]]:
        return self.bundle.measured
