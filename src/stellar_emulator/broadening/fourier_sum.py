"""Sums of Fourier modes at the pixels of a wavelength axis, at the cost of an FFT instead of a matrix product.

An FFT first takes the modes to an equidistant axis; each pixel is then a weighted mean of the samples around it. The
weights are those of least squares over the modes (as in Fessler & Sutton 2003, IEEE Trans. Signal Process. 51, 560), so
few samples beyond twice the number of modes are enough.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

OVERSAMPLING = 1.15
"""Smallest number of samples for each pair of real and imaginary part."""

MARGIN = 8
"""Samples beyond the pixels of a window, on either side."""

WINDOW = 48
"""Samples of a window, margins included: long windows cost arithmetic, and short ones leave the processor idle."""

FLOOR, RIDGE = 1e-5, 1e-14
"""Relative weight in least squares of a mode that is not transmitted, and relative ridge that keeps it solvable."""


@dataclass(frozen=True)
class FourierSum:
    """Flux of modes: the sum over k of s_k (real_k cos(k angle) - imaginary_k sin(k angle)), s_0 = 1, else sqrt(2).

    modes: their number; samples: factors, without a common divisor and the first odd, of the number of equidistant
    samples; windows: samples of each block of pixels, shape (blocks, window); weights: of the samples for each pixel of
    a block, shape (blocks, window, pixels of a block), zero for the surplus pixels of the last block; pixels: their
    number.
    """

    modes: int
    samples: tuple[int, int]
    windows: NDArray[np.int64]
    weights: Array
    pixels: int

    def __call__(self, modes: Array) -> Array:
        """Flux (n, pixels) of modes (n, 2 modes), real parts then imaginary."""
        from scipy.fft import irfft

        spectrum = self._scale * (modes[:, : self.modes] + 1j * modes[:, self.modes :])
        first, second = self.samples
        equidistant = irfft(spectrum, first * second, axis=-1, overwrite_x=True)
        flux = np.empty((len(modes), self.pixels), dtype=np.float32)
        width = self.weights.shape[-1]
        for block, (window, weights) in enumerate(zip(self.windows, self.weights, strict=True)):
            place = flux[:, block * width : (block + 1) * width]
            place[:] = equidistant[:, window] @ weights[:, : place.shape[1]]
        return flux

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds for one spectrum, if the FFT is done as two matrix products, as in ONNX."""
        first, second = self.samples
        return 2 * (first + 1) * second**2 + first * (first + 1) * second + self.weights.size

    @cached_property
    def _scale(self) -> Array:
        first, second = self.samples
        return (first * second * np.where(np.arange(self.modes) > 0, np.sqrt(0.5), 1.0)).astype(np.float32)


def fourier_sum(angles: NDArray[np.float64], passed: NDArray[np.float64]) -> FourierSum:
    """Prepare the sum at ascending angles in radians, shape (pixels,).

    passed: largest transmission of each mode, 1 for all of it, shape (modes,); where it is small, the weights need not
    be exact.
    """
    first, second = _samples(len(passed))
    count = first * second
    place = angles * count / (2.0 * np.pi)
    width = max(1, int((WINDOW - 2 * MARGIN) * (len(angles) - 1) / max(place[-1] - place[0], 1.0)))
    blocks = [place[start : start + width] for start in range(0, len(angles), width)]
    starts = np.array([int(np.floor(block[0])) - MARGIN + 1 for block in blocks])
    length = max(int(np.ceil(block[-1])) + MARGIN - start for block, start in zip(blocks, starts, strict=True))
    importance = np.maximum(passed / passed.max(), FLOOR)
    # Samples are equidistant, so every window has the same equations relative to its own start.
    own = _waves(np.arange(length), importance, count)
    normal = own.T @ own
    normal += RIDGE * np.trace(normal) * np.eye(length)
    weights = np.zeros((len(blocks), length, width))
    for weight, block, start in zip(weights, blocks, starts, strict=True):
        weight[:, : len(block)] = np.linalg.solve(normal, own.T @ _waves(block - start, importance, count))
    windows = (starts[:, np.newaxis] + np.arange(length)) % count
    return FourierSum(len(passed), (first, second), windows, weights.astype(np.float32), len(angles))


def _samples(modes: int) -> tuple[int, int]:
    """The smallest odd number and its successor whose product is enough."""
    first = 3
    while first * (first + 1) < 2.0 * OVERSAMPLING * modes:
        first += 2
    return first, first + 1


def _waves(places: NDArray[np.floating], importance: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Cosines and sines of every mode at places on the equidistant axis, shape (2 modes, places)."""
    phase = 2.0 * np.pi / count * np.outer(np.arange(len(importance)), places)
    return np.concatenate([importance[:, np.newaxis] * np.cos(phase), importance[:, np.newaxis] * np.sin(phase)])
