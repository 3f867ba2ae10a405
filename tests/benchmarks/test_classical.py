"""The emulators without networks that benchmarks compare with."""

from typing import Literal

import numpy as np
import pytest
from benchmarks.classical import NEIGHBOURS, Interpolation, fit_quadratic, quadratic_terms
from scipy.spatial import KDTree

RANDOM = np.random.default_rng(3)
LABELS = RANDOM.random((300, 3)).astype(np.float32)
UNSEEN = (0.2 + 0.6 * RANDOM.random((20, 3))).astype(np.float32)
SHAPES = RANDOM.normal(size=(10, 7)).astype(np.float32)


def quadratic_world(labels: np.ndarray) -> np.ndarray:
    a, b, c = labels.T
    return np.stack([np.ones_like(a), a, b, c, a * a, a * b, a * c, b * b, b * c, c * c], axis=1) @ SHAPES


@pytest.mark.rounding
def test_polynomial_reproduces_a_quadratic_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.classical.ROWS", 64)  # so that sums have several parts, the last of them short
    learned = fit_quadratic(LABELS, quadratic_world(LABELS))
    assert quadratic_terms(LABELS).shape == (300, 10)
    np.testing.assert_allclose(learned(UNSEEN), quadratic_world(UNSEEN), atol=1e-4)


@pytest.mark.rounding
@pytest.mark.parametrize("kernel", ["linear", "cubic"])
def test_interpolation_passes_through_its_spectra(kernel: Literal["linear", "cubic"]) -> None:
    flux = quadratic_world(LABELS)
    surface = Interpolation(KDTree(LABELS), flux, kernel)
    np.testing.assert_allclose(surface(LABELS[:5]), flux[:5], atol=1e-3)
    assert np.abs(surface(UNSEEN) - quadratic_world(UNSEEN)).mean() < 0.1 * flux.std()


@pytest.mark.rounding
def test_interpolation_looks_at_the_nearest_alone() -> None:
    flux = quadratic_world(LABELS)
    tree = KDTree(LABELS)
    far = np.setdiff1d(np.arange(len(LABELS)), tree.query(UNSEEN[0], NEIGHBOURS)[1])
    changed = flux.copy()
    changed[far] = np.nan
    np.testing.assert_array_equal(
        Interpolation(tree, changed, "cubic")(UNSEEN[:1]), Interpolation(tree, flux, "cubic")(UNSEEN[:1])
    )


@pytest.mark.rounding
def test_cubic_interpolation_reproduces_what_is_linear_in_the_labels() -> None:
    flux = LABELS @ SHAPES[:3]
    surface = Interpolation(KDTree(LABELS), flux, "cubic")
    np.testing.assert_allclose(surface(UNSEEN), UNSEEN @ SHAPES[:3], atol=1e-4)
