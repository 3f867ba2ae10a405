"""Small grids made by code: one Gaussian line whose depth and width follow the labels."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from stellar_emulator.contract.axis import SPEED_OF_LIGHT
from stellar_emulator.contract.contract import Contract, parse_contract, read_contract
from stellar_emulator.grid import sampling
from stellar_emulator.grid.engines.intrinsic import CONTINUUM_POINTS
from stellar_emulator.grid.expand import drawn_labels
from stellar_emulator.grid.shards import IntrinsicGrid, shard_name, write_provenance, write_shard
from stellar_emulator.grid.store import Grid, Rows, write_grid

ROOT = Path(__file__).resolve().parents[2]
TINY = read_contract(ROOT / "tests" / "data" / "tiny_contract.yaml")
GAIA = read_contract(ROOT / "data_contracts" / "gaia_rvs.yaml")
GAIA_DR3 = read_contract(ROOT / "data_contracts" / "gaia_dr3_rvs.yaml")


def synthetic_rows(contract: Contract = TINY, runs: int = 10) -> Rows:
    """``realisations`` consecutive rows of each run."""
    seed, realisations = contract.sampling.seed, contract.sampling.realisations
    run_id = np.arange(runs)
    labels = drawn_labels(contract, seed, run_id, sampling.run_labels(contract, seed, 0, runs), realisations)
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


def with_axis(axis: str, contract: Contract = TINY) -> Contract:
    """A contract whose wavelength axis is another, as YAML."""
    lines = [f"wavelength: {axis}" if line.startswith("wavelength:") else line for line in contract.source.splitlines()]
    return parse_contract("\n".join(lines))


def small_contract() -> Contract:
    """The labels and sampling of the Gaia RVS contract on 120 pixels around one line: broadening it costs nothing."""
    axes = {
        "name: gaia_rvs": "name: small_rvs",
        "emulator: stellar-emulator": "emulator: small-emulator",
        "validator: stellar-label-validator": "validator: small-label-validator",
        "{start: 8400.0, step: 0.1, count: 4000": "{start: 8530.0, step: 0.2, count: 120",
        "start: 8387.5, stop: 8812.5": "start: 8515.0, stop: 8570.0",
    }
    text = GAIA.source
    for old, new in axes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    # One line alone has neither a continuum level nor the correlations of the whole range.
    return parse_contract(text[: text.index("\n# What spectra must show")])


SMALL = small_contract()


def synthetic_runs(contract: Contract = SMALL, runs: int = 12, first: int = 0) -> IntrinsicGrid:
    """Intrinsic spectra of one line at 8542.09 Angstrom: depth follows Teff, width logg, strength [M/H]."""
    assert contract.intrinsic is not None
    labels = sampling.run_labels(contract, contract.sampling.seed, first, runs)
    lower, upper = (np.array([getattr(label, end) for label in contract.run_labels]) for end in ("lower", "upper"))
    share = (labels - lower) / (upper - lower)
    velocity = np.log(contract.intrinsic.wavelength / 8542.09) * SPEED_OF_LIGHT
    width = 8.0 + 40.0 * share[:, [1]]
    depth = (0.9 - 0.6 * share[:, [0]]) * (0.5 + 0.5 * share[:, [2]])
    count = contract.intrinsic.flux_per_count
    flux = np.rint((1.0 - depth * np.exp(-0.5 * (velocity / width) ** 2)) / count) * count
    return IntrinsicGrid(
        run_id=np.arange(first, first + runs),
        labels=labels,
        flux=flux.astype(np.float32),
        continuum=np.ones((runs, CONTINUUM_POINTS), dtype=np.float32),
        limb_darkening=0.3 + 0.5 * share[:, 0],
        atmosphere_distance=np.full(runs, 0.1),
        provenance={"seed": contract.sampling.seed},
    )


def write_runs(folder: Path, grid: IntrinsicGrid, contract: Contract = SMALL) -> Path:
    """A folder as ``synthesize`` leaves it: one shard and its provenance."""
    folder.mkdir(parents=True, exist_ok=True)
    digest = write_shard(folder / shard_name(0), contract, contract.sampling.seed, grid)
    write_provenance(folder, {**grid.provenance, "shards": {shard_name(0): digest}})
    return folder
