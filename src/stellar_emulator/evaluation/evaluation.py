"""Measures an emulator and a validator on computed spectra: accuracies of labels and errors of flux."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.evaluation.accuracy import AccuracyRow, accuracy_rows
from stellar_emulator.evaluation.flux_error import FluxErrorRow, dead_units, flux_error_rows
from stellar_emulator.grid.store import Grid, Rows

Model = Callable[[NDArray[np.floating]], NDArray[np.float32]]

ROWS_EVALUATED = 16384
"""Largest number of spectra of one part that are measured, drawn by seed, so that memory stays bounded."""


@dataclass(frozen=True)
class Reconstruction:
    """Test spectra as an autoencoder encodes and reproduces them: latent values (n, units) and flux (n, pixels)."""

    latent: NDArray[np.float32]
    flux: NDArray[np.float32]


@dataclass(frozen=True)
class Evaluation:
    """The results of an evaluation, and the spectra on which they were measured.

    generated: flux (n, pixels) at the labels of the ``test`` spectra; inferred: labels (n, labels) that the validator
    infers from test and from generated spectra; reconstruction: None if there is no autoencoder.
    """

    accuracy: list[AccuracyRow]
    flux_error: list[FluxErrorRow]
    test: Rows
    generated: NDArray[np.float32]
    inferred: dict[str, NDArray[np.float32]]
    reconstruction: Reconstruction | None

    def accuracy_file(self) -> dict[str, object]:
        """Content of ``accuracy.json``."""
        return {"test_set": self.test.digest, "rows": [asdict(row) for row in self.accuracy]}

    def flux_error_file(self) -> dict[str, object]:
        """Content of ``flux_error.json``."""
        return {
            "test_set": self.test.digest,
            "weighting": "region 'box': rows weighted to the uniform label box; other regions: unweighted. r2 and "
            "explained_variance are variance-weighted over pixels, *_uniform are plain means over pixels",
            "dead_latent_units": None if self.reconstruction is None else dead_units(self.reconstruction.latent),
            "rows": [asdict(row) for row in self.flux_error],
        }


def read_part(grid: Grid, rows: NDArray[np.int64], seed: int) -> Rows:
    """Read the given rows of a grid, or `ROWS_EVALUATED` of them drawn by ``seed``."""
    if len(rows) > ROWS_EVALUATED:
        rows = np.sort(np.random.default_rng(seed).choice(rows, ROWS_EVALUATED, replace=False))
    return Rows(grid.run_id[rows], grid.labels[rows], grid.weight[rows], grid.take(rows))


def evaluate(
    contract: Contract,
    emulator: Model,
    validator: Model,
    parts: Mapping[str, Rows],
    seed: int,
    reconstruction: Reconstruction | None = None,
    project: Model | None = None,
) -> Evaluation:
    """Measure the models; ``parts`` must hold ``test``, and may hold ``train`` and ``validation``.

    Spectra are generated at the labels of the test set, so that generated and computed spectra are paired. ``project``
    takes flux to the validator's principal components and back.
    """
    test = parts["test"]
    generated = emulator(test.labels)
    accuracy: list[AccuracyRow] = []
    for name, part in parts.items():
        accuracy += accuracy_rows(contract, validator, name, part.labels, part.weight, part.flux, seed)
    accuracy += accuracy_rows(contract, validator, "generated", test.labels, test.weight, generated, seed)
    made = {"chain": generated}
    if reconstruction is not None:
        made["autoencoder"] = reconstruction.flux
    if project is not None:
        made["validator PCA"] = project(test.flux)
    errors: list[FluxErrorRow] = []
    for what, flux in made.items():
        errors += flux_error_rows(contract, what, test.labels, test.weight, test.run_id, test.flux, flux)
    inferred = {"test": validator(test.flux), "generated": validator(generated)}
    return Evaluation(accuracy, errors, test, generated, inferred, reconstruction)
