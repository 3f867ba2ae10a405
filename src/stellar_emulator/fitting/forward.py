"""The model of an observed spectrum: the emulator's flux, Doppler shifted, on its pixels, times a continuum."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline, make_interp_spline

from stellar_emulator.contract.axis import SPEED_OF_LIGHT
from stellar_emulator.fitting.protocols import EmulatorLike
from stellar_emulator.fitting.scaled_labels import ScaledLabels, label_coordinates
from stellar_emulator.observed.velocity import at_rest

SPLINE_DEGREE = 5
"""Degree of the spline: it is exact to 1e-5 for the sharpest line, six pixels wide; a cubic spline is exact to 2e-4."""


@dataclass(frozen=True)
class Parameters:
    """Parameters of a fit: physical labels (labels,), velocity in km/s, continuum coefficients (basis,) or none."""

    labels: NDArray[np.float64]
    velocity: float
    continuum: NDArray[np.float64]


@dataclass(frozen=True)
class Prediction:
    """Prediction at the observed pixels: flux (pixels,), emulator's error, slopes (parameters, pixels) by
    `Forward.free`."""

    flux: NDArray[np.float64]
    error: NDArray[np.float64]
    slopes: NDArray[np.float64]


@dataclass(frozen=True)
class Made:
    """The emulator's result for one set of labels: a spline of flux and slopes, (1 + free labels,), and its error."""

    spline: BSpline
    error: NDArray[np.float64]


@dataclass(frozen=True)
class Forward:
    """Predicts one observed spectrum.

    wavelength: observed, (pixels,), in the medium of the contract; basis: that of the continuum, (pixels,
    coefficients); free: which labels are fitted, (labels,); free_velocity: whether the velocity is fitted, in units of
    `VELOCITY_UNIT`.
    """

    emulator: EmulatorLike
    wavelength: NDArray[np.float64]
    basis: NDArray[np.float64]
    free: NDArray[np.bool_]
    free_velocity: bool
    _last: dict[bytes, Made] = field(default_factory=dict, init=False, repr=False, compare=False)

    VELOCITY_UNIT = 10.0
    """Unit of velocity in km/s, which makes its slope about as large as those of the labels."""

    @cached_property
    def coordinates(self) -> ScaledLabels:
        return label_coordinates(self.emulator.contract)

    @property
    def label_count(self) -> int:
        """Number of labels that are fitted."""
        return int(self.free.sum())

    def pack(self, parameters: Parameters) -> NDArray[np.float64]:
        """Free parameters as one vector: label coordinates, velocity in its unit, continuum."""
        moving = [parameters.velocity / self.VELOCITY_UNIT] if self.free_velocity else []
        return np.concatenate([self.coordinates.of(parameters.labels)[self.free], moving, parameters.continuum])

    def unpack(self, vector: NDArray[np.float64], fixed: Parameters) -> Parameters:
        """Inverse of `pack`; parameters that are not free are those of ``fixed``."""
        coordinates = self.coordinates.of(fixed.labels)
        coordinates[self.free] = vector[: self.label_count]
        labels = np.where(self.free, self.coordinates.labels(coordinates), fixed.labels)
        rest = vector[self.label_count :]
        velocity = float(rest[0]) * self.VELOCITY_UNIT if self.free_velocity else fixed.velocity
        return replace(fixed, labels=labels, velocity=velocity, continuum=rest[int(self.free_velocity) :])

    def __call__(self, parameters: Parameters) -> Prediction:
        """Flux and slopes; beyond the ends of the model's axis the end pixel's flux is repeated."""
        axis = self.emulator.contract.wavelength.pixels
        made = self._made(parameters.labels)
        spline = made.spline
        rest = np.clip(at_rest(self.wavelength, parameters.velocity), axis[0], axis[-1])
        shifted = spline(rest).T
        continuum = self.basis @ parameters.continuum if self.basis.shape[1] else np.ones(len(rest))
        rows = [shifted[1:] * continuum]
        if self.free_velocity:
            per_unit = -rest * self.VELOCITY_UNIT / (SPEED_OF_LIGHT + parameters.velocity)
            rows.append((spline(rest, 1).T[0] * per_unit * continuum)[None])
        rows.append(self.basis.T * shifted[0])
        error = np.interp(rest, axis, made.error)
        return Prediction(shifted[0] * continuum, error * np.abs(continuum), np.concatenate(rows))

    def _made(self, labels: NDArray[np.float64]) -> Made:
        """The emulator's result for labels; it is kept, since all calls need the same one if labels are fixed."""
        key = labels.tobytes()
        if key not in self._last:
            flux = np.concatenate([self.emulator.flux(labels[None]), self._label_slopes(labels)])
            axis = self.emulator.contract.wavelength.pixels
            spline = make_interp_spline(axis, flux.T.astype(np.float64), k=SPLINE_DEGREE)
            self._last.clear()
            self._last[key] = Made(spline, self.emulator.error(labels[None])[0])
        return self._last[key]

    def _label_slopes(self, labels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivatives of the emulator's flux by the coordinates of the free labels, (free labels, model's pixels)."""
        if not self.label_count:
            return np.empty((0, self.emulator.contract.wavelength.count))
        inside = self.coordinates.inside(labels)
        slopes = self.emulator.jacobian(inside[None])[0][self.free]
        return np.asarray(slopes * self.coordinates.slopes(inside)[self.free, None])
