"""Everything that the gate measures of two candidates, spectrum by spectrum, before any limit is looked at."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.regions import line_core_pixels
from stellar_emulator.evaluation.evaluation import Model
from stellar_emulator.gate.candidate import Candidate
from stellar_emulator.gate.label_shifts import label_shifts
from stellar_emulator.gate.pixel_errors import PixelErrors, PixelSums, find_lines
from stellar_emulator.gate.resemblance import KNOWN, Resemblance, resemblance

CHUNK_ROWS = 1024
"""Spectra generated and judged at a time; generated spectra are never held all at once."""

SPECTRA_SHOWN = 2048
"""Residuals kept for figures, at most twice as many: a map of medians gains nothing from more."""


class Spectra(Protocol):
    """Computed spectra: `grid.store.Rows`, or the like whose flux is read as it is asked for, by slices of rows."""

    @property
    def run_id(self) -> NDArray[np.int64]: ...
    @property
    def labels(self) -> NDArray[np.float64]: ...
    @property
    def weight(self) -> NDArray[np.float64]: ...
    @property
    def flux(self) -> Any: ...
    @property
    def digest(self) -> str: ...


@dataclass(frozen=True)
class FluxErrors:
    """Mean absolute error of each spectrum, over all pixels and inside the line cores; both of shape (n,)."""

    mae: NDArray[np.float64]
    core: NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """What the candidates make of n computed spectra; labels are the accuracy labels in physical units.

    run: number of each spectrum's run, from 0, shape (n,). labels: all true labels (n, all labels); weight: relative to
    the uniform box (n,). test, generated: inferred minus true labels (judges, n, labels), from computed spectra and
    from those generated at their labels. shift: what the flux difference amounts to (n, labels), and error: the
    standard error of each label at unit noise (see `jacobian.label_shifts`). flux: of the challenger's spectra.
    shown: rows of some spectra evenly spread over the set, and residual: their flux, generated minus computed, for
    figures. pixels: errors of each pixel and line. seen: what the computed spectra look like, for others to be held
    against. champion_test, champion_flux: the champion's, None where there is none.
    """

    run: NDArray[np.intp]
    labels: NDArray[np.float64]
    weight: NDArray[np.float64]
    test: NDArray[np.float64]
    generated: NDArray[np.float64]
    shift: NDArray[np.float64]
    error: NDArray[np.float64]
    flux: FluxErrors
    shown: NDArray[np.intp]
    residual: NDArray[np.float32]
    pixels: PixelErrors
    seen: Resemblance
    champion_test: NDArray[np.float64] | None = None
    champion_flux: FluxErrors | None = None

    @property
    def runs(self) -> int:
        return int(self.run.max()) + 1 if len(self.run) else 0


def measure(contract: Contract, spectra: Spectra, challenger: Candidate, champion: Candidate | None) -> Measured:
    """Generate spectra at the computed spectra's own labels, and infer labels from both."""
    shape = (len(spectra.labels), len(contract.accuracy_labels))
    test, generated = np.empty((2, len(challenger.judges), *shape))
    shift, error = np.empty((2, *shape))
    flux = _no_errors(shape[0])
    shown = np.arange(0, shape[0], max(1, shape[0] // SPECTRA_SHOWN))
    residual = np.empty((len(shown), spectra.flux.shape[1]), dtype=np.float32)
    champion_test = np.empty((len(champion.judges), *shape)) if champion else None
    champion_flux = _no_errors(shape[0]) if champion else None
    run = np.unique(spectra.run_id, return_inverse=True)[1].ravel()
    weight = np.asarray(spectra.weight, dtype=np.float64)
    sample, computed = _sample(spectra)
    seen = resemblance(contract, run[sample], spectra.labels[sample], computed)
    pixels = PixelSums(contract, find_lines(contract, spectra.labels[sample], computed))
    for rows in _chunks(shape[0]):
        labels, computed = spectra.labels[rows], spectra.flux[rows]
        made = challenger.emulator(labels)
        test[:, rows] = _label_errors(contract, challenger.judges, computed, labels)
        generated[:, rows] = _label_errors(contract, challenger.judges, made, labels)
        difference = made - computed
        shift[rows], error[rows] = label_shifts(contract, challenger.emulator, labels, difference)
        _fill(flux, rows, contract, difference)
        pixels.add(labels, weight[rows], computed, difference)
        here = (shown >= rows.start) & (shown < rows.stop)
        residual[here] = difference[shown[here] - rows.start]
        if champion and champion_test is not None and champion_flux is not None:
            champion_test[:, rows] = _label_errors(contract, champion.judges, computed, labels)
            _fill(champion_flux, rows, contract, champion.emulator(labels) - computed)
    return Measured(
        run=run,
        labels=spectra.labels,
        weight=weight,
        test=test,
        generated=generated,
        shift=shift,
        error=error,
        flux=flux,
        shown=shown,
        residual=residual,
        pixels=pixels.errors(),
        seen=seen,
        champion_test=champion_test,
        champion_flux=champion_flux,
    )


def _sample(spectra: Spectra) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Places and computed flux of some spectra evenly spread over the set, read chunk by chunk."""
    rows = len(spectra.labels)
    chosen = np.unique(np.linspace(0, rows - 1, min(rows, 2 * KNOWN)).round().astype(int))
    flux = [
        spectra.flux[part][chosen[(chosen >= part.start) & (chosen < part.stop)] - part.start] for part in _chunks(rows)
    ]
    return chosen, np.concatenate(flux)


def _chunks(rows: int) -> Iterator[slice]:
    return (slice(first, min(first + CHUNK_ROWS, rows)) for first in range(0, rows, CHUNK_ROWS))


def _no_errors(rows: int) -> FluxErrors:
    return FluxErrors(np.empty(rows), np.empty(rows))


def _label_errors(
    contract: Contract, judges: tuple[Model, ...], flux: NDArray[np.float32], labels: NDArray[np.float64]
) -> NDArray[np.float64]:
    columns = contract.columns(contract.accuracy_labels)
    return np.stack([np.asarray(judge(flux), dtype=np.float64)[:, columns] for judge in judges]) - labels[:, columns]


def _fill(errors: FluxErrors, rows: slice, contract: Contract, difference: NDArray[np.float32]) -> None:
    absolute, core = np.abs(difference), line_core_pixels(contract)
    errors.mae[rows] = absolute.mean(axis=1)
    errors.core[rows] = absolute[:, core].mean(axis=1) if core.any() else np.nan
