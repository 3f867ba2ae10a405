"""What stands before the gate: an emulator and the judge that was trained beside it."""

from dataclasses import dataclass

from stellar_emulator.evaluation.evaluation import Model


@dataclass(frozen=True)
class Candidate:
    """emulator: labels (n, labels) to flux (n, pixels); judges: flux to labels, one for each seed of one architecture.

    The first judge is the registered validator. None of them may check flux or labels against bounds: what an
    untrained network answers is to be judged, not refused with an error.
    """

    emulator: Model
    judges: tuple[Model, ...]
