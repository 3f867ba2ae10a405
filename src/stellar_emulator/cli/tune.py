"""The verb ``tune``: search for presets with Keras Tuner, with a child run for each trial, and write the best one."""

import contextlib
import csv
import io
import json
import logging
import os
import shlex
import time
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stellar_emulator.cli.settings import Tune
from stellar_emulator.cli.train import require_parts
from stellar_emulator.contract.contract import Contract, read_contract
from stellar_emulator.errors import SetupError
from stellar_emulator.figures import pareto
from stellar_emulator.grid.source import Source, open_source
from stellar_emulator.grid.split import split_rows
from stellar_emulator.grid.store import run_hashes
from stellar_emulator.networks.preset import Preset, preset_text, read_preset
from stellar_emulator.registry import tracking
from stellar_emulator.registry.tracking import TrackedRun
from stellar_emulator.system.files import read_json, write_file
from stellar_emulator.system.lock import locked, make_folder
from stellar_emulator.system.say import say
from stellar_emulator.tuning import team
from stellar_emulator.tuning.hypermodel import SearchSpace
from stellar_emulator.tuning.materials import Materials
from stellar_emulator.tuning.oracles import make_oracle
from stellar_emulator.tuning.outcome import SearchOutcome, find_outcome, outcome_table, read_trials, summary, table_rows
from stellar_emulator.tuning.plan import Plan
from stellar_emulator.tuning.targets import Workshop
from stellar_emulator.tuning.trial import figures_of
from stellar_emulator.tuning.trial_diary import TRIAL, VERDICT, TrialDiary
from stellar_emulator.tuning.tuner import PresetTuner
from stellar_emulator.validation.validated import require_validated
from stellar_emulator.version import VERSION

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTER = "search.json"
"""File in ``output`` that states the search's folder and run for workers."""

GRIDS = "grids"
"""Folder in ``output`` of grids that were broadened or rewritten."""

SEARCHES = "searches"
"""Folder in ``output`` of the state of every search; other settings make another search."""

LONGEST_WAIT = 600.0
"""Seconds that a worker waits for its chief, and by which a trial may exceed twice its cap before it counts as lost."""


def run(options: Tune) -> None:
    """Search, or take part in a search that a chief leads; ``output`` keeps the state of both."""
    plan = _plan(options)
    contract = read_contract(options.contract)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of the many networks of a search
    role = team.role(os.environ)
    if role == "worker":
        _work(options, plan, contract)
        return
    store = tracking.connect()
    make_folder(options.output)
    with locked(options.output):
        source = open_source(options.grid, contract, options.output / GRIDS)
        folder = options.output / SEARCHES / plan.key(contract.digest, source.grid.digest, _backend(), VERSION)
        with tracking.start_job(f"tune {plan.target}", options.output, _earlier(folder)) as parent:
            folder.mkdir(parents=True, exist_ok=True)
            _write(folder / POINTER, {"run_id": parent.run_id})
            _log_plan(parent, plan, contract, source, options)
            require_validated(source.grid, contract, options.output)
            search = _Search(plan, contract, source, folder, parent.run_id)
            outcome = _searched(search, options, leads=options.workers > 1 or role == "chief")
            parent.log_metrics({"search_seconds": search.oracle.seconds})
            _publish(parent, outcome, options.output)
    print(f"\n{outcome_table(outcome)}\n\n{summary(outcome)}\n")
    print(f"search run {parent.run_id} in {store}")
    print(f"train it: stellar-emulator train --preset {options.output / 'preset.yaml'}")


def _plan(options: Tune) -> Plan:
    plan = Plan(**{field.name: getattr(options, field.name) for field in fields(Plan)})
    plan.check()
    return plan


def _searched(search: "_Search", options: Tune, leads: bool) -> SearchOutcome:
    search.workshop.prepare()
    _write(options.output / POINTER, search.pointer())  # from here on workers may begin
    if leads:
        _lead(search, options)
    else:
        _search_alone(search)
    return find_outcome(read_trials(search.folder, search.oracle.start_order))


def _backend() -> str:
    import keras

    return str(keras.backend.backend())


class _Search:
    """One search, which chief and workers set up in the same way."""

    def __init__(self, plan: Plan, contract: Contract, source: Source, folder: Path, run_id: str) -> None:
        self.plan, self.source, self.folder, self.run_id = plan, source, folder, run_id
        split = split_rows(contract, run_hashes(source.grid, contract))
        require_parts(split, contract)
        exact = source.intrinsic is not None
        self.base = read_preset("default" if exact else "learned")
        self.space = SearchSpace(plan.target, self.base, ("exact", "learned") if exact else ("learned",), plan.epochs)
        self.oracle = make_oracle(plan)
        self.oracle.verbose = 0
        shared = folder / "shared"
        materials = Materials(source, contract, split, plan.seed, shared)
        self.workshop = Workshop(plan.target, materials, self.base, shared)

    def given(self) -> dict[str, Preset]:
        """The first trials: the paper's network, and the default of `train`."""
        paper = read_preset("paper")
        if self.plan.target == "label_network":
            paper = self.base.model_copy(update={"label_network": paper.label_network})
        return {"paper": paper, self.base.name: self.base}

    def tuner(self, diary: TrialDiary) -> PresetTuner:
        """A tuner in the role that the environment names; it resumes an interrupted search."""
        return PresetTuner(self.plan, self.space, self.given(), self.oracle, self.workshop, diary, self.folder)

    def pointer(self) -> dict[str, str]:
        """The data that workers need. A user's file is rewritten beside the search, only once."""
        rewritten = self.source.intrinsic is None and self.source.grid.path.parent.name == GRIDS
        grid = self.source.grid.path.name if rewritten else ""
        return {"run_id": self.run_id, "folder": self.folder.name, "plan": self.plan.key(), "grid": grid}


