"""What principal components of the gate set's spectra leave of a spectrum: no true spectrum is unlike all others."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.gate.cells import cell_numbers, largest_by_cell

COMPONENTS = 384
"""At most; a quarter of the spectra and of the pixels where those are fewer."""

KNOWN = 2048
"""Spectra that give the components; as many others tell what is left of spectra that did not."""


@dataclass(frozen=True)
class Resemblance:
    """mean (pixels,), basis (components, pixels); largest: by cell, what they leave of any pixel of gate spectra."""

    mean: NDArray[np.float32]
    basis: NDArray[np.float32]
    largest: NDArray[np.float64]

    def left(self, flux: NDArray[np.float32]) -> NDArray[np.float32]:
        """Largest absolute residual over the pixels of flux (n, pixels), shape (n,)."""
        rest = flux - self.mean
        rest -= (rest @ self.basis.T) @ self.basis
        return np.asarray(np.abs(rest, out=rest).max(axis=1))

    def excess(
        self, contract: Contract, labels: NDArray[np.float64], flux: NDArray[np.float32], floor: float
    ) -> NDArray[np.float64]:
        """Residuals over the largest of the gate set in the same cells, (n,).

        Where that is less than half of the largest of all cells, or than ``floor``, these count: few spectra of a cell
        lie in its corners.
        """
        largest = np.maximum(self.largest, max(floor, 0.5 * float(self.largest.max())))
        return np.asarray(self.left(flux) / largest[cell_numbers(contract, labels)])


def resemblance(
    contract: Contract, run: NDArray[np.intp], labels: NDArray[np.float64], flux: NDArray[np.float32]
) -> Resemblance:
    """Components of every other run, and what they leave of the runs between; flux is (n, pixels)."""
    known = run % 2 == 0
    mean = flux[known].mean(axis=0)
    offset = (flux[known] - mean).astype(np.float64)
    values, vectors = np.linalg.eigh(offset @ offset.T)
    count = max(1, min(COMPONENTS, len(offset) // 4, flux.shape[1] // 4))
    strong = values[-count:] > 1e-12 * values[-1]
    basis = (vectors[:, -count:][:, strong].T @ offset) / np.sqrt(values[-count:][strong])[:, None]
    found = Resemblance(mean, basis.astype(np.float32), np.ones(1))
    return replace(found, largest=largest_by_cell(contract, labels[~known], found.left(flux[~known])))
