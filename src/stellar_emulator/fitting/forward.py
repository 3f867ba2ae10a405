"""The model of observed spectra: the emulator's flux, Doppler shifted, on their pixels, times a continuum.

All of it holds for n spectra at once, which may differ in their pixels; the emulator and its Jacobian run in batches.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.axis import SPEED_OF_LIGHT
from stellar_emulator.fitting.interpolation import Interpolation, interpolation_on
from stellar_emulator.fitting.protocols import EmulatorLike
from stellar_emulator.fitting.scaled_labels import ScaledLabels, label_coordinates
from stellar_emulator.observed.velocity import at_rest


@dataclass(frozen=True)
class Parameters:
    """Parameters of one fit: physical labels (labels,), velocity in km/s, continuum coefficients (basis,) or none."""

    labels: NDArray[np.float64]
    velocity: float
    continuum: NDArray[np.float64]


@dataclass(frozen=True)
class ParameterRows:
    """Parameters of n fits: labels (n, labels), velocities (n,), continua (n, coefficients or 0)."""

    labels: NDArray[np.float64]
    velocity: NDArray[np.float64]
    continuum: NDArray[np.float64]

    def row(self, number: int) -> Parameters:
        """Those of one fit."""
        return Parameters(self.labels[number], float(self.velocity[number]), self.continuum[number])


@dataclass(frozen=True)
class Design:
    """Weighted prediction at the observed pixels: flux (n, pixels) and its slopes (n, pixels, parameters), float32."""

    flux: NDArray[np.float32]
    slopes: NDArray[np.float32]


@dataclass(frozen=True)
class Forward:
    """Predicts n observed spectra.

    wavelength: observed, (n, pixels), in the medium of the contract; basis: those of the continua, (n, pixels,
    coefficients), without coefficients for normalised spectra; labelled: whether slopes by labels are needed.

    A vector of parameters is that of `pack`: coordinates of all labels, velocity in `VELOCITY_UNIT`, continuum.
    """

    emulator: EmulatorLike
    wavelength: NDArray[np.float64]
    basis: NDArray[np.float64]
    labelled: bool = True
    _last: dict[bytes, NDArray[np.float32]] = field(default_factory=dict, init=False, repr=False, compare=False)

    VELOCITY_UNIT = 10.0
    """Unit of velocity in km/s, which makes its slope about as large as those of the labels."""

    @cached_property
    def coordinates(self) -> ScaledLabels:
        return label_coordinates(self.emulator.contract)

    @property
    def label_count(self) -> int:
        return len(self.emulator.contract.labels)

    @property
    def parameters(self) -> int:
        """Length of a vector."""
        return self.label_count + 1 + int(self.basis.shape[2])

    def rows(self, chosen: NDArray[np.integer] | slice) -> "Forward":
        """The same for some of the spectra, or for some of them several times."""
        return Forward(self.emulator, self.wavelength[chosen], self.basis[chosen], self.labelled)

    def pack(self, parameters: ParameterRows) -> NDArray[np.float64]:
        """Vectors (n, parameters)."""
        moving = parameters.velocity[:, None] / self.VELOCITY_UNIT
        return np.concatenate([self.coordinates.of(parameters.labels), moving, parameters.continuum], axis=1)

    def unpack(self, vectors: NDArray[np.float64]) -> ParameterRows:
        """Inverse of `pack`."""
        count = self.label_count
        labels = self.coordinates.labels(vectors[:, :count])
        return ParameterRows(labels, vectors[:, count] * self.VELOCITY_UNIT, vectors[:, count + 1 :])

    def continuum(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Continua (n, pixels) of vectors (n, parameters)."""
        if not self.basis.shape[2]:
            return np.ones(self.wavelength.shape)
        return np.asarray((self.basis @ vectors[:, self.label_count + 1 :, None])[..., 0])

    def __call__(self, vectors: NDArray[np.float64], weight: NDArray[np.float64]) -> Design:
        """Flux and slopes at vectors (n, parameters), times a weight (n, pixels).

        Beyond the ends of the model's axis the end pixel's flux is repeated.
        """
        parameters, between = self.unpack(vectors), self._between
        rest = at_rest(self.wavelength, parameters.velocity[:, None])
        made = self.made(parameters.labels)
        channels = made.shape[2]
        shifted = (between.matrix(rest) @ made.reshape(-1, channels)).reshape(*rest.shape, channels)
        scale = (self.continuum(vectors) * weight).astype(np.float32)
        slopes = np.zeros((*rest.shape, self.parameters), dtype=np.float32)
        count = self.label_count
        if self.labelled:
            np.multiply(shifted[..., 2:], scale[..., None], out=slopes[..., :count])
        axis = between.nodes
        per_unit = -rest * self.VELOCITY_UNIT / (SPEED_OF_LIGHT + parameters.velocity[:, None])
        moving = np.where((rest >= axis[0]) & (rest <= axis[-1]), per_unit, 0.0).astype(np.float32)
        slopes[..., count] = shifted[..., 1] * moving * scale
        if self.basis.shape[2]:
            own = (self.basis * weight[..., None]).astype(np.float32)
            np.multiply(own, shifted[..., :1], out=slopes[..., count + 1 :])
        return Design(shifted[..., 0] * scale, slopes)

    def flux(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Predicted flux alone, (n, pixels)."""
        parameters = self.unpack(vectors)
        matrix = self._between.matrix(at_rest(self.wavelength, parameters.velocity[:, None]))
        shifted = (matrix @ self.emulator.flux(parameters.labels).ravel()).reshape(self.wavelength.shape)
        return np.asarray(shifted * self.continuum(vectors))

    def error(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """The emulator's own error of the predicted flux, (n, pixels)."""
        parameters = self.unpack(vectors)
        rest = at_rest(self.wavelength, parameters.velocity[:, None])
        own = self._between.nearby(self.emulator.error(parameters.labels), rest)
        return np.asarray(own * np.abs(self.continuum(vectors)))

    @property
    def _between(self) -> Interpolation:
        return interpolation_on(self.emulator.contract.wavelength)

    def made(self, labels: NDArray[np.float64]) -> NDArray[np.float32]:
        """The emulator's flux, its slope by wavelength, and those by label coordinates, side by side: (n, model's
        pixels, 2 + labels or 2).

        It is kept while labels stay, as they do where all of them are fixed.
        """
        key = labels.tobytes()
        if key not in self._last:
            flux = self.emulator.flux(labels)
            made = np.empty((*flux.shape, 2 + self.label_count * self.labelled), dtype=np.float32)
            made[..., 0] = flux
            made[..., 1] = (self._between.slopes @ flux.T).T
            if self.labelled:
                inside = self.coordinates.inside(labels)
                by_coordinate = self.coordinates.slopes(inside).astype(np.float32)
                slopes = self.emulator.jacobian(inside).transpose(0, 2, 1)
                np.multiply(slopes, by_coordinate[:, None, :], out=made[..., 2:])
            self._last.clear()
            self._last[key] = made
        return self._last[key]
