"""How far two computations of the same sums in single precision may lie apart.

Processors, their BLAS kernels and threads add in different orders. A sum of n products is off by at most
gamma_n = n u / (1 - n u) times the sum of the products' sizes, whatever the order (Higham 2002, Accuracy and Stability
of Numerical Algorithms, eq. 3.5). Long sums stay far below it: with errors that are independent and as often too large
as too small, n becomes a few sqrt(n) (Higham & Mary 2019, SIAM J. Sci. Comput. 41, A2815).
"""

import numpy as np
from numpy.typing import ArrayLike

from stellar_emulator.broadening.fourier_sum import FourierSum
from stellar_emulator.networks.dense import DenseChain
from stellar_emulator.networks.inference import ExactEmulatorNetwork

UNIT = 2.0**-24
"""Unit roundoff of single precision, half of its epsilon."""

DEVIATIONS = 4.0
"""The few: at four, one sum in 16,000 went beyond, were all its partial sums as large as the sizes together."""

ELEMENTWISE = 4.0
"""Units by which libraries' exponentials, error functions and hyperbolic tangents differ from the true ones."""

STEEPEST = 1.13
"""Slope of the steepest activation, GELU's."""

shares: list[float] = []
"""Of its bound, what each comparison of this process used; `benchmarks.rounding` shows the largest."""


def assert_within(found: ArrayLike, expected: ArrayLike, bound: ArrayLike) -> None:
    """No number is further than its bound from the one expected."""
    share = np.abs(np.asarray(found, dtype=float) - np.asarray(expected, dtype=float)) / bound
    shares.append(float(share.max()))
    assert shares[-1] < 1.0, f"{shares[-1]:.3g} times as far apart as rounding explains"


def sum_error(terms: int, size: ArrayLike) -> np.ndarray:
    """Of a sum of ``terms`` products whose sizes add up to ``size``."""
    counted = min(float(terms), DEVIATIONS * np.sqrt(terms))
    return counted * UNIT / (1.0 - terms * UNIT) * np.asarray(size, dtype=float)


def both(*errors: ArrayLike) -> np.ndarray:
    """Between two computations, each with these errors after one another; independent ones add in squares."""
    return np.sqrt(2.0 * sum(np.square(error) for error in errors))


def chain_error(chain: DenseChain, inputs: np.ndarray) -> np.ndarray:
    """Of the outputs of dense layers, each carrying on the errors of those before it, which are independent."""
    x = chain.given(np.asarray(inputs, dtype=float))
    error = ELEMENTWISE * UNIT * np.abs(x)
    for layer in chain.layers:
        kernel, bias = np.abs(layer.kernel.astype(float)), np.abs(layer.bias.astype(float))
        own = sum_error(len(kernel) + 1, np.abs(x) @ kernel + bias)
        error = np.sqrt(np.square(error) @ np.square(kernel) + np.square(own))
        x = layer(x)
        if layer.activation != "linear":
            error = STEEPEST * error + ELEMENTWISE * UNIT * np.maximum(np.abs(x), 1.0)
    return error


def synthesis_errors(total: FourierSum, modes: float, flux: float, terms: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Of the sum of modes at pixels: what its samples, and what its pixels add.

    A sample is a sum over columns and over rows of modes, as in `networks.onnx.synthesis` (an FFT has fewer terms);
    ``modes``: the sum of their sizes; ``terms``: of the sum that each of them is. A pixel is a sum over a window of
    samples, whose errors are independent, and none of which exceeds ``flux``.
    """
    first, second = total.samples
    weights = np.abs(total.weights.astype(float))
    reach = np.sqrt(np.square(weights).sum(axis=1)).max()
    samples = reach * sum_error(terms + 2 * second + first + 1, modes)
    return samples, sum_error(weights.shape[1], weights.sum(axis=1).max() * flux)


def exact_flux_errors(network: ExactEmulatorNetwork, labels: np.ndarray) -> tuple[np.ndarray, ...]:
    """Of the flux of the exact family: what its chain adds, then as `synthesis_errors`."""
    given = np.asarray(labels, dtype=float)[:, network.run_columns]
    made, error = (values[:, :-1] for values in (network.chain(given), chain_error(network.chain, given)))
    largest = np.where(np.arange(made.shape[1]) % (made.shape[1] // 2) > 0, np.sqrt(2.0), 1.0)
    modes, chain = ((np.abs(values) @ largest).max() for values in (made, error))
    transfer = 2 * len(network.broadening.rotation.orders)
    return chain, *synthesis_errors(network.broadening.synthesis, modes, np.abs(network(labels)).max(), transfer)
