"""The plan of a search: the networks, the algorithm and the budget."""

import hashlib
import json
from dataclasses import dataclass
from typing import Literal

from stellar_emulator.errors import InputError

Target = Literal["autoencoder", "label_network", "chain"]
Algorithm = Literal["hyperband", "bayesian", "random"]

TARGETS: tuple[Target, ...] = ("chain", "autoencoder", "label_network")
ALGORITHMS: tuple[Algorithm, ...] = ("hyperband", "bayesian", "random")


@dataclass(frozen=True)
class Plan:
    """One search. Limits are trials, epochs of a trial's last fit, minutes of all trials and trial_minutes of one."""

    target: Target
    algorithm: Algorithm
    trials: int
    epochs: int
    minutes: float
    trial_minutes: float
    seed: int

    def check(self) -> None:
        """Refuse a budget that is too small for one trial. Raises `InputError`."""
        if self.trial_minutes > self.minutes:
            raise InputError(
                f"trial_minutes = {self.trial_minutes:g} is more than minutes = {self.minutes:g}, the whole search: "
                "give the search more or each trial less"
            )

    def key(self, *others: str) -> str:
        """Name of the search in its folder: other trials or minutes continue it; any other change makes another
        search."""
        own = [self.target, self.algorithm, self.epochs, self.trial_minutes, self.seed]
        return hashlib.sha256(json.dumps([*own, *others]).encode()).hexdigest()[:12]
