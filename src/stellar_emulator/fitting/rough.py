"""A problem of fewer pixels, on which fits search: neighbours are merged, and the emulator is a rough one.

Two or three pixels on the full width of the sharpest line tell labels as well as ten that share their noise. What a
search finds is the place from which the whole spectrum is fitted.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.fitting.least_squares import Problem
from stellar_emulator.fitting.sharpness import largest_resolution

POINTS = 2.4
"""Pixels on the full width of the sharpest line that are enough."""

WIDEST = 1.5
"""Width of merged pixels over the usual one; wider ones reach across a gap and count nothing."""


def rough(problem: Problem) -> Problem:
    """The same spectra, merged, with the emulator at fewer pixels; the problem itself where there are few already."""
    forward = problem.forward
    contract = forward.emulator.contract
    sharpest = largest_resolution(contract)
    if sharpest is None:
        return problem
    axis = contract.wavelength
    width = (axis.start + axis.stop) / 2.0 / sharpest / POINTS
    step = max(_step(row) for row in forward.wavelength)
    made, seen = max(1, int(width / axis.width)), max(1, int(width / step)) if step > 0 else 1
    if made == 1 and seen == 1:
        return problem
    few = forward.emulator.rough(made) if made > 1 else None
    return _merged(replace(problem, forward=replace(forward, rough=few)), seen, WIDEST * (seen - 1) * step)


def _step(wavelength: NDArray[np.float64]) -> float:
    """Usual distance of pixels; those that fill up a short spectrum have none."""
    apart = np.diff(wavelength)
    apart = apart[apart > 0]
    return float(np.median(apart)) if len(apart) else 0.0


def _merged(problem: Problem, together: int, widest: float) -> Problem:
    """Means of pixels by weight, ``together`` of them in one."""
    if together == 1:
        return problem
    forward = problem.forward
    weight = _grouped(problem.weight, together, 0.0) ** 2
    places = _grouped(forward.wavelength, together, None)
    near = places[..., -1] - places[..., 0] <= widest
    total = np.where(near, weight.sum(axis=2), 0.0)
    safe = np.where(total > 0, total, 1.0)
    share = np.where(total[..., None] > 0, weight / safe[..., None], 1.0 / together)
    basis = _grouped(forward.basis, together, None)
    return replace(
        problem,
        forward=replace(
            forward,
            wavelength=np.sum(share * places, axis=2),
            basis=np.sum(share[..., None] * basis, axis=2),
        ),
        flux=np.sum(share * _grouped(problem.flux, together, 0.0), axis=2),
        weight=np.sqrt(total),
    )


def _grouped(values: NDArray[np.float64], together: int, filling: float | None) -> NDArray[np.float64]:
    """Values (n, pixels, ...) as (n, groups, ``together``, ...), filled up with a value, or with the last one."""
    lacking = -values.shape[1] % together
    last = values[:, -1:] if filling is None else np.full_like(values[:, -1:], filling)
    whole = np.concatenate([values, np.repeat(last, lacking, axis=1)], axis=1)
    return whole.reshape(len(values), whole.shape[1] // together, together, *values.shape[2:])
