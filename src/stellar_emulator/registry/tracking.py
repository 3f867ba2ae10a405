"""Writes the records of a job to MLflow: nested runs, settings, metrics, files, datasets and provenance."""

import os
import platform
import random
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import count
from pathlib import Path
from typing import Any

import mlflow
from mlflow.data.meta_dataset import MetaDataset
from mlflow.data.sources import LocalArtifactDatasetSource  # type: ignore[attr-defined]  # MLflow makes it at import
from mlflow.entities import Dataset, DatasetInput, InputTag, LifecycleStage, Metric, Param
from mlflow.environment_variables import MLFLOW_RUN_ID
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_PARENT_RUN_ID

from stellar_emulator.registry.tracking_store import connect as connect
from stellar_emulator.registry.tracking_store import reachable
from stellar_emulator.system.cores import cores

SETTING = "cfg."
"""Prefix of the name of each logged setting: `mlflow run` itself logs MLproject's parameters, as raw text."""

OUTPUT = "output"
"""Tag of a job's run: its machine and output folder."""

GOES_ON = "goes_on"
"""Tag of a run opened by `mlflow run`, with the id of the earlier run that its job resumes."""

_METRICS_AT_ONCE = 1000
_PARAMS_AT_ONCE = 100
_DATASET_DIGEST = 36
_ATTEMPTS = 5

_PACKAGES = ("keras", "mlflow", "numpy", "onnxruntime", "scikit-learn")


@dataclass(frozen=True)
class TrackedRun:
    """One run of the tracking store, by its id."""

    run_id: str

    def log_settings(self, settings: Mapping[str, Any]) -> None:
        """Log settings as parameters named ``cfg.NAME``; nested ones as ``cfg.OUTER.NAME``."""
        params = [Param(SETTING + name, str(value)) for name, value in _flat(settings)]
        for start in range(0, len(params), _PARAMS_AT_ONCE):
            mlflow.MlflowClient().log_batch(self.run_id, params=params[start : start + _PARAMS_AT_ONCE])

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log metrics at one step (an epoch, say)."""
        self.log_steps([(step, metrics)])

    def log_steps(self, steps: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """Log metrics of several steps at once, which takes a store no longer than one step."""
        now = int(1000 * time.time())
        entries = [Metric(name, float(value), now, step) for step, metrics in steps for name, value in metrics.items()]
        for start in range(0, len(entries), _METRICS_AT_ONCE):
            mlflow.MlflowClient().log_batch(self.run_id, metrics=entries[start : start + _METRICS_AT_ONCE])

    def last_steps(self) -> dict[str, int]:
        """The last step logged of each metric."""
        client = mlflow.MlflowClient()
        names = client.get_run(self.run_id).data.metrics
        return {name: max(entry.step for entry in client.get_metric_history(self.run_id, name)) for name in names}

    def end(self, status: str) -> None:
        """End a run that `take_up_child` opened."""
        mlflow.MlflowClient().set_terminated(self.run_id, status)

    def log_json(self, content: Any, path: str) -> None:
        """Store a mapping or list as a JSON file among the run's artifacts."""
        mlflow.MlflowClient().log_dict(self.run_id, content, path)

    def log_text(self, content: str, path: str) -> None:
        """Store a text as a file among the run's artifacts."""
        mlflow.MlflowClient().log_text(self.run_id, content, path)

    def log_file(self, file: Path, folder: str | None = None) -> None:
        """Store a file, or a folder with its content, among the run's artifacts."""
        client = mlflow.MlflowClient()
        if file.is_dir():
            client.log_artifacts(self.run_id, str(file), folder)
        else:
            client.log_artifact(self.run_id, str(file), folder)

    def log_dataset(self, name: str, digest: str, source: Path, context: str) -> None:
        """Log the grid that the run reads: its full digest (SHA-256) as a tag, and the 36 characters of MLflow's
        own."""
        origin = LocalArtifactDatasetSource(str(source))
        # MLflow's own class leaves `profile` abstract, without harm.
        described = MetaDataset(origin, name=name, digest=digest[:_DATASET_DIGEST])  # type: ignore[abstract]
        dataset = Dataset(**described.to_dict())
        tags = [InputTag(MLFLOW_DATASET_CONTEXT, context), InputTag("sha256", digest)]
        for attempt in count(1):
            try:
                mlflow.MlflowClient().log_inputs(self.run_id, [DatasetInput(dataset, tags)])
                return
            except MlflowException:  # another run has just logged the same dataset for the first time
                if attempt == _ATTEMPTS:
                    raise
                time.sleep(random.random())

    def set_tags(self, tags: Mapping[str, str]) -> None:
        client = mlflow.MlflowClient()
        for name, value in tags.items():
            client.set_tag(self.run_id, name, value)


