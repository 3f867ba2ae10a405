"""Velocities of epochs by cross-correlation with one template, and the search for the lines of a second star."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from stellar_emulator.contract.axis import SPEED_OF_LIGHT
from stellar_emulator.fitting.epoch_stack import Stack, nearest_pixels
from stellar_emulator.observed.velocity import FASTEST

STEP = 4.0
"""km/s: of the logarithmic axis; a parabola through three steps is finer."""

SURE = 20.0
"""An epoch's velocity is the nearest likely one to the others', unless chi-square is lower elsewhere by more."""

APART, SECOND = 45.0, 25.0
"""Difference in km/s from which lines of a second star stand apart, and the gain in chi-square that shows them."""

FEWEST_DOUBLE, SHARE_DOUBLE = 2, 0.1
"""Epochs that must show a second star: so many, and this share of all."""


@dataclass(frozen=True)
class Template:
    """A star's absorption at rest, 1 - flux, on ascending wavelengths, (pixels,) each; none beyond the ends."""

    wavelength: NDArray[np.float64]
    absorption: NDArray[np.float64]

    @cached_property
    def grid(self) -> NDArray[np.float64]:
        """A logarithmic axis over the template's range."""
        points = int(np.log(self.wavelength[-1] / self.wavelength[0]) * SPEED_OF_LIGHT / STEP)
        return np.asarray(self.wavelength[0] * np.exp(np.arange(points) * STEP / SPEED_OF_LIGHT))

    @cached_property
    def steps(self) -> NDArray[np.int64]:
        most = int(FASTEST / STEP)
        return np.arange(-most, most + 1)

    @cached_property
    def length(self) -> int:
        return int(next_fast_len(len(self.grid) + len(self.steps), real=True))

    @cached_property
    def _transforms(self) -> NDArray[np.complex64]:
        own = np.interp(self.grid, self.wavelength, self.absorption)
        return np.asarray(rfft(np.stack([own, own**2]).astype(np.float32), self.length).conj())

    def moved(self, values: NDArray[np.float64], power: int = 1) -> NDArray[np.float64]:
        """Sums of values (epochs, grid) times the moved absorption or its square, (epochs, steps)."""
        found = irfft(rfft(values.astype(np.float32), self.length) * self._transforms[power - 1], self.length)
        return np.asarray(found[:, self.steps], dtype=np.float64)

    def on_grid(self, stack: Stack, *values: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Values of pixels, (epochs, pixels) each, at the nearest points of the grid, for sums over pixels."""
        found = [np.zeros((len(stack.flux), len(self.grid))) for _ in values]
        for row in np.flatnonzero(stack.used):
            own = stack.wavelength[row]
            nearest, inside = nearest_pixels(own, self.grid)
            pixels = int(((own >= self.grid[0]) & (own <= self.grid[-1])).sum())
            share = inside * (pixels / max(int(inside.sum()), 1))
            for one, value in zip(found, values, strict=True):
                one[row] = value[row, nearest] * share
        return found


def epoch_velocities(stack: Stack, template: Template, near: float) -> NDArray[np.float64]:
    """Velocity of each epoch in km/s, (epochs,), at which a template, times a constant, is nearest to it.

    near: the velocity about which they are expected.
    """
    weight = 1.0 / stack.error**2
    shares, fluxes = template.on_grid(stack, weight, weight * stack.flux)
    both = fluxes.sum(axis=1, keepdims=True) - template.moved(fluxes)
    square = shares.sum(axis=1, keepdims=True) - 2.0 * template.moved(shares) + template.moved(shares, 2)
    gain = both**2 / np.where(square > 0, square, 1.0)
    speeds = np.asarray(template.steps * STEP, dtype=np.float64)
    best, nearby = gain.argmax(axis=1), _hill(gain, int(np.abs(speeds - near).argmin()))
    rows = np.arange(len(gain))
    best = np.where(gain[rows, best] > gain[rows, nearby] + SURE, best, nearby)
    return np.where(stack.used, _peaks(gain, best, speeds), near)


def _hill(gain: NDArray[np.float64], first: int) -> NDArray[np.int64]:
    """Steps of the tops to which each epoch's gain rises from a step, (epochs,)."""
    place, last = np.full(len(gain), first), gain.shape[1] - 1
    rows = np.arange(len(gain))
    for _ in range(last):
        around = np.stack([np.clip(place + one, 0, last) for one in (0, -1, 1)])
        onward = around[gain[rows, around].argmax(axis=0), rows]
        if (onward == place).all():
            break
        place = onward
    return place


def _peaks(gain: NDArray[np.float64], best: NDArray[np.int64], speeds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where parabolas through the best steps and their neighbours have their tops, (epochs,)."""
    inside = np.clip(best, 1, len(speeds) - 2)
    rows = np.arange(len(gain))
    before, here, after = (gain[rows, inside + one] for one in (-1, 0, 1))
    curvature = before - 2.0 * here + after
    moved = np.where(curvature < 0, 0.5 * (before - after) / np.where(curvature < 0, curvature, 1.0), 0.0)
    return np.asarray(speeds[best] + np.where(best == inside, np.clip(moved, -1.0, 1.0), 0.0) * STEP)


def double_lined(
    stack: Stack,
    residual: NDArray[np.float64],
    error: NDArray[np.float64],
    velocities: NDArray[np.float64],
    template: Template,
) -> bool:
    """Whether epochs show the lines of a second star, beside the fitted one and moving against it.

    residual, error: observed minus fitted flux over the continuum, without what all epochs have in common at rest, and
    its error, (epochs, pixels); velocities: of the fitted star, (epochs,).
    """
    weight = np.where(stack.usable, 1.0 / error**2, 0.0)
    shares, pulls = template.on_grid(stack, weight, weight * np.where(stack.usable, residual, 0.0))
    both, square = template.moved(pulls), template.moved(shares, 2)
    gain = np.where(both < 0, both**2 / np.where(square > 0, square, 1.0), 0.0)
    elsewhere = np.abs(template.steps * STEP - velocities[:, None]) > APART
    shown = np.max(np.where(elsewhere & (square > 0), gain, 0.0), axis=1) > SECOND
    return int(shown.sum()) >= max(FEWEST_DOUBLE, SHARE_DOUBLE * int(stack.used.sum()))
