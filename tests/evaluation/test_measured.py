"""Errors by region of the label box: what is put into the bins comes out at their centres."""

from typing import Any

import numpy as np
import pytest
from synthetic import TINY

from stellar_emulator.evaluation.measured import (
    NOISE_LEVELS,
    at_labels,
    at_noise,
    emulator_measures,
    reconstructed,
    rms_by_region,
    validator_measures,
)

CENTRES = np.array([[teff, 0.0, vsini] for teff in (5000.0, 7000.0) for vsini in (25.0, 75.0)])
"""Of the four bins of the tiny contract."""


def drawn(rows: int) -> np.ndarray:
    return TINY.lower + np.random.default_rng(0).random((rows, 3)) * (TINY.upper - TINY.lower)


def region(labels: np.ndarray) -> np.ndarray:
    return 2 * (labels[:, 0] >= 6000.0) + (labels[:, 2] >= 50.0)


def test_the_error_of_each_region_is_found_again_at_its_centre() -> None:
    labels = drawn(4000)
    scale = np.array([0.1, 0.2, 0.4, 0.8])[region(labels)][:, np.newaxis] * [1.0, 3.0]
    sign = np.random.default_rng(1).choice([-1.0, 1.0], size=(4000, 2))
    table = rms_by_region(TINY, labels, sign * scale)
    np.testing.assert_allclose(at_labels(TINY, table, CENTRES)[:, 0], [0.1, 0.2, 0.4, 0.8], rtol=1e-6)
    np.testing.assert_allclose(at_labels(TINY, table, CENTRES)[:, 1], [0.3, 0.6, 1.2, 2.4], rtol=1e-6)


def test_errors_change_linearly_between_centres_and_not_beyond_them() -> None:
    table = np.array([[[1.0], [2.0]], [[3.0], [4.0]]])
    labels = np.array([[6000.0, 0.0, 25.0], [6000.0, 0.0, 50.0], [4000.0, 0.5, 0.0], [8000.0, -1.0, 100.0]])
    np.testing.assert_allclose(at_labels(TINY, table, labels)[:, 0], [2.0, 2.5, 1.0, 4.0])


def test_a_region_without_spectra_has_the_error_of_all() -> None:
    labels = np.array([[5000.0, 0.0, 10.0], [5000.0, 0.0, 60.0]])
    table = rms_by_region(TINY, labels, np.array([[3.0], [4.0]]))
    np.testing.assert_allclose(table[..., 0], [[3.0, 4.0], [np.sqrt(12.5), np.sqrt(12.5)]])


def test_edges_of_the_box_belong_to_a_region() -> None:
    labels = np.array([TINY.lower, TINY.upper])
    table = rms_by_region(TINY, labels, np.array([[1.0], [7.0]]))
    assert table[0, 0, 0] == 1.0
    assert table[1, 1, 0] == 7.0


def test_errors_grow_with_noise_between_and_beyond_the_levels() -> None:
    levels, values = np.array([0.0, 0.01, 0.05]), np.array([[1.0], [2.0], [6.0]])
    for noise, expected in ((0.0, 1.0), (0.005, 1.5), (0.01, 2.0), (0.03, 4.0), (0.05, 6.0), (0.1, 12.0)):
        np.testing.assert_allclose(at_noise(levels, values, noise), [expected])


def test_the_emulators_measures_are_of_flux() -> None:
    labels = drawn(50)
    computed = np.zeros((50, 777), dtype=np.float32)
    generated = computed + np.linspace(0.0, 1.0, 777, dtype=np.float32)
    table = emulator_measures(TINY, labels, computed, generated)["flux_rms"]
    assert table.shape == (2, 2, 777)
    np.testing.assert_allclose(table, np.broadcast_to(np.linspace(0.0, 1.0, 777), table.shape), atol=1e-6)


def test_the_validators_measures_tell_noise_and_reconstruction() -> None:
    """Of a validator that reads each label from one pixel, and spectra of which one pixel can't be reconstructed."""
    random = np.random.default_rng(2)
    labels = drawn(3000)
    flux = np.zeros((3000, 777), dtype=np.float32)
    flux[:, :3] = labels / TINY.upper
    flux[:, 9] = random.normal(0.0, 0.5, 3000)
    projection = np.zeros((777, 3), dtype=np.float32)
    projection[[0, 1, 2], [0, 1, 2]] = [2.0, 5.0, 0.1]
    mean = flux.mean(axis=0)
    mean[9] = 0.0

    def reads(spectra: Any) -> Any:
        return spectra[:, :3] * TINY.upper

    found = validator_measures(TINY, reads, mean, projection, labels, flux)
    assert found["label_rms"].shape == (len(NOISE_LEVELS), 2, 2, 3)
    for level, noise in enumerate(NOISE_LEVELS):
        np.testing.assert_allclose(
            found["label_rms"][level].mean(axis=(0, 1)), noise * TINY.upper, rtol=0.05, atol=1e-3
        )
    lost = np.abs(flux[:, 9]) / np.sqrt(777)
    np.testing.assert_allclose(found["reconstruction_error"], np.quantile(lost, found["quantiles"]), rtol=1e-3)


@pytest.mark.rounding
def test_what_lies_along_the_components_is_reconstructed() -> None:
    random = np.random.default_rng(3)
    components = np.linalg.qr(random.normal(size=(60, 4)))[0].astype(np.float32)
    mean = random.normal(size=60).astype(np.float32)
    projection = components * np.array([0.1, 3.0, 20.0, 1.0], dtype=np.float32)
    inside = (mean + random.normal(size=(5, 4)) @ components.T).astype(np.float32)
    np.testing.assert_allclose(reconstructed(inside, mean, projection), inside, atol=1e-5)
    outside = inside + random.normal(size=60).astype(np.float32)
    assert np.abs(reconstructed(outside, mean, projection) - outside).max() > 0.1
