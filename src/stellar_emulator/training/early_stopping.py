"""Early stopping: which epoch was the best on the validation runs, and when to stop waiting for a better one."""

from collections.abc import Sequence

import numpy as np

from stellar_emulator.networks.preset import Training


def best_epoch(losses: Sequence[float]) -> int:
    """The epoch, counted from 0, with the smallest validation loss; the first of several equal ones."""
    return int(np.argmin(losses))


def is_over(losses: Sequence[float], settings: Training) -> bool:
    """Whether a training ends after these epochs.

    losses: those on the validation runs, one value per epoch. A training ends with its last epoch, ``settings.epochs``,
    or when ``settings.patience`` epochs in a row have brought no smaller loss.
    """
    if not losses:
        return False
    return len(losses) >= settings.epochs or len(losses) - 1 - best_epoch(losses) >= settings.patience
