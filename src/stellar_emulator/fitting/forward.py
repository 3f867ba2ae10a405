"""The model of observed spectra: the emulator's flux, Doppler shifted, on their pixels, times a continuum.

All of it holds for n spectra at once, which may differ in their pixels; the emulator and its Jacobian run in batches.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.axis import SPEED_OF_LIGHT
from stellar_emulator.fitting.interpolation import Interpolation, interpolation_on
from stellar_emulator.fitting.model_error import EMULATOR_ALONE, ModelError, Part, parts_of
from stellar_emulator.fitting.protocols import EmulatorLike, Generator
from stellar_emulator.fitting.scaled_labels import ScaledLabels, label_coordinates
from stellar_emulator.fitting.sharpness import largest_resolution
from stellar_emulator.observed.velocity import at_rest


@dataclass(frozen=True)
class Parameters:
    """Parameters of one fit: physical labels (labels,), velocity in km/s, continuum coefficients (basis,) or none.

    stretch: of the wavelength scale, in km/s per 100 Angstrom; the velocity is that at the middle of the model's axis.
    """

    labels: NDArray[np.float64]
    velocity: float
    continuum: NDArray[np.float64]
    stretch: float = 0.0


@dataclass(frozen=True)
class ParameterRows:
    """Parameters of n fits: labels (n, labels), velocities (n,), continua (n, coefficients or 0); stretches (n,), None
    if there are none."""

    labels: NDArray[np.float64]
    velocity: NDArray[np.float64]
    continuum: NDArray[np.float64]
    stretch: NDArray[np.float64] | None = None

    def row(self, number: int) -> Parameters:
        """Those of one fit."""
        stretch = 0.0 if self.stretch is None else float(self.stretch[number])
        return Parameters(self.labels[number], float(self.velocity[number]), self.continuum[number], stretch)


@dataclass(frozen=True)
class Design:
    """Weighted prediction at the observed pixels: flux (n, pixels) and its slopes (n, pixels, parameters), float32."""

    flux: NDArray[np.float32]
    slopes: NDArray[np.float32]


@dataclass(frozen=True)
class Forward:
    """Predicts n observed spectra.

    wavelength: observed, (n, pixels), in the medium of the contract; basis: those of the continua, (n, pixels,
    coefficients), without coefficients for normalised spectra; labelled: whether slopes by labels are needed;
    model_error: what enters `parts`; stretched: whether the wavelength scales may be stretched; rough: what generates
    in place of the emulator, for a search.

    A vector of parameters is that of `pack`: coordinates of all labels, velocity in `VELOCITY_UNIT`, continuum and, if
    ``stretched``, the stretch in `VELOCITY_UNIT` per `LEVER`.
    """

    emulator: EmulatorLike
    wavelength: NDArray[np.float64]
    basis: NDArray[np.float64]
    labelled: bool = True
    model_error: ModelError = EMULATOR_ALONE
    stretched: bool = False
    rough: Generator | None = None
    _last: dict[bytes, NDArray[np.float32]] = field(default_factory=dict, init=False, repr=False, compare=False)

    VELOCITY_UNIT = 10.0
    """Unit of velocity in km/s, which makes its slope about as large as those of the labels."""

    LEVER = 100.0
    """Angstrom over which a stretch changes the velocity by its value."""

    @cached_property
    def coordinates(self) -> ScaledLabels:
        return label_coordinates(self.emulator.contract)

    @property
    def label_count(self) -> int:
        return len(self.emulator.contract.labels)

    @property
    def parameters(self) -> int:
        """Length of a vector."""
        return self.label_count + 1 + int(self.basis.shape[2]) + self.stretched

    def rows(self, chosen: NDArray[np.integer] | slice) -> "Forward":
        """The same for some of the spectra, or for some of them several times."""
        part = replace(self, wavelength=self.wavelength[chosen], basis=self.basis[chosen])
        # What depends on the emulator alone is made once for all parts.
        part.__dict__.update(between=self.between, coordinates=self.coordinates, _single=self._single[chosen])
        return part

    @cached_property
    def _single(self) -> NDArray[np.float32]:
        """The continua's basis in single precision, for slopes."""
        return self.basis.astype(np.float32)

    @cached_property
    def lever(self) -> NDArray[np.float64]:
        """Distance of each pixel from the middle of the model's axis in units of `LEVER`, (n, pixels)."""
        axis = self.emulator.contract.wavelength
        return (self.wavelength - (axis.start + axis.stop) / 2.0) / self.LEVER

    def pack(self, parameters: ParameterRows) -> NDArray[np.float64]:
        """Vectors (n, parameters)."""
        moving = parameters.velocity[:, None] / self.VELOCITY_UNIT
        parts = [self.coordinates.of(parameters.labels), moving, parameters.continuum]
        if self.stretched:
            stretch = np.zeros(len(moving)) if parameters.stretch is None else parameters.stretch
            parts.append(stretch[:, None] / self.VELOCITY_UNIT)
        return np.concatenate(parts, axis=1)

    def unpack(self, vectors: NDArray[np.float64]) -> ParameterRows:
        """Inverse of `pack`."""
        count, width = self.label_count, self.basis.shape[2]
        labels, continuum = self.coordinates.labels(vectors[:, :count]), vectors[:, count + 1 : count + 1 + width]
        stretch = vectors[:, -1] * self.VELOCITY_UNIT if self.stretched else None
        return ParameterRows(labels, vectors[:, count] * self.VELOCITY_UNIT, continuum, stretch)

    def velocity(self, parameters: ParameterRows) -> NDArray[np.float64]:
        """Velocity of each pixel in km/s, (n, pixels), or (n, 1) where all pixels have the same."""
        velocity = parameters.velocity[:, None]
        return velocity if parameters.stretch is None else velocity + parameters.stretch[:, None] * self.lever

    def rest(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Wavelengths at rest of the pixels, (n, pixels), for vectors (n, parameters)."""
        return at_rest(self.wavelength, self.velocity(self.unpack(vectors)))

    def continuum(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Continua (n, pixels) of vectors (n, parameters)."""
        if not self.basis.shape[2]:
            return np.ones(self.wavelength.shape)
        return np.asarray((self.basis @ self.unpack(vectors).continuum[..., None])[..., 0])

    def __call__(self, vectors: NDArray[np.float64], weight: NDArray[np.float64]) -> Design:
        """Flux and slopes at vectors (n, parameters), times a weight (n, pixels).

        Beyond the ends of the model's axis the end pixel's flux is repeated.
        """
        parameters, between = self.unpack(vectors), self.between
        velocity = self.velocity(parameters)
        rest = at_rest(self.wavelength, velocity)
        made = self.made(parameters.labels)
        channels = made.shape[2]
        shifted = (between.matrix(rest, by_pixel=True) @ made.reshape(-1, channels)).reshape(*rest.shape, channels)
        scale = (self.continuum(vectors) * weight).astype(np.float32)
        slopes = np.zeros((*rest.shape, self.parameters), dtype=np.float32)
        count = self.label_count
        if self.labelled:
            np.multiply(shifted[..., 2:], scale[..., None], out=slopes[..., :count])
        axis = between.nodes
        per_unit = -rest * self.VELOCITY_UNIT / (SPEED_OF_LIGHT + velocity)
        moving = np.where((rest >= axis[0]) & (rest <= axis[-1]), per_unit, 0.0).astype(np.float32)
        slopes[..., count] = shifted[..., 1] * moving * scale
        width = self.basis.shape[2]
        if width:
            own = shifted[..., 0] * weight.astype(np.float32)
            np.multiply(self._single, own[..., None], out=slopes[..., count + 1 : count + 1 + width])
        if self.stretched:
            slopes[..., -1] = slopes[..., count] * self.lever
        return Design(shifted[..., 0] * scale, slopes)

    def flux(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Predicted flux alone, (n, pixels)."""
        return np.asarray(self._normalised(self.unpack(vectors).labels, self.rest(vectors)) * self.continuum(vectors))

    def parts(self, vectors: NDArray[np.float64]) -> list[Part]:
        """The parts of the model's error of the predicted flux at vectors (n, parameters)."""
        labels, rest = self.unpack(vectors).labels, self.rest(vectors)
        generated = self._normalised(labels, rest) if self.model_error.physics else np.empty((len(vectors), 0))
        scale = np.abs(self.continuum(vectors))
        found = parts_of(self.model_error, self.emulator, labels, rest, generated)
        return [replace(one, deviation=one.deviation * scale) for one in found]

    def error(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Standard deviation of the model's error of the predicted flux, (n, pixels)."""
        squares = [one.deviation**2 for one in self.parts(vectors)]
        return np.sqrt(sum(squares, np.zeros(self.wavelength.shape)))

    def _normalised(self, labels: NDArray[np.float64], rest: NDArray[np.float64]) -> NDArray[np.floating]:
        matrix = self.between.matrix(rest)
        return np.asarray((matrix @ self._generator.flux(labels).ravel()).reshape(rest.shape))

    @property
    def _generator(self) -> Generator:
        return self.emulator if self.rough is None else self.rough

    @cached_property
    def between(self) -> Interpolation:
        """The interpolation between the model's pixels."""
        contract = self._generator.contract
        return interpolation_on(contract.wavelength, largest_resolution(contract))

    def made(self, labels: NDArray[np.float64]) -> NDArray[np.float32]:
        """The emulator's flux, its slope by wavelength, and those by label coordinates, side by side: (model's pixels,
        n, 2 + labels or 2).

        It is kept while labels stay, as they do where all of them are fixed.
        """
        key = labels.tobytes()
        if key not in self._last:
            self._last.clear()
            self._last[key] = self._made(labels)
        return self._last[key]

    def _made(self, labels: NDArray[np.float64]) -> NDArray[np.float32]:
        if self.labelled:
            inside = self.coordinates.inside(labels)
            linear = self._generator.linear(inside)
        else:
            linear = self._generator.flux(labels).T[..., None]
        made = np.empty((*linear.shape[:2], linear.shape[2] + 1), dtype=np.float32)
        made[..., 0] = linear[..., 0]
        made[..., 1] = self.between.slopes @ linear[..., 0]
        if self.labelled:
            np.multiply(linear[..., 1:], self.coordinates.slopes(inside).astype(np.float32), out=made[..., 2:])
        return made
