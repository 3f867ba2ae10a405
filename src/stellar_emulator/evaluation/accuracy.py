"""Accuracies: the errors of inferred labels, by part of the grid, region and signal-to-noise ratio."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.regions import BOX, region_rows

SIGNAL_TO_NOISE = (None, 100.0, 50.0)
"""Signal-to-noise ratios per pixel of the continuum; None means noise-free."""

PAPER_TABLE_5 = {
    "teff": {"train": 70.0, "validation": 110.0, "test": 120.0, "generated": 119.0},
    "logg": {"train": 0.02, "validation": 0.03, "test": 0.03, "generated": 0.05},
    "vsini": {"train": 5.0, "validation": 6.0, "test": 6.5, "generated": 7.0},
    "m_h": {"train": 0.04, "validation": 0.08, "test": 0.15, "generated": 0.15},
    "vmicro": {"train": 0.15, "validation": 0.17, "test": 0.17, "generated": 0.20},
}
"""Gebran (2024), Table 5: called MSE there, but in the labels' units, so taken as RMSE. It refers to another grid."""

PAPER_BOX = {"teff": (3600, 15000), "logg": (2, 5), "vsini": (0, 300), "m_h": (-1.5, 1.5), "vmicro": (0, 4)}
PAPER_SPAN = (8400.0, 8800.0)
"""Bounds of its labels, and its wavelengths in Angstrom."""

ALIKE = 0.5
"""Least share of the narrower of two ranges that both must have in common to be compared."""


@dataclass(frozen=True)
class AccuracyRow:
    """Errors of one inferred label over some rows; rmse, mae and bias (inferred minus true) in the label's unit."""

    split: str
    region: str
    label: str
    signal_to_noise: float | None
    rmse: float
    mae: float
    bias: float
    n: int


def accuracy_rows(
    contract: Contract,
    infer: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    split: str,
    labels: NDArray[np.float64],
    weight: NDArray[np.float64],
    flux: NDArray[np.float32],
    seed: int,
) -> list[AccuracyRow]:
    """Infer labels from ``flux`` (n, pixels), with and without noise, and compare them with the true ``labels``.

    The noise is the same for every split of one seed, so that splits differ only in their spectra.
    """
    rows = []
    for signal_to_noise in SIGNAL_TO_NOISE:
        error = infer(with_noise(flux, signal_to_noise, seed)) - labels
        for region, inside in region_rows(contract, labels).items():
            if inside.any():
                shares = weight[inside] if region == BOX else np.ones(int(inside.sum()))
                rows += _label_rows(contract, split, region, signal_to_noise, error[inside], shares)
    return rows


def with_noise(flux: NDArray[np.float32], signal_to_noise: float | None, seed: int) -> NDArray[np.float32]:
    """Flux with Gaussian noise of the same size in every pixel, 1 / (S/N) of the continuum."""
    if signal_to_noise is None:
        return flux
    noise = np.random.default_rng(seed).standard_normal(flux.shape, dtype=np.float32)
    return flux + noise / np.float32(signal_to_noise)


def _label_rows(
    contract: Contract,
    split: str,
    region: str,
    signal_to_noise: float | None,
    error: NDArray[np.float64],
    weight: NDArray[np.float64],
) -> list[AccuracyRow]:
    mean_square = np.average(error**2, axis=0, weights=weight)
    mean_absolute = np.average(np.abs(error), axis=0, weights=weight)
    bias = np.average(error, axis=0, weights=weight)
    return [
        AccuracyRow(
            split,
            region,
            name,
            signal_to_noise,
            float(np.sqrt(mean_square[i])),
            float(mean_absolute[i]),
            float(bias[i]),
            len(error),
        )
        for i, name in enumerate(contract.label_names)
    ]


def find(rows: list[AccuracyRow], split: str, label: str, region: str = BOX) -> AccuracyRow:
    """The noise-free row of one split, label and region. Raises `KeyError` if there is none."""
    for row in rows:
        if (row.split, row.label, row.region, row.signal_to_noise) == (split, label, region, None):
            return row
    raise KeyError((split, label, region))


def ratios(contract: Contract, rows: list[AccuracyRow]) -> dict[str, float]:
    """RMSE from generated over RMSE from test spectra, for each accuracy label, weighted to the uniform box."""
    return {
        label.name: find(rows, "generated", label.name).rmse / find(rows, "test", label.name).rmse
        for label in contract.accuracy_labels
    }


def paper_values(contract: Contract) -> dict[str, dict[str, float]]:
    """`PAPER_TABLE_5` for a contract of its labels, bounds and wavelengths, more or less; nothing for others.

    Errors in another range, or beside other labels, have no common scale with the paper's.
    """
    bounds = {label.name: (label.lower, label.upper) for label in contract.labels}
    spans = [((contract.wavelength.start, contract.wavelength.stop), PAPER_SPAN)]
    spans += [(bounds.get(name, (np.inf, np.inf)), paper) for name, paper in PAPER_BOX.items()]
    return PAPER_TABLE_5 if all(_alike(*both) for both in spans) else {}


def _alike(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether the narrower of two ranges has `ALIKE` of itself in common with the other."""
    common = min(one[1], other[1]) - max(one[0], other[0])
    return common > 0.0 and common >= ALIKE * min(one[1] - one[0], other[1] - other[0])


def accuracy_table(contract: Contract, rows: list[AccuracyRow]) -> str:
    """The table for readers: RMSE and MAE by label and split, over the uniform box, beside `paper_values`."""
    splits, of_paper = list(dict.fromkeys(row.split for row in rows)), paper_values(contract)
    header = f"{'RMSE (MAE)':<24}" + "".join(f"{split:>20}" for split in splits) + f"{'generated/test':>16}"
    lines = [header]
    for label in contract.labels:
        title = label.name + (f" ({label.unit})" if label.unit else "")
        cells = {split: find(rows, split, label.name) for split in splits}
        test, generated = cells["test"].rmse, cells["generated"].rmse
        digits = max(0, 2 - int(np.floor(np.log10(max(test, 1e-9)))))
        shown = "".join(f"{f'{cell.rmse:.{digits}f} ({cell.mae:.{digits}f})':>20}" for cell in cells.values())
        note = "" if label.accuracy else "  reported only"
        lines.append(f"{title:<24}{shown}{generated / test:>16.3f}{note}")
        if label.name in of_paper:
            paper = "".join(f"{of_paper[label.name][split]:>20g}" for split in splits)
            lines.append(f"{'  paper, another grid':<24}{paper}")
    return "\n".join(lines)
