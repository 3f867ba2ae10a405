"""Section "regions": the ratio of errors in every bin of the contract's two binned labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.gate_limits import GateLimits
from stellar_emulator.contract.regions import ALL, BOX, HARD, region_rows
from stellar_emulator.gate.decision import Criterion
from stellar_emulator.gate.measured_spectra import Measured


@dataclass(frozen=True)
class Cell:
    """One label in one bin: number of spectra, the judges' skill and the point ratio of RMSE, errors unweighted."""

    region: str
    label: str
    n: int
    skill: float
    ratio: float
    bound: float
    informative: bool

    @property
    def criterion(self) -> Criterion:
        """The same as a criterion of the gate."""
        note = "" if self.informative else f"not informative: skill {self.skill:.2f}, n = {self.n}"
        passed = self.ratio <= self.bound
        name = f"{self.label}: RMSE ratio in {self.region}"
        return Criterion("regions", name, self.ratio, self.bound, passed, self.informative, note, "<=")


def cells(contract: Contract, limits: GateLimits, measured: Measured) -> list[Cell]:
    """All bins with all accuracy labels; a bin in which the judges have too little skill is not informative."""
    columns = contract.columns(contract.accuracy_labels)
    found = []
    for region, inside in region_rows(contract, measured.labels).items():
        if region in (BOX, ALL, HARD):
            continue
        truth = measured.labels[inside][:, columns]
        variance = truth.var(axis=0) if len(truth) else np.full(len(columns), np.nan)
        test, generated = (_mean_square(error[:, inside]) for error in (measured.test, measured.generated))
        skill, ratio = 1.0 - test / variance, np.sqrt(generated / test)
        for i, label in enumerate(contract.accuracy_labels):
            bound = limits.region_ratio[label.name]
            # A skill of NaN (no spectra, or one value of the label) informs of nothing either.
            informative = bool(skill[i] >= limits.region_skill)
            found.append(Cell(region, label.name, len(truth), float(skill[i]), float(ratio[i]), bound, informative))
    return found


def _mean_square(error: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of errors (judges, n, labels), shape (labels,); NaN where there are none."""
    squares: NDArray[np.float64] = (error**2).sum(axis=(0, 1))
    return squares / (error.shape[0] * error.shape[1] or np.nan)
