"""The verb ``evaluate``: measure a registered pair on any grid, on runs that neither model was trained on."""

import numpy as np

from stellar_emulator.cli.settings import Evaluate
from stellar_emulator.cli.train import HASH_DIGITS
from stellar_emulator.contract.contract import Contract, read_contract
from stellar_emulator.errors import InputError
from stellar_emulator.evaluation.accuracy import accuracy_table
from stellar_emulator.evaluation.evaluation import evaluate, read_part
from stellar_emulator.evaluation.flux_error import flux_error_table
from stellar_emulator.figures.gallery import evaluation_figures
from stellar_emulator.grid.source import open_source
from stellar_emulator.grid.store import Grid, run_hashes
from stellar_emulator.models.emulator import Emulator
from stellar_emulator.models.pair import find_pair
from stellar_emulator.models.validator import Validator
from stellar_emulator.registry import tracking
from stellar_emulator.registry.publish_evaluation import publish
from stellar_emulator.system.lock import locked, make_folder
from stellar_emulator.validation.validated import require_validated


def run(options: Evaluate) -> None:
    """Write the same files and figures as ``train``, in a separate run."""
    contract = read_contract(options.contract)
    folders = find_pair(options.emulator, options.validator, options.contract)
    emulator, validator = Emulator.load(folders[0]), Validator.load(folders[1])
    require_same_contract(contract, emulator, validator)
    make_folder(options.output)
    with locked(options.output), tracking.start_job("evaluate", options.output) as parent:
        parent.log_settings({"emulator": emulator.digest, "validator": validator.digest, "seed": options.seed})
        grid = open_source(options.grid, contract, options.output / "grids").grid
        require_validated(grid, contract, options.output)
        parent.log_dataset(contract.name, grid.digest, grid.path, "evaluation")
        rows = unseen_rows(grid, contract, emulator, validator)
        part = read_part(grid, rows, contract.sampling.seed)
        evaluation = evaluate(contract, emulator, validator.network, {"test": part}, options.seed)
        publish(parent, contract, evaluation, evaluation_figures(contract, evaluation), options.output)
    print(f"\n{accuracy_table(contract, evaluation.accuracy)}\n\n{flux_error_table(evaluation.flux_error)}\n")
    print(f"files and figures: {options.output}")


def require_same_contract(contract: Contract, emulator: Emulator, validator: Validator) -> None:
    """Refuse models of another contract. Raises `InputError`."""
    for kind, model in (("emulator", emulator), ("validator", validator)):
        if model.contract.digest != contract.digest:
            raise InputError(
                f"the {kind} was trained under contract {model.contract.name} ({model.contract.digest[:12]}), not "
                f"under {contract.name} ({contract.digest[:12]}): name its own with --contract"
            )


def unseen_rows(grid: Grid, contract: Contract, emulator: Emulator, validator: Validator) -> np.ndarray:
    """Rows of runs that neither model used in training or validation. Raises `InputError` if there are none."""
    seen = {*emulator.metadata["seen_runs"], *validator.metadata["seen_runs"]}
    unseen = [value[:HASH_DIGITS] not in seen for value in run_hashes(grid, contract)]
    rows = np.flatnonzero(unseen)
    if not len(rows):
        raise InputError(f"grid {grid.path} holds no run that the models were not trained on: give it other runs")
    return rows
