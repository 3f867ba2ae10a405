"""Writes the results of an evaluation as files and figures to ``output``, and the same to MLflow."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.regions import BOX, HARD
from stellar_emulator.evaluation.accuracy import ratios
from stellar_emulator.evaluation.evaluation import Evaluation
from stellar_emulator.evaluation.flux_error import find
from stellar_emulator.registry.tracking import TrackedRun
from stellar_emulator.system.files import write_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def publish(
    run: TrackedRun, contract: Contract, evaluation: Evaluation, figures: Mapping[str, "Figure"], output: Path
) -> None:
    """Write ``accuracy.json``, ``flux_error.json`` and ``figures/*.png`` to ``output`` and log them to a run."""
    output.mkdir(parents=True, exist_ok=True)
    for name, content in (
        ("accuracy.json", evaluation.accuracy_file()),
        ("flux_error.json", evaluation.flux_error_file()),
    ):
        write_file(output / name, json.dumps(content, indent=1))
        run.log_file(output / name)
    (output / "figures").mkdir(exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(output / "figures" / f"{name}.png")
    run.log_file(output / "figures", "figures")
    run.log_metrics(_metrics(contract, evaluation))
    run.set_tags({"test_set": evaluation.test.digest})


def _metrics(contract: Contract, evaluation: Evaluation) -> dict[str, float]:
    """The figures of merit by which runs are compared."""
    metrics = {f"ratio.{name}": value for name, value in ratios(contract, evaluation.accuracy).items()}
    for row in evaluation.accuracy:
        if row.region == BOX and row.signal_to_noise is None:
            metrics[f"rmse.{row.split}.{row.label}"] = row.rmse
    for what in dict.fromkeys(row.what for row in evaluation.flux_error):
        box = find(evaluation.flux_error, what)
        key = what.replace(" ", "_")
        metrics |= {f"flux.{key}.mae": box.mae, f"flux.{key}.mse": box.mse, f"flux.{key}.p90_mae": box.p90_mae}
        hard = [row for row in evaluation.flux_error if (row.what, row.region) == (what, HARD)]
        if hard:
            metrics |= {f"flux.{key}.hard.mae": hard[0].mae, f"flux.{key}.hard.core_mae": hard[0].core_mae}
    return metrics
