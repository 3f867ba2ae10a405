"""Spectra by every way to generate them, one and many at once, beside the machine's matrix-product rate."""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import Row, milliseconds, product_rates, spread, table
from stellar_emulator import Emulator
from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import SetupError
from stellar_emulator.grid.engines.base import require_served, synthesised
from stellar_emulator.grid.engines.synspec.engine import SYNSPEC
from stellar_emulator.grid.sampling import run_labels
from stellar_emulator.networks.inference import EmulatorNetwork, ExactEmulatorNetwork
from stellar_emulator.networks.onnx.export import emulator_onnx
from stellar_emulator.networks.onnx.runtime import open_network
from stellar_emulator.networks.preset import read_preset
from stellar_emulator.saved.bundle import read_network

Array = NDArray[np.float32]
Network = EmulatorNetwork | ExactEmulatorNetwork

BATCHES = (1, 64, 1024, 16384)
BAR = 0.6
"""Share of the matrix-product rate that ONNX Runtime is to reach with `BATCHES` of 1,024 and more."""

NUMPY_ROWS = 256
"""Spectra at once in plain NumPy: their Fourier modes and wide layers still fit in the processor's cache."""

RUNS = 9
"""Of SYNSPEC: cool stars take several times as long as hot ones."""

COLUMNS = ("way", "spectra at once", "ms", "spectra/s", "share of the product's rate", "bar")


@dataclass(frozen=True)
class Way:
    """A way to generate: labels (n, labels) to flux (n, pixels) by a network of so many multiply-adds a spectrum."""

    name: str
    generate: Callable[[NDArray[np.float64]], Array]
    multiply_adds: int
    bar: float | None = None

    def rows(self, labels: NDArray[np.float64], rate: float) -> list[tuple[str, ...]]:
        """Rows of the table; rate: of a matrix product in GFLOP/s, two a multiply-add."""
        return [self._row(labels[:count], rate) for count in BATCHES]

    def _row(self, labels: NDArray[np.float64], rate: float) -> tuple[str, ...]:
        times = milliseconds(lambda: self.generate(labels))
        speeds = [1000.0 * len(labels) / time for time in times]
        share = 2e-9 * self.multiply_adds * sorted(speeds)[len(speeds) // 2] / rate
        bar = f">= {self.bar:.0%}" if self.bar is not None and len(labels) >= 1024 else ""
        return (self.name, f"{len(labels):,}", spread(times, 3), spread(speeds, 0), f"{share:.0%}", bar)


def main() -> None:
    """Print the table for one emulator, the one that comes with the package if none is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--emulator", help="as Emulator.load takes it")
    print(table("Generation: every way", by_way(Emulator.load(parser.parse_args().emulator)), COLUMNS))


def measured() -> list[Row]:
    """What the page shows, a measure a line, for the emulator that comes with the package."""
    rows = []
    for way, count, times, speeds, share, bar in by_way(Emulator.load()):
        at_once = f"{way}, {count} at once"
        if times:
            rows.append((f"{at_once} (ms)", times, ""))
        rows.append((f"{at_once} (spectra/s)" if count else way, ", ".join(filter(None, (speeds, share))), bar))
    return rows


def by_way(emulator: Emulator) -> list[tuple[str, ...]]:
    """Rows of `COLUMNS`."""
    contract = emulator.contract
    share = np.random.default_rng(1).random((max(BATCHES), len(contract.labels)))
    labels = contract.lower + share * (contract.upper - contract.lower)
    rate = max(product_rates().values())
    rows = [row for way in _ways(emulator) for row in way.rows(labels, rate)]
    rows += [
        ("the paper's network on the paper's machine", "1", "9", "111", "", ""),
        ("SYNSPEC itself, one core", "1", *_synspec_times(contract), "", ""),
        ("a plain 4096^3 product in the same run", "", "", "", f"{rate:.0f} GFLOP/s", ""),
    ]
    return rows


def paper_network(contract: Contract) -> EmulatorNetwork:
    """The paper's decoder after its label network, Tables 2 and 3, with random weights: they don't change its speed."""
    from stellar_emulator.networks import layers
    from stellar_emulator.networks.dense import from_keras

    preset = read_preset("paper")
    first = layers.build_label_network(len(contract.labels), preset.autoencoder.latent, preset.label_network)
    return EmulatorNetwork(
        from_keras(layers.chain([first, layers.build_decoder(contract.wavelength.count, preset.autoencoder)], "chain"))
    )


def by_keras(network: Network) -> Callable[[NDArray[np.float64]], Array]:
    """The dense layers as the Keras model that they were, by its ``predict``; broadening by NumPy."""
    import keras

    layers = network.chain.layers
    dense = [keras.layers.Dense(layer.kernel.shape[1], activation=layer.activation) for layer in layers]
    model = keras.Sequential([keras.Input((layers[0].kernel.shape[0],)), *dense])
    model.set_weights([weight for layer in layers for weight in (layer.kernel, layer.bias)])

    def predict(inputs: NDArray[np.float64]) -> Array:
        given = network.chain.given(inputs)
        return np.asarray(model.predict(given.astype(np.float32), batch_size=1024, verbose=0))

    if isinstance(network, EmulatorNetwork):
        return predict
    return lambda labels: in_parts(network.broadened, predict(labels[:, network.run_columns]), labels)


def by_numpy(network: Network) -> Callable[[NDArray[np.float64]], Array]:
    """All of a network by NumPy."""
    return lambda labels: in_parts(network, labels)


def in_parts(function: Callable[..., Array], *arrays: NDArray[np.floating]) -> Array:
    """A function of arrays (n, ...), `NUMPY_ROWS` rows at once."""
    starts = range(0, len(arrays[0]), NUMPY_ROWS)
    return np.concatenate([function(*(array[start : start + NUMPY_ROWS] for array in arrays)) for start in starts])


def _ways(emulator: Emulator) -> Iterator[Way]:
    """Each made when its turn comes, ours first: nothing of Keras is in the process then, as nobody needs it there."""
    network = read_network(emulator.bundle)
    assert isinstance(network, Network)
    costs = network.multiply_adds
    yield Way("ONNX Runtime, `Emulator.flux`", emulator.flux, costs, BAR)
    yield Way("plain NumPy", by_numpy(network), costs)
    yield Way("Keras's `predict`, broadening by NumPy", by_keras(network), costs)
    paper = paper_network(emulator.contract)
    onnx = open_network(emulator_onnx(paper).SerializeToString(), emulator.contract.wavelength.count)
    yield Way("the paper's network (random weights), ONNX Runtime", onnx, paper.multiply_adds, BAR)


def _synspec_times(contract: Contract) -> tuple[str, str]:
    """Milliseconds and spectra a second of runs over the box."""
    try:
        SYNSPEC.install(require_served(SYNSPEC, contract))
    except SetupError:
        return "not measured: no gfortran", ""
    times = []
    for labels in run_labels(contract, contract.sampling.seed, 0, RUNS):
        begun = time.perf_counter()
        synthesised(SYNSPEC, contract, labels)
        times.append(time.perf_counter() - begun)
    return spread([1000.0 * taken for taken in times], 0), spread([1.0 / taken for taken in times])


if __name__ == "__main__":
    main()
