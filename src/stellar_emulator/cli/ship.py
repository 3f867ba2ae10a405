"""Copies the champion pair and its decision to where they come with the package: ``models/NAME``.

It is not a verb of the command: it is needed only to release a version, as ``make models/NAME``.
"""

import shutil
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException

from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import InputError
from stellar_emulator.evaluation.model_card import ALONE, NAME, without_figures
from stellar_emulator.promotion.agreement import judged
from stellar_emulator.promotion.audit import PAGE, RECORD, trail
from stellar_emulator.promotion.candidates import load_pair
from stellar_emulator.promotion.champion import PairVersions, read_state
from stellar_emulator.registry import tracking
from stellar_emulator.system.files import new_folder


def ship(contract: Contract, folder: Path) -> PairVersions:
    """Fill a folder with ``emulator``, ``validator``, ``decision.json`` and ``decision.html``; return the versions.

    The model card is included, without its figures; trainings of early versions have none. The folder's content is
    replaced when all files are complete.

    Raises
    ------
    InputError
        If the registry has no champion, one of its files was changed, its errors were not measured, or its decision is
        missing.
    """
    store = tracking.connect()
    champion = read_state(contract.models).champion
    if champion is None:
        raise InputError(f"{contract.models.emulator} has no champion in {store}: promote a pair first")
    pair = load_pair(contract.models, champion)
    decision = judged(trail(contract.models.emulator).links, champion)
    if decision is None:
        raise InputError(f"no decision promoted {champion}: promote it first")
    with new_folder(folder) as partial:
        for model, name in ((pair.emulator, "emulator"), (pair.judges[0], "validator")):
            _ = model.bundle.measured  # This raises if nothing was measured.
            shutil.copytree(model.bundle.folder, partial / name)
        for name in (RECORD, PAGE):
            _fetch(decision.run_id, name, partial)
        card = _card(pair.tags.get("run_id", ""))
        if card is not None:
            (partial / NAME).write_text(card)
    return champion


def _card(run_id: str) -> str | None:
    """The model card of a training without its figures; None if there is none."""
    alone = tracking.logged_text(run_id, ALONE)
    if alone is not None:
        return alone
    whole = tracking.logged_text(run_id, NAME)
    return None if whole is None else without_figures(whole)


def _fetch(run_id: str, name: str, folder: Path) -> None:
    try:
        mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=name, dst_path=str(folder))
    except (MlflowException, OSError) as error:
        raise InputError(f"{name} of the champion's decision (run {run_id}) is missing in its run") from error