def _search_alone(search: _Search) -> None:
    with TrialDiary(search.run_id) as diary:
        tuner = search.tuner(diary)
        _show_progress(search)
        tuner.search()


def _lead(search: _Search, options: Tune) -> None:
    """Act as Keras Tuner's chief, with workers on this machine if more than one is requested."""
    with TrialDiary(search.run_id) as diary, team.chief_environment(os.environ):
        tuner = search.tuner(diary)
        _show_progress(search)
        workers = team.LocalWorkers(
            words=shlex.split(options.command)[1:],
            count=options.workers if options.workers > 1 else 0,
            logs=search.folder,
            environment={"MLFLOW_TRACKING_URI": tracking.connect(), "KERAS_BACKEND": _backend()},
        )
        # Keras Tuner prints temporary conditions between chief and workers.
        with workers, contextlib.redirect_stdout(io.StringIO()):
            team.lead(tuner, search.oracle, workers, 120.0 * search.plan.trial_minutes + LONGEST_WAIT)


def _work(options: Tune, plan: Plan, contract: Contract) -> None:
    """Run trials for a chief, which has opened and checked the grid."""
    pointer = _pointer(options.output, plan)
    tracking.connect()
    grids = options.output / GRIDS
    source = open_source(str(grids / pointer["grid"]) if pointer["grid"] else options.grid, contract, grids)
    search = _Search(plan, contract, source, options.output / SEARCHES / pointer["folder"], pointer["run_id"])
    with TrialDiary(search.run_id) as diary:
        search.tuner(diary).search()


def _pointer(output: Path, plan: Plan) -> dict[str, str]:
    """The data that a chief of the same search wrote. Raises `SetupError` if none does so in time."""
    began = time.monotonic()
    while time.monotonic() - began < LONGEST_WAIT:
        found = _read(output / POINTER)
        if found.get("plan") == plan.key():
            return found
        time.sleep(1.0)
    raise SetupError(f"no chief of this search wrote {output / POINTER}: start one with the same options and --output")


def _earlier(folder: Path) -> str | None:
    """Run of an interrupted search."""
    return _read(folder / POINTER).get("run_id")


def _read(path: Path) -> dict[str, str]:
    found: dict[str, str] = read_json(path) or {}
    return found


def _write(path: Path, content: dict[str, Any]) -> None:
    write_file(path, json.dumps(content))


def _log_plan(parent: TrackedRun, plan: Plan, contract: Contract, source: Source, options: Tune) -> None:
    """Log the search's identity as settings, and its budget, which a later command may raise, as tags."""
    fixed = ("target", "algorithm", "epochs", "trial_minutes", "seed")
    parent.log_settings({"contract": contract.digest, **{name: getattr(plan, name) for name in fixed}})
    parent.set_tags({name: str(getattr(options, name)) for name in ("trials", "minutes", "workers")})
    parent.log_dataset(contract.name, source.grid.digest, source.grid.path, "tuning")


def _show_progress(search: _Search) -> None:
    """Report the progress of the search whenever a trial ends."""

    def on_end(trial: str) -> None:
        oracle, plan = search.oracle, search.plan
        ended = read_trials(search.folder, [trial])[0]
        scores = {t.trial_id: t.score for t in list(oracle.trials.values()) if t.score is not None}
        best = min(scores, key=scores.__getitem__, default=None)
        found = f"MAE {ended.figures.mae:.2e}" if ended.figures else f"failed: {ended.reason}"
        so_far = "" if best is None else f", best {scores[best]:.2e} (trial {best})"
        left = max(0.0, plan.minutes - oracle.seconds / 60.0)
        say(
            f"trial {trial}, {len(oracle.end_order)} of {plan.trials}: {found}{so_far}, "
            f"{ended.seconds / 60.0:.1f} min, {left:.0f} min left"
        )

    search.oracle.on_end = on_end


def _publish(parent: TrackedRun, outcome: SearchOutcome, output: Path) -> None:
    """Write ``trials.csv``, ``preset.yaml`` and ``figures/pareto.png`` and log them; settle the verdicts of trials."""
    rows = table_rows(outcome)
    with (output / "trials.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)
    found = outcome.chosen.preset.model_copy(update={"name": "found", "search_run": parent.run_id})
    write_file(output / "preset.yaml", preset_text(found))
    (output / "figures").mkdir(exist_ok=True)
    _figure(outcome).savefig(output / "figures" / "pareto.png")
    for name in ("trials.csv", "preset.yaml"):
        parent.log_file(output / name)
    parent.log_file(output / "figures" / "pareto.png", "figures")
    parent.log_metrics({f"chosen.{name}": value for name, value in figures_of(outcome.chosen).items()})
    parent.log_metrics({"fit_seconds": sum(trial.fit_seconds for trial in outcome.trials)})
    parent.set_tags({"chosen": outcome.chosen.trial})
    for trial in outcome.trials:
        child = tracking.find_child(parent.run_id, {TRIAL: trial.trial}) if trial.verdict == "promoted" else None
        if child is not None:
            child.set_tags({VERDICT: trial.verdict})


def _figure(outcome: SearchOutcome) -> "Figure":
    shown = [trial for trial in outcome.trials if trial.figures is not None]
    rows = {trial.trial: row for row, trial in enumerate(shown)}
    chosen = rows[outcome.chosen.trial]
    named = {row: trial.origin for row, trial in enumerate(shown) if trial.origin != "searched"}
    return pareto(
        np.array([trial.figures.milliseconds for trial in shown if trial.figures]),
        np.array([trial.figures.mae for trial in shown if trial.figures]),
        [trial.preset.family for trial in shown],
        np.array([rows[trial.trial] for trial in outcome.front]),
        chosen,
        named,
    )
