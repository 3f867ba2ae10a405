"""The figures by which a trained trial is judged: its flux errors on validation runs, and its costs."""

import numpy as np

from stellar_emulator.contract.regions import BOX, HARD
from stellar_emulator.evaluation.flux_error import find, flux_error_rows
from stellar_emulator.tuning.cost import measure_cost
from stellar_emulator.tuning.materials import Materials
from stellar_emulator.tuning.targets import Trained
from stellar_emulator.tuning.trial import Figures


def measure(materials: Materials, trained: Trained) -> Figures:
    """Errors of flux, weighted as in `evaluation.flux_error`, and costs of one spectrum.

    Raises
    ------
    ValueError
        If the flux is not finite.
    """
    rows = materials.validation
    if not np.isfinite(trained.flux).all():
        raise ValueError("the trained network gives flux that is not finite")
    errors = flux_error_rows(
        materials.contract, "trial", rows.labels, rows.weight, rows.run_id, rows.flux, trained.flux
    )
    box = find(errors, "trial", BOX)
    hard = [row for row in errors if row.region == HARD]
    cost = measure_cost(trained.emulator.network, rows.labels[:1])
    return Figures(
        mae=box.mae,
        hard_mae=hard[0].mae if hard else float("nan"),
        core_mae=box.core_mae,
        hard_core_mae=hard[0].core_mae if hard else float("nan"),
        parameters=trained.parameters,
        multiply_adds=cost.multiply_adds,
        milliseconds=cost.milliseconds,
    )
