"""Labels in words, for criteria that say where something is wrong."""

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract


def described(contract: Contract, labels: NDArray[np.float64]) -> str:
    """Labels in words: "teff 5772 K, logg 4.44 dex"."""
    values = zip(contract.labels, labels.tolist(), strict=True)
    return ", ".join(f"{label.name} {value:.4g} {label.unit}".rstrip() for label, value in values)
