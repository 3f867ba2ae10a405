"""Ours beside the peers: flux error and speed after the same minutes of training on the same runs."""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from benchmarks import classical, toolkit
from benchmarks.machine import Row, milliseconds, spread, table
from stellar_emulator.contract.contract import Contract, read_contract
from stellar_emulator.contract.regions import HARD
from stellar_emulator.evaluation.evaluation import read_part
from stellar_emulator.evaluation.flux_error import find, flux_error_rows
from stellar_emulator.grid.source import EMBEDDED, Source, open_source
from stellar_emulator.grid.split import SplitRows, split_rows
from stellar_emulator.grid.store import Rows, run_hashes

Array = NDArray[np.float32]

SEED = 1
BATCH = 1024
PARTS = 5
SPECTRA = 4096
COLUMNS = (
    *("emulator", "learned by", "minutes", "flux MAE", "90 % below", "hard-region MAE"),
    *("one spectrum (ms)", f"{BATCH:,} at once (spectra/s)"),
)
BARS = ("bar, for ours", "", "the same", *["below every peer's"] * 3, "below every peer's", "")


@dataclass(frozen=True)
class Data:
    """A grid, the rows of each part, flux of the training rows (n, pixels), and the spectra that judge."""

    contract: Contract
    source: Source
    split: SplitRows
    flux: Array
    test: Rows

    @property
    def labels(self) -> Array:
        """Labels of the training rows, scaled to [0, 1]."""
        return scaled(self.contract, self.source.grid.labels[self.split.train])


@dataclass(frozen=True)
class Learned:
    """generate: physical labels (n, labels) to flux (n, pixels); effort: in words."""

    name: str
    generate: Callable[[NDArray[np.float64]], Array]
    effort: str
    seconds: float


def main() -> None:
    """Print the table for the embedded grid."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="of training, for each that is trained")
    parser.add_argument("--spectra", type=int, default=SPECTRA, help="of test runs, drawn at random, at most")
    parser.add_argument("--scratch", type=Path, default=Path("output/peers"), help="folder of the broadened grid")
    options = parser.parse_args()
    rows = compared(options.scratch, options.minutes, options.spectra)
    print(table(f"Beside the peers, {options.minutes:g} minutes of training", [*rows, BARS], COLUMNS))


def measured(minutes: float) -> list[Row]:
    """What the page shows, a measure a line."""
    bars = dict(zip(COLUMNS, BARS, strict=True))
    return [
        (f"{row[0]}, {column}", value, bars[column] if row[0].startswith("ours") else "")
        for row in compared(Path("output/peers"), minutes)
        for column, value in zip(COLUMNS[1:], row[1:], strict=True)
    ]


def compared(scratch: Path, minutes: float, spectra: int = SPECTRA) -> list[tuple[str, ...]]:
    """Rows of `COLUMNS` for every emulator, the grid broadened under ``scratch``, judged by so many test spectra."""
    toolkit.require_toolkit()
    data = read_data(read_contract("gaia_rvs"), scratch, spectra)
    return [row_of(learned, data) for learned in contenders(data, 60.0 * minutes)]


def read_data(contract: Contract, scratch: Path, spectra: int) -> Data:
    """The embedded grid, split by run."""
    scratch.mkdir(parents=True, exist_ok=True)
    source = open_source(EMBEDDED, contract, scratch)
    split = split_rows(contract, run_hashes(source.grid, contract))
    drawn = np.random.default_rng(SEED).permutation(split.test)[:spectra]
    test = read_part(source.grid, np.sort(drawn), SEED)
    return Data(contract, source, split, source.grid.take(split.train), test)


def scaled(contract: Contract, labels: NDArray[np.float64]) -> Array:
    """Labels scaled from the contract's bounds to [0, 1]."""
    return np.asarray((labels - contract.lower) / (contract.upper - contract.lower), dtype=np.float32)


