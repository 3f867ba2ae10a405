"""A survey as a run of MLflow, which needs the extra registry."""

import json
from pathlib import Path
from typing import Any

from stellar_emulator.contract.contract import Contract
from stellar_emulator.registry import tracking
from stellar_emulator.survey.fill import MANIFEST, Filled
from stellar_emulator.survey.monitor import PAGE, RECORD
from stellar_emulator.system.files import read_json, write_file
from stellar_emulator.system.lock import locked

RUN = "_run.json"
"""In a survey's folder: its run."""


def log_survey(done: Filled, contract: Contract, source: Path, settings: dict[str, Any]) -> str:
    """Log a whole survey with its settings, and return the run's id; the same folder's run is taken up again.

    source: the dataset's first file or folder; settings: beside those that the folder notes.
    """
    folder = done.folder
    earlier = read_json(folder / RUN) or {}
    with locked(folder), tracking.start_job("fit", folder, earlier.get("run_id")) as run:
        write_file(folder / RUN, json.dumps({"run_id": run.run_id}))
        told = read_json(folder / MANIFEST)
        run.set_tags({"model": str(told["model"]), "settings": str(told["settings"]), "contract": contract.name})
        run.log_settings({**settings, **told["job"]})
        run.log_metrics(done.found.figures())
        run.log_dataset(contract.name, str(told["dataset"]), source, "survey")
        for name in (MANIFEST, PAGE, RECORD):
            if (folder / name).exists():
                run.log_file(folder / name, "survey")
    return run.run_id
