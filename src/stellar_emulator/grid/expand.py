"""Expands intrinsic spectra into a training grid: several broadening draws of each run, streamed to Parquet."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.broadening.broadening import Broadening, contract_broadening, resolutions
from stellar_emulator.contract.contract import Contract
from stellar_emulator.grid import sampling
from stellar_emulator.grid.shards import IntrinsicGrid
from stellar_emulator.grid.store import Rows

RUNS_PER_BATCH = 64


def expanded(contract: Contract, runs: IntrinsicGrid, seed: int, realisations: int) -> Iterator[Rows]:
    """Broadened spectra in batches, ``realisations`` consecutive rows a run."""
    convolve = contract_broadening(contract)
    for first in range(0, len(runs.run_id), RUNS_PER_BATCH):
        part = slice(first, first + RUNS_PER_BATCH)
        yield _batch(contract, convolve, runs, part, seed, realisations)


def _batch(
    contract: Contract, convolve: Broadening, runs: IntrinsicGrid, part: slice, seed: int, realisations: int
) -> Rows:
    run_id = runs.run_id[part]
    drawn = sampling.broadening_labels(contract, seed, run_id, realisations).reshape(
        -1, len(contract.broadening_labels)
    )
    labels = assemble_labels(contract, np.repeat(runs.labels[part], realisations, axis=0), drawn)
    vsini = labels[:, contract.label_names.index("vsini")]
    modes = np.repeat(convolve.modes(runs.flux[part]), realisations, axis=0)
    return Rows(
        run_id=np.repeat(run_id, realisations),
        labels=labels,
        weight=sampling.weights(contract, labels),
        flux=convolve(modes, vsini, resolutions(contract, labels), np.repeat(runs.limb_darkening[part], realisations)),
    )


def assemble_labels(
    contract: Contract, run_labels: NDArray[np.float64], broadening_labels: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Labels in the contract's order, (rows, run labels) and (rows, broadening labels) to (rows, labels)."""
    labels = np.empty((len(run_labels), len(contract.labels)))
    labels[:, contract.columns(contract.run_labels)] = run_labels
    labels[:, contract.columns(contract.broadening_labels)] = broadening_labels
    return labels