def contenders(data: Data, seconds: float) -> Iterator[Learned]:
    """Every emulator, trained when it is asked for; those without networks take the time that they need."""
    yield preset_trained(data, "default", seconds)
    # SOAP decomposes matrices of pixels x pixels: with thousands of them its steps take far longer than Adam's.
    for preset, optimizer in (("payne_flux_mlp", None), ("payne_flux_mlp", "adam"), ("transformer_payne_flux", None)):
        peer = toolkit.train(preset, data.labels, data.flux, data.contract.wavelength.pixels, seconds, optimizer)
        name = f"astro-emulators-toolkit, `{preset}`{f' with {optimizer} in place of SOAP' if optimizer else ''}"
        yield _on_scaled(data, name, peer.generate, f"{peer.steps:,} steps", peer.seconds)
    began = time.monotonic()
    quadratic = classical.fit_quadratic(data.labels, data.flux)
    spent = time.monotonic() - began
    yield _on_scaled(data, "quadratic polynomial (The Cannon)", quadratic, "least squares", spent)
    tree = KDTree(data.labels)
    for kernel in ("linear", "cubic"):
        surface = classical.Interpolation(tree, data.flux, kernel)
        name = f"{kernel} interpolation between {classical.NEIGHBOURS} nearest spectra"
        yield _on_scaled(data, name, surface, "nothing to learn", 0.0)


def preset_trained(data: Data, name: str, seconds: float) -> Learned:
    """A preset of ours, its preparation included in the time; epochs that don't fit fall away, as in a search."""
    import keras

    from stellar_emulator.networks.onnx.export import emulator_onnx
    from stellar_emulator.networks.onnx.runtime import open_network
    from stellar_emulator.networks.preset import read_preset
    from stellar_emulator.training.train_emulator import Fitting, train_on
    from stellar_emulator.tuning.hypermodel import planned_epochs
    from stellar_emulator.tuning.materials import Materials

    began = time.monotonic()
    keras.utils.set_random_seed(SEED)
    preset = read_preset(name)
    with tempfile.TemporaryDirectory() as folder:
        examples = Materials(data.source, data.contract, data.split, SEED, Path(folder)).examples(preset)
        left = seconds - (time.monotonic() - began)
        fitting = Fitting(Path(folder), lambda name: lambda epoch, metrics: None, planned_epochs(preset, "chain"), left)
        trained = train_on(examples, preset, fitting)
    spent = time.monotonic() - began
    epochs = sum(fit.epochs for fit in trained.fits.values())
    graph = emulator_onnx(trained.network).SerializeToString()
    network = open_network(graph, data.contract.wavelength.count)
    return Learned(f"ours, preset `{name}`", network, f"{epochs:,} epochs", spent)


def _on_scaled(data: Data, name: str, generate: Callable[[Array], Array], effort: str, seconds: float) -> Learned:
    return Learned(name, lambda labels: generate(scaled(data.contract, labels)), effort, seconds)


def row_of(learned: Learned, data: Data) -> tuple[str, ...]:
    """Row of the table: errors on the test spectra, and speed."""
    test = data.test
    flux = learned.generate(test.labels)
    # Of all test runs, then of fifths of them: a training isn't repeated, its figures' spread over stars is.
    fifths = [test.run_id % PARTS == part for part in range(PARTS)]
    whole, *parts = (_errors(data.contract, _part(test, rows), flux[rows]) for rows in (slice(None), *fifths))
    spreads = (
        f"{all_runs:.2e} ({min(some):.2e}-{max(some):.2e})" for all_runs, *some in zip(whole, *parts, strict=True)
    )
    one, many = (milliseconds(partial(learned.generate, test.labels[:count])) for count in (1, BATCH))
    return (
        *(learned.name, learned.effort, f"{learned.seconds / 60.0:.1f}"),
        *spreads,
        *(spread(one, 3), spread([1000.0 * min(BATCH, len(test.labels)) / taken for taken in many], 0)),
    )


def _part(rows: Rows, chosen: Any) -> Rows:
    return Rows(rows.run_id[chosen], rows.labels[chosen], rows.weight[chosen], rows.flux[chosen])


def _errors(contract: Contract, rows: Rows, flux: Array) -> tuple[float, float, float]:
    """MAE, what 90 % of the spectra stay below, and MAE of the hard region."""
    errors = flux_error_rows(contract, "flux", rows.labels, rows.weight, rows.run_id, rows.flux, flux)
    box, hard = find(errors, "flux"), find(errors, "flux", HARD)
    return box.mae, box.p90_mae, hard.mae


if __name__ == "__main__":
    main()
