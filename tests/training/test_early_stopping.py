"""A training ends when it has waited long enough for a better epoch, and the best one is kept."""

import pytest

from stellar_emulator.networks.preset import Training
from stellar_emulator.training.early_stopping import best_epoch, is_over

SETTINGS = Training(optimizer="adam", learning_rate=0.01, schedule="constant", batch_size=16, epochs=6, patience=2)


@pytest.mark.parametrize(
    ("losses", "over"),
    [
        ([], False),
        ([0.3], False),
        ([0.3, 0.4], False),
        ([0.3, 0.4, 0.5], True),  # two epochs without gain
        ([0.3, 0.4, 0.2], False),  # the second of them gains
        ([0.3, 0.3, 0.3], True),  # an equal loss is no gain
        ([0.6, 0.5, 0.4, 0.3, 0.2], False),
        ([0.6, 0.5, 0.4, 0.3, 0.2, 0.1], True),  # the last epoch
    ],
)
def test_patience_and_the_last_epoch_end_a_training(losses: list[float], over: bool) -> None:
    assert is_over(losses, SETTINGS) is over


def test_the_best_epoch_is_the_first_of_the_smallest_loss() -> None:
    assert best_epoch([0.4, 0.2, 0.3, 0.2]) == 1
