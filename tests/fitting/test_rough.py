"""Problems of fewer pixels: what is merged, what is left out, and that labels come out the same."""

from dataclasses import replace

import numpy as np
import pytest

from stars import ARCHIVE, pair_of, star
from stellar_emulator.fitting.forward import Forward, ParameterRows
from stellar_emulator.fitting.least_squares import Priors, Problem, advanced, begun
from stellar_emulator.fitting.rough import rough
from stellar_emulator.observed.continuum import chebyshev_basis

AXIS = ARCHIVE.wavelength.pixels


def problem_of(wavelength: np.ndarray, velocity: float = 20.0) -> tuple[Problem, np.ndarray]:
    """Two spectra without noise, and the vectors that they are made of."""
    emulator = pair_of(ARCHIVE).emulator
    count = len(ARCHIVE.labels)
    basis = np.stack([chebyshev_basis(wavelength, 1)] * 2)
    forward = Forward(emulator, np.stack([wavelength] * 2), basis)
    labels = np.concatenate([star(ARCHIVE), star(ARCHIVE, teff=6500.0, m_h=-0.5)])
    vectors = forward.pack(ParameterRows(labels, np.full(2, velocity), np.array([[1.0, 0.02], [2.0, -0.1]])))
    free = np.ones(vectors.shape, dtype=bool)
    nothing = Priors(np.zeros((2, count)), np.full((2, count), np.inf))
    return Problem(
        forward, forward.flux(vectors), np.full((2, len(wavelength)), 100.0), free, nothing, vectors
    ), vectors


def test_neighbours_are_merged_by_their_weights() -> None:
    problem, _ = problem_of(AXIS)
    weight = problem.weight.copy()
    weight[0, 1], weight[1, :3] = 0.0, 0.0
    found = rough(replace(problem, weight=weight))
    assert found.flux.shape == (2, -(-len(AXIS) // 3))
    assert found.forward.rough is not None
    assert found.forward.rough.contract.wavelength.count == found.flux.shape[1]
    assert found.flux[0, 0] == pytest.approx((problem.flux[0, 0] + problem.flux[0, 2]) / 2.0)
    assert found.forward.wavelength[0, 0] == pytest.approx((AXIS[0] + AXIS[2]) / 2.0)
    assert found.weight[0, :2] == pytest.approx(100.0 * np.sqrt([2.0, 3.0]))
    assert found.weight[1, 0] == 0.0
    assert np.sum(found.weight**2) == pytest.approx(np.sum(weight**2))


def test_pixels_on_either_side_of_a_gap_are_not_merged() -> None:
    broken = np.concatenate([AXIS[:1000], AXIS[1300:]])
    problem, _ = problem_of(broken)
    found = rough(problem)
    assert np.sum(found.weight[0] == 0.0) == 1
    across = (found.forward.wavelength[0] > AXIS[1001]) & (found.forward.wavelength[0] < AXIS[1298])
    assert (found.weight[0][across] == 0.0).all()


def test_a_search_on_few_pixels_ends_near_the_best_place() -> None:
    problem, true = problem_of(AXIS)
    few = rough(problem)
    start = true.copy()
    start[:, : len(ARCHIVE.labels)] = np.clip(start[:, : len(ARCHIVE.labels)] + 0.05, 0.0, 1.0)
    found = advanced(few, begun(few, start)).vectors
    off = np.abs(found - true)[:, [0, 1, 3]]
    assert off.max() < 0.01 < np.abs(start - true)[:, [0, 1, 3]].max()


def test_few_pixels_are_left_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, _ = problem_of(AXIS)
    monkeypatch.setattr("stellar_emulator.fitting.rough.largest_resolution", lambda contract: None)
    assert rough(problem) is problem
    monkeypatch.setattr("stellar_emulator.fitting.rough.largest_resolution", lambda contract: 80000.0)
    assert rough(problem) is problem


def test_wide_pixels_of_a_fine_model_are_not_merged() -> None:
    problem, _ = problem_of(AXIS[::4])
    found = rough(problem)
    assert found.flux is problem.flux
    assert found.forward.rough is not None
