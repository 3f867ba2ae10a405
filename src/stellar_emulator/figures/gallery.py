"""All figures of one evaluation, by file name; each states the digest of its test set."""

from collections.abc import Mapping
from itertools import pairwise, product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stellar_emulator import figures
from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.roles import RESOLUTION
from stellar_emulator.evaluation.accuracy import find, paper_values
from stellar_emulator.evaluation.evaluation import Evaluation
from stellar_emulator.training.fit_network import Fit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EXAMPLES = 5
"""Number of spectra that are drawn if a contract bins no label."""


def evaluation_figures(contract: Contract, evaluation: Evaluation) -> dict[str, "Figure"]:
    """Counterparts of figures 1, 6, 8 and 9 of Gebran (2024), and the residual maps."""
    test, shown = evaluation.test, example_rows(contract, evaluation.test.labels)
    best = shown[len(shown) // 2]
    names = [label.name for label in contract.accuracy_labels]
    columns = contract.columns(contract.accuracy_labels)
    true = dict.fromkeys(evaluation.inferred, test.labels[:, columns])
    inferred = {name: values[:, columns] for name, values in evaluation.inferred.items()}
    residual = evaluation.generated - test.flux
    made = {
        "spectra": figures.example_spectra(contract, test.labels[shown], test.flux[shown]),
        "generated": figures.reconstruction(
            contract, test.labels[shown], test.flux[shown], evaluation.generated[shown], "generated"
        ),
        "inferred_labels": figures.inferred_labels(contract, true, inferred, names),
        "accuracy": figures.accuracy_comparison(contract, _comparison(contract, evaluation)),
        "residual_map": _residual_map(contract, test.labels, residual),
        "one_spectrum": figures.hero(contract, test.labels[best], test.flux[best], evaluation.generated[best]),
    }
    if contract.regions.bins:
        cells = _cells(contract, test.labels, residual)
        made["flux_error_by_region"] = figures.flux_error_by_region(contract, cells)
    if evaluation.reconstruction is not None:
        made["reconstructed"] = figures.reconstruction(
            contract, test.labels[shown], test.flux[shown], evaluation.reconstruction.flux[shown], "reconstructed"
        )
    for figure in made.values():
        _stamp(figure, f"test set {test.digest}, {len(test.labels):,} spectra, contract {contract.name}")
    return made


def training_figures(contract: Contract, fits: Mapping[str, Fit], labels: NDArray[np.float64]) -> dict[str, "Figure"]:
    """Counterparts of figures 3 and 4 of Gebran (2024), and the sampling of the grid."""
    histories = {name.replace("_", " "): fit.history for name, fit in fits.items()}
    return {
        "training": figures.training_curves(histories),
        "sampling": figures.sampling_density(contract, labels),
    }


def example_rows(contract: Contract, labels: NDArray[np.float64]) -> NDArray[np.int64]:
    """One row for each bin of the first binned label: the one with the least broadening near the bin's middle.

    Without bins there are `EXAMPLES` equal parts of the first label.
    """
    name = contract.first_binned
    first = contract.labels[contract.label_names.index(name)]
    edges = contract.regions.bins.get(name) or np.linspace(first.lower, first.upper, EXAMPLES + 1).tolist()
    unit = (labels - contract.lower) / (contract.upper - contract.lower)
    blur = unit[:, contract.columns(tuple(label for label in contract.broadening_labels if label.role != RESOLUTION))]
    column = contract.label_names.index(name)
    centres = [(lower + upper) / 2.0 for lower, upper in pairwise(edges)]
    span = contract.upper[column] - contract.lower[column]
    far = [np.abs(labels[:, column] - centre) / span + 0.5 * blur.sum(axis=1) for centre in centres]
    return np.array([int(np.argmin(distance)) for distance in far])


def _stamp(figure: "Figure", text: str) -> None:
    figure.text(0.995, 0.003, text, ha="right", va="bottom", fontsize=6, color="0.45")


def _comparison(contract: Contract, evaluation: Evaluation) -> list[dict[str, object]]:
    splits, of_paper = list(dict.fromkeys(row.split for row in evaluation.accuracy)), paper_values(contract)
    return [
        {
            "label": label.name,
            "split": split,
            "rmse": find(evaluation.accuracy, split, label.name).rmse,
            "paper": of_paper.get(label.name, {}).get(split),
        }
        for label in contract.accuracy_labels
        for split in splits
    ]


def _residual_map(contract: Contract, labels: NDArray[np.float64], residual: NDArray[np.float32]) -> "Figure":
    name = contract.first_binned
    return figures.residual_map(contract, labels[:, contract.label_names.index(name)], residual, name)


def _cells(contract: Contract, labels: NDArray[np.float64], residual: NDArray[np.float32]) -> list[dict[str, object]]:
    """Mean absolute error and number of spectra in each cell of the first two binned labels."""
    bins = dict(list(contract.regions.bins.items())[:2])
    error = np.abs(residual).mean(axis=1)
    cells: list[dict[str, object]] = []
    for spans in product(*(list(pairwise(edges)) for edges in bins.values())):
        inside = np.ones(len(labels), dtype=bool)
        for name, (lower, upper) in zip(bins, spans, strict=True):
            values = labels[:, contract.label_names.index(name)]
            inside &= (values >= lower) & (values <= upper)
        if inside.any():
            bounds = dict(zip(bins, spans, strict=True))
            cells.append({**bounds, "mae": float(error[inside].mean()), "n": int(inside.sum())})
    return cells
