"""Small grids made by code: one Gaussian line whose depth and width follow the labels."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from stellar_emulator.contract import Contract, read_contract
from stellar_emulator.grid import sampling
from stellar_emulator.grid.expand import assemble_labels
from stellar_emulator.grid.store import Grid, Rows, write_grid

ROOT = Path(__file__).resolve().parents[2]
TINY = read_contract(ROOT / "tests" / "data" / "tiny_contract.yaml")
GAIA = read_contract(ROOT / "data_contracts" / "gaia_rvs.yaml")


def synthetic_rows(contract: Contract = TINY, runs: int = 10) -> Rows:
    """``realisations`` consecutive rows of each run."""
    seed, realisations = contract.sampling.seed, contract.sampling.realisations
    run_id = np.arange(runs)
    own = np.repeat(sampling.run_labels(contract, seed, 0, runs), realisations, axis=0)
    drawn = sampling.broadening_labels(contract, seed, run_id, realisations)
    labels = assemble_labels(contract, own, drawn.reshape(len(own), -1))
    share = (labels - contract.lower) / (contract.upper - contract.lower)
    centre = contract.wavelength.pixels[contract.wavelength.count // 3]
    width = 1.0 + 5.0 * share[:, [-1]]
    depth = 0.1 + 0.8 * share[:, [0]]
    flux = 1.0 - depth / width * np.exp(-0.5 * ((contract.wavelength.pixels - centre) / width) ** 2)
    return Rows(np.repeat(run_id, realisations), labels, sampling.weights(contract, labels), flux.astype(np.float32))


def in_batches(rows: Rows, size: int) -> Iterator[Rows]:
    for first in range(0, len(rows.flux), size):
        part = slice(first, first + size)
        yield Rows(rows.run_id[part], rows.labels[part], rows.weight[part], rows.flux[part])


def write_rows(path: Path, rows: Rows, contract: Contract = TINY, batch: int = 16, **axis: object) -> Grid:
    """Write rows as a grid; ``axis`` may replace ``wavelength`` or ``medium`` of the contract."""
    given = {"wavelength": contract.wavelength.pixels, "medium": contract.wavelength.medium, **axis}
    return write_grid(path, contract, in_batches(rows, batch), provenance={}, **given)  # type: ignore[arg-type]