@contextmanager
def start_job(name: str, output: Path, earlier: str | None = None) -> Iterator[TrackedRun]:
    """Start the run of a job that holds the lock of the folder ``output``, or resume an earlier one.

    No other job uses that folder, so runs that a killed job of the folder left as running are ended as killed.
    ``earlier``: id of the run to resume, if the store still has it.
    """
    connect()
    place = f"{platform.node()}:{output.resolve()}"
    with reachable():
        _end_interrupted(place)
        known = earlier is not None and _is_known(earlier)
    with take_up_run(earlier) if earlier is not None and known else start_run(name) as run:
        run.set_tags({OUTPUT: place})
        yield run


@contextmanager
def take_up_run(run_id: str) -> Iterator[TrackedRun]:
    """Make an ended run the active one again. A run that `mlflow run` has opened names it in the tag `GOES_ON`."""
    opened = os.environ.pop(MLFLOW_RUN_ID.name, run_id)
    if opened != run_id:
        TrackedRun(opened).set_tags({GOES_ON: run_id})
    with mlflow.start_run(run_id=run_id):
        yield TrackedRun(run_id)


def find_child(parent: str, tags: Mapping[str, str]) -> TrackedRun | None:
    """The child of a run that has certain tags."""
    client = mlflow.MlflowClient()
    experiment = client.get_run(parent).info.experiment_id
    wanted = {MLFLOW_PARENT_RUN_ID: parent, **tags}
    query = " AND ".join(f"tags.`{name}` = '{value}'" for name, value in wanted.items())
    found = client.search_runs([experiment], query)
    return TrackedRun(str(found[0].info.run_id)) if found else None


def take_up_child(parent: str, name: str, tags: Mapping[str, str]) -> TrackedRun:
    """Resume the child of a run that has certain tags, or create it."""
    client, found = mlflow.MlflowClient(), find_child(parent, tags)
    if found is not None:
        client.update_run(found.run_id, status="RUNNING")
        return found
    experiment = client.get_run(parent).info.experiment_id
    created = client.create_run(experiment, tags={MLFLOW_PARENT_RUN_ID: parent, **tags}, run_name=name)
    return TrackedRun(str(created.info.run_id))


def finished_runs(tags: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """All tags of finished runs that have the given ones, by run id, newest first."""
    connect()
    client = mlflow.MlflowClient()
    wanted = " AND ".join(["attributes.status = 'FINISHED'", *(f"tags.`{name}` = '{tags[name]}'" for name in tags)])
    with reachable():
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        found = client.search_runs(experiments, wanted, order_by=["attributes.start_time DESC"])
    return {run.info.run_id: dict(run.data.tags) for run in found}


def logged_json(run_id: str, path: str) -> Any:
    """Content of a JSON file among a run's artifacts, None if there is none that can be read."""
    try:
        return mlflow.artifacts.load_dict(f"runs:/{run_id}/{path}")
    except (MlflowException, OSError):
        return None


def logged_text(run_id: str, path: str) -> str | None:
    """Content of a text file among a run's artifacts, None if there is none that can be read."""
    try:
        return str(mlflow.artifacts.load_text(f"runs:/{run_id}/{path}"))
    except (MlflowException, OSError):
        return None


def _is_known(run_id: str) -> bool:
    try:
        return bool(mlflow.MlflowClient().get_run(run_id).info.lifecycle_stage == LifecycleStage.ACTIVE)
    except MlflowException:
        return False


def _end_interrupted(place: str) -> None:
    client = mlflow.MlflowClient()
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    for run in client.search_runs(experiments, "attributes.status = 'RUNNING'"):
        parent = run.data.tags.get(MLFLOW_PARENT_RUN_ID)
        job = run if parent is None else client.get_run(parent)
        if job.data.tags.get(OUTPUT) == place:
            client.set_terminated(run.info.run_id, "KILLED")


@contextmanager
def start_run(name: str) -> Iterator[TrackedRun]:
    """Start a run: a child of the active one, or the one that `mlflow run` has opened, or a new one.

    A run that is not a child has the tags of `provenance`. An exception ends the run as failed.
    """
    connect()
    child = mlflow.active_run() is not None
    with _opened(name, child) as active:
        run = TrackedRun(active.info.run_id)
        if not child:
            run.set_tags(provenance())
        yield run


def _opened(name: str, child: bool) -> mlflow.ActiveRun:
    with reachable():
        return mlflow.start_run(run_name=name, nested=child)


def provenance() -> dict[str, str]:
    """Git commit of these sources (if they are in a checkout), Python, machine and versions, for tags."""
    tags = {}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):  # of another extra than this job needs
            tags[f"version.{package}"] = version(package)
    tags |= {"python": platform.python_version(), "platform": platform.platform(), "cores": str(cores())}
    commit = _git_commit(Path(__file__).parent)
    return {**tags, "git_commit": commit} if commit else tags


def _git_commit(folder: Path) -> str | None:
    """Commit of a folder's checkout, with ``-dirty`` if files differ; None if git does not track the folder."""
    try:
        tracked = _git(folder, "ls-files", ".")
        return _git(folder, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*") if tracked else None
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _flat(settings: Mapping[str, Any], outer: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{outer}{name}.")
        else:
            yield outer + name, value
