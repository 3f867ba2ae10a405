"""Sums of modes inside a graph against the same sums by NumPy."""

import numpy as np
import pytest

from rounding import assert_within, both, synthesis_errors
from stellar_emulator.broadening.fourier_sum import fourier_sum
from stellar_emulator.networks.dense import DenseLayer
from stellar_emulator.networks.onnx.graph import Graph
from stellar_emulator.networks.onnx.runtime import open_network
from stellar_emulator.networks.onnx.synthesis import rectangle, synthesised

pytestmark = pytest.mark.rounding


@pytest.mark.parametrize("modes", [1, 2, 17, 300])
@pytest.mark.parametrize("pixels", [1, 60, 401])
def test_every_mode_gives_the_same_flux(modes: int, pixels: int) -> None:
    total = fourier_sum(np.linspace(0.3, 4.0, pixels), np.ones(modes))
    graph = Graph()
    same = DenseLayer(np.eye(2 * modes, dtype=np.float32), np.zeros(2 * modes, dtype=np.float32), "linear")
    kernel, bias = graph.layer_weights("same", same, rectangle(total).parts)
    graph.rename(synthesised(graph, total, graph.node("Gemm", ["modes", kernel, bias], "placed")), "flux")
    content = graph.model("sum", ("modes", 2 * modes), ("flux", pixels)).SerializeToString()
    every = np.eye(2 * modes, dtype=np.float32)
    found = open_network(content, pixels)(every)
    largest = np.sqrt(2.0) if modes > 1 else 1.0
    assert_within(found, total(every), both(*synthesis_errors(total, largest, largest)))
    assert np.abs(found).max() > 0.5
