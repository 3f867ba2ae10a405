"""The matrix from Fourier modes to pixels, built inside the graph from thin factors.

Its entries are cosines and sines of number x angle, the angle being a pixel's. With number = 32 high + low they are
products of a factor for ``high`` and one for ``low`` (addition theorems): 2 MB in the file instead of 37. ONNX Runtime
multiplies the factors out once, when it loads the graph.
"""

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.grid.broadening import pixel_velocities
from stellar_emulator.networks.inference import ExactEmulatorNetwork
from stellar_emulator.networks.onnx_graph import Graph

LOW = 32
"""Numbers of the low factor; the high one then has as many for 1,000 modes."""


def synthesis(graph: Graph, network: ExactEmulatorNetwork) -> str:
    """Add nodes that make the matrix `Broadening.synthesis`, (2 modes, pixels); return its name."""
    contract, frequencies = network.contract, network.broadening.frequencies
    assert contract.intrinsic is not None
    angle = 2.0 * np.pi * frequencies[1] * pixel_velocities(contract.intrinsic, contract.wavelength)
    modes = len(frequencies)
    high = _factor(graph, "synthesis/high", np.arange(0, modes, LOW)[:, np.newaxis, np.newaxis] * angle)
    low = _factor(graph, "synthesis/low", np.arange(LOW)[:, np.newaxis] * angle)

    def product(first: int, second: int) -> str:
        return graph.node("Mul", [high[first], low[second]], f"synthesis/{'cs'[first]}{'cs'[second]}")

    cosine = graph.node("Sub", [product(0, 0), product(1, 1)], "synthesis/cosine")
    sine = graph.node("Add", [product(1, 0), product(0, 1)], "synthesis/sine")
    flat = graph.integers("synthesis/flat", [-1, len(angle)])
    first, last = graph.integers("synthesis/first", [0]), graph.integers("synthesis/last", [modes])
    # As in `broadening`: negative frequencies are folded onto positive ones, and the imaginary part counts negative.
    twice = np.where(np.arange(modes) > 0, np.sqrt(2.0), 1.0).astype(np.float32)[:, np.newaxis]
    halves = []
    for name, value, scale in (("real", cosine, twice), ("imaginary", sine, -twice)):
        rows = graph.node("Reshape", [value, flat], f"synthesis/{name}/rows")
        used = graph.node("Slice", [rows, first, last], f"synthesis/{name}/used")
        halves.append(graph.node("Mul", [used, graph.constant(f"{value}/scale", scale)], f"synthesis/{name}"))
    return graph.concat(halves, "synthesis", axis=0)


def _factor(graph: Graph, name: str, angles: NDArray[np.float64]) -> tuple[str, str]:
    """Cosines and sines of angles."""
    return (
        graph.constant(f"{name}/cosine", np.cos(angles).astype(np.float32)),
        graph.constant(f"{name}/sine", np.sin(angles).astype(np.float32)),
    )
