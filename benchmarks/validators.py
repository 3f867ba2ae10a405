"""The default validator against the paper's architecture, trained on the same grid for at most the same minutes."""

import argparse
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from benchmarks.machine import table
from stellar_emulator.contract.contract import Contract, read_contract
from stellar_emulator.evaluation.accuracy import accuracy_rows, find
from stellar_emulator.evaluation.evaluation import read_part
from stellar_emulator.grid.source import EMBEDDED, open_source
from stellar_emulator.grid.split import split_rows
from stellar_emulator.grid.store import run_hashes
from stellar_emulator.networks.preset import ValidatorSettings, read_preset
from stellar_emulator.training.train_emulator import StageReport
from stellar_emulator.training.train_validator import TrainedValidator, train_validator


class MeasuredError(Exception):
    """Ends a trial training once two epochs were timed."""


def main() -> None:
    """Train both, each with its own optimiser and batch size, and print the table of test RMSE."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0, help="for each architecture")
    options = parser.parse_args()
    contract = read_contract("gaia_rvs")
    # Six networks share the paper's minutes; the default is one network, which gets what its schedule takes.
    paper = read_preset("paper").validator
    ours = read_preset("default").validator
    with tempfile.TemporaryDirectory(dir=".") as scratch:
        found = {
            "default": _test_rmse(contract, ours, Path(scratch), options.minutes),
            "paper": _test_rmse(contract, paper, Path(scratch), options.minutes),
        }
    rows = []
    for label in contract.accuracy_labels:
        mine, theirs = found["default"][0][label.name], found["paper"][0][label.name]
        rows.append(
            (f"test RMSE of {label.name} ({label.unit})", f"{mine:.4g} / {theirs:.4g} = {mine / theirs:.3f}", "<= 1.05")
        )
    rows += [
        (f"minutes of training, {name}", f"{minutes:.1f}", f"<= {options.minutes:g}")
        for name, (_, minutes) in found.items()
    ]
    print(table("Validator: default / paper's architecture", rows))


def _test_rmse(
    contract: Contract, preset: ValidatorSettings, scratch: Path, minutes: float
) -> tuple[dict[str, float], float]:
    grid = open_source(EMBEDDED, contract, scratch).grid
    split = split_rows(contract, run_hashes(grid, contract))

    def trained(validator: ValidatorSettings, folder: str, report: StageReport) -> TrainedValidator:
        return train_validator(grid, split, contract, validator, scratch / folder, report)

    networks = len(contract.labels) if preset.one_network_per_label else 1
    epochs = int(
        60.0 * minutes / networks / _seconds_per_epoch(lambda report: trained(preset, f"trial{networks}", report))
    )
    capped = preset.training.model_copy(update={"epochs": max(1, min(epochs, preset.training.epochs))})
    start = time.perf_counter()
    validator = trained(preset.model_copy(update={"training": capped}), f"full{networks}", lambda _: lambda *_: None)
    spent = (time.perf_counter() - start) / 60.0
    test = read_part(grid, split.test, contract.sampling.seed)
    rows = accuracy_rows(contract, validator.network, "test", test.labels, test.weight, test.flux, 1)
    return {label.name: find(rows, "test", label.name).rmse for label in contract.labels}, spent


def _seconds_per_epoch(train: Callable[[StageReport], TrainedValidator]) -> float:
    """Time from the end of a first network's first epoch to the end of its second."""
    ends: list[float] = []

    def report(epoch: int, metrics: dict[str, float]) -> None:
        ends.append(time.perf_counter())
        if epoch == 1:
            raise MeasuredError

    with suppress(MeasuredError):
        train(lambda name: report)
    return ends[1] - ends[0]


if __name__ == "__main__":
    main()
