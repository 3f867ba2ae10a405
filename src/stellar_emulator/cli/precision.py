"""The verb ``precision``: the Cramer-Rao limits of labels at one point of the label box."""

import numpy as np

from stellar_emulator.cli import settings
from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.label_table import broadcast, given_labels
from stellar_emulator.fitting.label_precision import Precision, precision
from stellar_emulator.models.emulator import Emulator
from stellar_emulator.observed.masks import masked, parse_masks


def run(options: settings.Precision) -> None:
    """Print a table of the precision with which a spectrum of a given S/N could constrain each label.

    Raises
    ------
    InputError
        If a label is missing, unknown, out of bounds or too far beyond the hull of the grid's runs.
    """
    emulator = Emulator.load(options.model, options.contract)
    contract = emulator.contract
    labels, _ = broadcast(contract, list(given_labels(options.given).items()))
    (point,) = emulator.requested(labels)
    hidden = None
    if options.mask != "none":
        hidden = masked(contract.wavelength.pixels, parse_masks(contract, options.mask))
    print(_table(contract, point, precision(emulator, point, options.snr, options.continuum, hidden)))


def _table(contract: Contract, point: np.ndarray, limits: Precision) -> str:
    lines = [f"{'least error (1 sigma) of':<26}{'at':>10}{'alone':>14}{'all labels':>14}{'+ velocity, continuum':>23}"]
    for i, label in enumerate(contract.labels):
        title = label.name + (f" ({label.unit})" if label.unit else "")
        span = label.upper - label.lower
        cells = [_cell(limit[i], span) for limit in (limits.alone, limits.together, limits.with_nuisances)]
        lines.append(f"{title:<26}{point[i]:>10g}{cells[0]:>14}{cells[1]:>14}{cells[2]:>23}")
    lines.append(f"{'radial velocity (km/s)':<26}{'':>38}{_cell(limits.velocity, np.inf):>23}")
    return "\n".join(lines)


def _cell(limit: float, span: float) -> str:
    """A limit in three digits; beyond the label's range the spectrum adds no constraint to that of the box."""
    return f"{limit:.3g}" if limit < span else "undetermined"
