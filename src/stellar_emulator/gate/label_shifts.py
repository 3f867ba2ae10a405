"""The label shift that corresponds to a flux difference, by the emulator's own derivatives and without a validator."""

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.evaluation.evaluation import Model

STEP = 0.01
"""Step of finite differences, in ranges of a label: the flux must change by far more than float32 rounding."""

CHUNK_ROWS = 96
"""Spectra at a time; the emulator is asked for two spectra a label for each."""

SINGULAR = 1e-12
"""Share of the largest eigenvalue of J'J below which an eigenvalue is rounding."""


def label_shifts(
    contract: Contract, emulator: Model, labels: NDArray[np.float64], difference: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least-squares shift (J'J)^-1 J' d of the accuracy labels for a flux ``difference`` d (n, pixels).

    J (pixels, accuracy labels) is the emulator's Jacobian at each row of ``labels`` (n, labels), by central differences
    that become one-sided at the bounds. Labels are scaled by their ranges, so that J'J is as regular as it can be.

    Returns
    -------
    Shifts and, for white noise of one unit of flux in every pixel, standard errors of the labels; both (n, accuracy
    labels) in physical units. Where J'J is singular the error is huge, and the shift means nothing.
    """
    columns = contract.columns(contract.accuracy_labels)
    span = (contract.upper - contract.lower)[columns]
    shifts, errors = np.empty((2, len(labels), len(columns)))
    for first in range(0, len(labels), CHUNK_ROWS):
        rows = slice(first, first + CHUNK_ROWS)
        jacobian = _jacobian(contract, emulator, labels[rows], columns)
        right = np.matmul(jacobian, difference[rows, :, None].astype(np.float64))[..., 0]
        shifts[rows], errors[rows] = _solve(np.matmul(jacobian, jacobian.transpose(0, 2, 1)), right)
    return shifts * span, errors * span


def _jacobian(
    contract: Contract, emulator: Model, labels: NDArray[np.float64], columns: list[int]
) -> NDArray[np.float64]:
    """Change of flux over the range of each label, shape (n, len(columns), pixels)."""
    span = contract.upper - contract.lower
    ends = []
    for column in columns:
        for sign in (-1.0, 1.0):
            moved = labels.copy()
            moved[:, column] += sign * STEP * span[column]
            ends.append(np.clip(moved, contract.lower, contract.upper))
    flux = emulator(np.concatenate(ends)).reshape(len(columns), 2, len(labels), -1)
    points = np.stack(ends).reshape(len(columns), 2, len(labels), -1)
    moves = [(points[i, 1, :, column] - points[i, 0, :, column]) / span[column] for i, column in enumerate(columns)]
    slopes = (flux[:, 1] - flux[:, 0]) / np.stack(moves)[..., None]
    return np.ascontiguousarray(slopes.transpose(1, 0, 2), dtype=np.float64)


def _solve(squares: NDArray[np.float64], right: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Solve J'J x = right for J'J (n, labels, labels), with the standard error of x at unit noise; NaN stays NaN."""
    broken = np.asarray(~(np.isfinite(squares).all(axis=(1, 2)) & np.isfinite(right).all(axis=1)))
    values, vectors = np.linalg.eigh(np.where(broken[:, None, None], 0.0, squares))
    floor = np.maximum(SINGULAR * values[:, -1:], np.finfo(float).tiny)
    inverse = 1.0 / np.maximum(values, floor)
    along = np.einsum("nij,ni->nj", vectors, right)
    shift = np.einsum("nij,nj,nj->ni", vectors, inverse, along)
    error = np.sqrt(np.einsum("nij,nj,nij->ni", vectors, inverse, vectors))
    shift[broken], error[broken] = np.nan, np.nan
    return shift, error
