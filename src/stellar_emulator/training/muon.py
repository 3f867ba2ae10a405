"""Muon (Jordan 2024): each kernel's step is orthogonalised, so that directions with small gradients are used too."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.training.share import Weights

Array = NDArray[np.float32]
Product = Callable[[Array, Array], Array]
"""A product of two matrices."""

POLYNOMIALS = ((8.0936, -23.6226, 17.448), (3.6366, -2.722, 0.5366), (2.6613, -1.9771, 0.4526))
"""Factors of x, x^3 and x^5 of odd polynomials, applied one after the other: each is the one nearest to 1 where its
predecessors take [0.01, 1] (Amsel et al. 2025, The Polar Express, eq. 3). Three take it to 1 +- 0.27."""

MOMENTUM = 0.95
STEP = 0.2
"""Root mean square of a kernel's step over the learning rate, as of Adam (Liu et al. 2025, Muon is scalable)."""

DECAY = 0.004
"""Weight decay of what AdamW trains (Keras's default); the kernels that Muon trains have none."""

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7
"""AdamW's memory of gradients and of their squares, and the smallest root that it divides by."""


class Muon:
    """Steps of the inner kernels by Muon, of first and last layer and of all biases by AdamW.

    moments, squares: running means of gradients and, for AdamW, of their squares, in the order of the weights' arrays;
    those of the weights that Muon steps have no squares and are empty. steps: steps taken.
    """

    def __init__(self, weights: Weights, beta_2: float | None = None) -> None:
        self.weights, self.beta_2, self.steps = weights, BETA_2 if beta_2 is None else beta_2, 0
        self.moments = [np.zeros_like(array) for array in weights.arrays]
        self.squares = [
            np.zeros_like(array if array.ndim == 1 or self._is_outer(number // 2) else array[:0])
            for number, array in enumerate(weights.arrays)
        ]

    @property
    def costs(self) -> list[int]:
        """Of each layer's step, in proportion: multiplications of a product of its kernel with its transpose."""
        kernels = self.weights.kernels
        return [0 if self._is_outer(layer) else one.size * min(one.shape) for layer, one in enumerate(kernels)]

    @np.errstate(over="ignore", invalid="ignore")  # a training that diverges is found by its error
    def step(self, layer: int, kernel: Array, bias: Array, rate: float, product: Product = np.matmul) -> None:
        """Step a layer's weights against their gradient; ``steps`` counts the steps before."""
        self._adam(2 * layer + 1, self.weights.biases[layer], bias, rate)
        weights = self.weights.kernels[layer]
        if self._is_outer(layer):
            self._adam(2 * layer, weights, kernel, rate)
            return
        moment = self.moments[2 * layer]
        moment *= MOMENTUM
        moment += kernel
        weights -= orthogonal(kernel + MOMENTUM * moment, product) * (rate * STEP * max(kernel.shape) ** 0.5)

    def _is_outer(self, layer: int) -> bool:
        return layer in (0, len(self.weights.kernels) - 1)

    def _adam(self, number: int, weights: Array, gradient: Array, rate: float) -> None:
        moment, square, step = self.moments[number], self.squares[number], self.steps + 1
        moment += (gradient - moment) * (1.0 - BETA_1)
        square += (gradient * gradient - square) * (1.0 - self.beta_2)
        weights *= 1.0 - rate * DECAY
        weights -= (
            moment * (rate * (1.0 - self.beta_2**step) ** 0.5 / (1.0 - BETA_1**step)) / (np.sqrt(square) + EPSILON)
        )


def orthogonal(matrix: Array, product: Product = np.matmul) -> Array:
    """A matrix with the singular vectors of another one and singular values near 1.

    Values below a hundredth of the fourth root of the sum of their eighth powers stay smaller in proportion.
    """
    wide = matrix.shape[0] <= matrix.shape[1]
    made = matrix if wide else matrix.T
    size = float(np.linalg.norm(made))
    if size == 0.0:
        return matrix
    made = made / size
    for number, (first, third, fifth) in enumerate(POLYNOMIALS):
        square = product(made, made.T)
        fourth = product(square, square)
        if number == 0:
            # Its norm bounds the largest singular value closely, and costs nothing besides.
            bound = float(np.linalg.norm(fourth)) ** 0.25
            made, square, fourth = made / bound, square / bound**2, fourth / bound**4
        square *= third
        fourth *= fifth
        square += fourth
        made = first * made + product(square, made)
    return made if wide else made.T
