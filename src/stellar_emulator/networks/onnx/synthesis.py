"""The sum of Fourier modes at pixels inside the graph: `broadening.fourier_sum`, with its FFT as two small matrix
products.

ONNX Runtime's own DFT is slow and still new. The number of samples is first x second without a common divisor, so a
transform of that length is one of length ``first`` and one of length ``second`` on a rectangle of modes (Good 1958,
J. R. Stat. Soc. B 20, 361), with nothing between them. Real flux needs half of the rectangle.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.broadening.fourier_sum import FourierSum
from stellar_emulator.networks.onnx.graph import Graph, Outputs

WEIGHTS = "synthesis/weights"
"""Name of the tensor of `FourierSum.weights`, shape (blocks, pixels of a block, window)."""


@dataclass(frozen=True)
class Rectangle:
    """Positions of the modes before the transform; each array has the shape (rows, columns).

    number: index of the mode at each position, 0 where there is none; real, imaginary: factors of its parts, 0 where
    there is none and conjugate at its negative frequency.
    """

    number: NDArray[np.int64]
    real: NDArray[np.float32]
    imaginary: NDArray[np.float32]

    @property
    def parts(self) -> Outputs:
        """The modes (n, 2 modes), real parts then imaginary, arranged and weighted as (n, rows, 2, columns)."""
        modes = int(self.number.max()) + 1
        places = np.stack([self.number, self.number + modes], axis=1)
        return Outputs(places.ravel(), np.stack([self.real, self.imaginary], axis=1).ravel())


def rectangle(total: FourierSum) -> Rectangle:
    """The half of the rectangle that real flux needs: rows 0 to (first - 1) / 2."""
    first, second = total.samples
    count = first * second
    frequency = np.full((first, second), -1)
    every = np.arange(count)
    frequency[every % first, every % second] = every
    frequency = frequency[: (first + 1) // 2]
    positive, negative = frequency < total.modes, frequency > count - total.modes
    number = np.where(positive, frequency, np.where(negative, count - frequency, 0))
    # Folded as in `FourierSum`: half of sqrt(2) for each of the two frequencies of a mode, the constant has but one.
    share = np.where(positive | negative, np.where(number > 0, np.sqrt(0.5), 1.0), 0.0)
    return Rectangle(
        number, share.astype(np.float32), np.where(negative, -share, share * (number > 0)).astype(np.float32)
    )


def synthesised(graph: Graph, total: FourierSum, placed: str) -> str:
    """Add nodes that sum ``placed`` modes, (n, rows x 2 x columns), at pixels, (n, pixels); return the name."""
    return graph.transpose(synthesised_by_pixel(graph, total, placed), [1, 0], "synthesis/pixels")


def synthesised_by_pixel(graph: Graph, total: FourierSum, placed: str) -> str:
    """The same as (pixels, n), which is how sums come out."""
    first, second = total.samples
    rows = (first + 1) // 2
    wide = graph.reshape(placed, [-1, rows, 2 * second], "synthesis/rows")
    across = graph.node("MatMul", [wide, graph.constant("synthesis/across", _across(second))], "synthesis/turned")
    deep = graph.reshape(across, [-1, 2 * rows, second], "synthesis/columns")
    samples = graph.node("MatMul", [graph.constant("synthesis/down", _down(first)), deep], "synthesis/samples")
    flat = graph.reshape(samples, [-1, first * second], "synthesis/flat")
    # Samples are the outer axis and spectra the inner one, so that a window is gathered by rows, not number by number.
    turned = graph.transpose(flat, [1, 0], "synthesis/flat/turned")
    windows = graph.node("Gather", [turned, graph.integers("synthesis/windows", _places(total))], "synthesis/windowed")
    weights = graph.constant(WEIGHTS, total.weights.transpose(0, 2, 1))
    blocks = graph.node("MatMul", [weights, windows], "synthesis/blocks")
    spread = graph.reshape(blocks, [total.weights.shape[0] * total.weights.shape[2], -1], "synthesis/spread")
    limits = [graph.integers(f"synthesis/{name}", [value]) for name, value in (("from", 0), ("to", total.pixels))]
    return graph.node("Slice", [spread, *limits], "synthesis/used")


def _across(second: int) -> NDArray[np.float32]:
    """Transform along the columns of a row, (2 columns, 2 columns), real parts then imaginary on either side."""
    turn = np.exp(2j * np.pi / second * np.outer(np.arange(second), np.arange(second)))
    return np.block([[turn.real, turn.imag], [-turn.imag, turn.real]]).astype(np.float32)


def _down(first: int) -> NDArray[np.float32]:
    """Transform along the rows, (first, 2 rows), real and imaginary part of each row in turn; gives the real part."""
    rows = np.arange((first + 1) // 2)
    # The omitted rows are the conjugates of these, except for row 0.
    turn = np.where(rows > 0, 2.0, 1.0) * np.exp(2j * np.pi / first * np.outer(np.arange(first), rows))
    return np.stack([turn.real, -turn.imag], axis=-1).reshape(first, -1).astype(np.float32)


def _places(total: FourierSum) -> NDArray[np.int64]:
    """Positions of each window's samples after both transforms."""
    first, second = total.samples
    row, column = np.divmod(np.arange(first * second), second)
    place = np.empty(first * second, dtype=np.int64)
    place[(row * second + column * first) % (first * second)] = np.arange(first * second)
    return place[total.windows]
