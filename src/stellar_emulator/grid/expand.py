"""Expands intrinsic spectra into a training grid: several broadening draws of each run, streamed to Parquet."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.broadening.broadening import Broadening, contract_broadening
from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.roles import RESOLUTION
from stellar_emulator.errors import InputError
from stellar_emulator.grid import sampling
from stellar_emulator.grid.nodes import node_weights
from stellar_emulator.grid.shards import IntrinsicGrid
from stellar_emulator.grid.store import Rows

RUNS_PER_BATCH = 64


def expanded(contract: Contract, runs: IntrinsicGrid, seed: int, realisations: int) -> Iterator[Rows]:
    """Broadened spectra in batches, ``realisations`` consecutive rows per run, or one row if no broadening is drawn."""
    convolve, darkening = contract_broadening(contract), limb_darkening(contract, runs)
    realisations = realisations if contract.broadening_labels else 1
    weight = node_weights(contract, runs.labels) if contract.sampling.on_nodes else np.ones(len(runs.run_id))
    for first in range(0, len(runs.run_id), RUNS_PER_BATCH):
        part = slice(first, first + RUNS_PER_BATCH)
        yield _batch(contract, convolve, runs, darkening, weight, part, seed, realisations)


def limb_darkening(contract: Contract, runs: IntrinsicGrid) -> NDArray[np.float64]:
    """Linear limb darkening of each run, (runs,): its own, else the contract's; 0 if no broadening depends on it.

    Raises
    ------
    InputError
        If the contract's broadening needs it and there is none.
    """
    if runs.limb_darkening is not None:
        return runs.limb_darkening
    given = contract.limb_darkening
    if given is not None and given.value is not None:
        return np.full(len(runs.run_id), given.value)
    if given is not None:
        column = [label.name for label in contract.run_labels].index(str(given.label))
        return np.interp(runs.labels[:, column], given.at or (), given.values or ())
    needing = [label.name for label in contract.broadening_labels if label.role != RESOLUTION]
    if needing:
        raise InputError(
            f"contract {contract.name} broadens by {' and '.join(needing)}, which takes limb darkening, and these "
            "intrinsic spectra have none: give limb_darkening in the contract, a value such as 0.6, or a table by a "
            "label"
        )
    return np.zeros(len(runs.run_id))


def _batch(
    contract: Contract,
    convolve: Broadening,
    runs: IntrinsicGrid,
    darkening: NDArray[np.float64],
    weight: NDArray[np.float64],
    part: slice,
    seed: int,
    realisations: int,
) -> Rows:
    run_id = runs.run_id[part]
    labels = drawn_labels(contract, seed, run_id, runs.labels[part], realisations)
    modes = np.repeat(convolve.modes(runs.flux[part]), realisations, axis=0)
    return Rows(
        run_id=np.repeat(run_id, realisations),
        labels=labels,
        weight=sampling.weights(contract, labels) * np.repeat(weight[part], realisations),
        flux=convolve.at_labels(contract, modes, labels, np.repeat(darkening[part], realisations)),
    )


def drawn_labels(
    contract: Contract,
    seed: int,
    run_id: NDArray[np.int64],
    run_labels: NDArray[np.float64],
    realisations: int,
) -> NDArray[np.float64]:
    """All labels of some runs' realisations, those of one run together; shape (runs x realisations, labels)."""
    drawn = sampling.broadening_labels(contract, seed, run_id, realisations)
    drawn = drawn.reshape(len(run_id) * realisations, len(contract.broadening_labels))
    return assemble_labels(contract, np.repeat(run_labels, realisations, axis=0), drawn)


def assemble_labels(
    contract: Contract, run_labels: NDArray[np.float64], broadening_labels: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Combine (rows, run labels) and (rows, broadening labels) to (rows, labels) in the contract's order."""
    labels = np.empty((len(run_labels), len(contract.labels)))
    labels[:, contract.columns(contract.run_labels)] = run_labels
    labels[:, contract.columns(contract.broadening_labels)] = broadening_labels
    return labels
