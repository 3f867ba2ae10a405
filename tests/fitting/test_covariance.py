"""Covariances: exact where matrices are good, positive definite where they are not."""

import numpy as np

from stellar_emulator.fitting.covariance import covariance_of, inverse_of


def good(count: int = 3, size: int = 5) -> np.ndarray:
    made = np.random.default_rng(4).standard_normal((count, 40, size)) * [1.0, 10.0, 0.1, 1e3, 1e-3]
    return np.asarray(made.transpose(0, 2, 1) @ made)


def test_inverses_and_covariances_are_exact_for_good_matrices() -> None:
    matrix, added = good(), good() / 7.0
    inverse = np.linalg.inv(matrix)
    np.testing.assert_allclose(inverse_of(matrix), inverse, rtol=1e-9)
    np.testing.assert_allclose(covariance_of(matrix, added), inverse + inverse @ added @ inverse, rtol=1e-9)


def test_what_rounding_makes_negative_is_cut_off() -> None:
    matrix = good()
    matrix[0, :, 1], matrix[0, 1, :] = 10.0 * matrix[0, :, 0], 10.0 * matrix[0, 0, :]
    matrix[0, 1, 1] = 100.0 * matrix[0, 0, 0] * (1.0 - 1e-9)
    assert np.linalg.eigvalsh(matrix[0])[0] < 0
    for found in (inverse_of(matrix), covariance_of(matrix, -2.0 * matrix)):
        assert np.linalg.cholesky(found).shape == matrix.shape
        np.testing.assert_allclose(found, found.transpose(0, 2, 1), rtol=1e-6, atol=1e-9 * np.abs(found).max())


def test_a_parameter_that_nothing_tells_of_is_finite_and_leaves_the_others_alone() -> None:
    matrix = good()
    matrix[0, 2, :], matrix[0, :, 2] = 0.0, 0.0
    others = [0, 1, 3, 4]
    found = inverse_of(matrix)[0]
    assert np.isfinite(found).all()
    assert found[2, 2] > 1e6
    np.testing.assert_allclose(
        found[np.ix_(others, others)], np.linalg.inv(matrix[0][np.ix_(others, others)]), rtol=1e-6
    )
