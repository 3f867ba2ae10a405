"""What the benchmark of generation counts and runs."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from benchmarks.generation import Way, by_numpy, in_parts, paper_network

from stellar_emulator.contract.contract import read_contract
from stellar_emulator.networks.dense import DenseChain, DenseLayer
from stellar_emulator.networks.inference import EmulatorNetwork


def test_the_papers_network_has_the_papers_layers() -> None:
    network = paper_network(read_contract(Path(__file__).parents[2] / "data_contracts" / "gaia_rvs.yaml"))
    kernels = [layer.kernel.shape for layer in network.chain.layers]
    widths = [6, 5000, 2000, 512, 32, 10, 32, 64, 256, 512, 1024, 4000]
    assert kernels == list(pairwise(widths))
    assert network.multiply_adds == sum(first * second for first, second in kernels)


def test_parts_are_put_together_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.generation.NUMPY_ROWS", 3)
    seen: list[int] = []

    def double(values: np.ndarray) -> np.ndarray:
        seen.append(len(values))
        return 2 * values

    np.testing.assert_array_equal(in_parts(double, np.arange(8.0)[:, np.newaxis])[:, 0], 2 * np.arange(8.0))
    assert seen == [3, 3, 2]


def test_share_is_of_the_products_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.generation.milliseconds", lambda call: [4.0, 2.0, 8.0])
    monkeypatch.setattr("benchmarks.generation.BATCHES", (1, 2048))
    chain = DenseChain((DenseLayer(np.ones((6, 100), np.float32), np.zeros(100, np.float32), "linear"),))
    network = EmulatorNetwork(chain)
    one, many = Way("plain", by_numpy(network), 1000, 0.6).rows(np.ones((2048, 6)), rate=10.0)
    # 2,048 spectra of 2,000 operations in 4 ms are 1.024 GFLOP/s.
    assert many == ("plain", "2,048", "4.000 (2.000-8.000)", "512000 (256000-1024000)", "10%", ">= 60%")
    assert one[-2:] == ("0%", "")
