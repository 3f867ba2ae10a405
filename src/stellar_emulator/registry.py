"""The model registry: bundles into registered versions, and registered versions back into bundles."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec

from stellar_emulator import serving
from stellar_emulator.bundle import load_emulator, load_validator
from stellar_emulator.contract import Contract
from stellar_emulator.errors import InputError
from stellar_emulator.tracking import connect

BUNDLE = "bundle"
"""Name of the artifact, inside a registered model, that holds the bundle."""

_PACKAGE = Path(serving.__file__).parents[1]

_SERVING_PACKAGES = ("mlflow", "numpy", "onnxruntime", "pandas", "pydantic", "pyyaml")


@dataclass(frozen=True)
class Registered:
    """One registered version: its address, MLflow's id of the model behind it, and the bundle's digest."""

    name: str
    version: int
    model_id: str
    digest: str

    @property
    def uri(self) -> str:
        return f"models:/{self.name}/{self.version}"


def register_emulator(folder: Path, tags: Mapping[str, str]) -> Registered:
    """Register an emulator's bundle under its contract's name, as an output of the active run if there is one.

    The signature takes one double column for each label and gives flux of shape (n, pixels).

    Raises
    ------
    InputError
        If the folder holds no sound emulator.
    """
    emulator = load_emulator(folder)
    contract = emulator.contract
    middle = (contract.lower + contract.upper) / 2
    signature = ModelSignature(
        inputs=Schema([ColSpec(DataType.double, label.name) for label in contract.labels]),
        outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, contract.wavelength.count), "flux")]),
    )
    example = pd.DataFrame([middle], columns=contract.label_names)
    return _register("emulator", folder, contract, emulator.digest, signature, example, tags)


def register_validator(folder: Path, tags: Mapping[str, str]) -> Registered:
    """Register a validator's bundle; its signature takes flux (n, pixels) and gives one column for each label.

    Otherwise as `register_emulator`.
    """
    validator = load_validator(folder)
    contract = validator.contract
    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(np.float32), (-1, contract.wavelength.count))]),
        outputs=Schema([ColSpec(DataType.double, label.name) for label in contract.labels]),
        params=ParamSchema([ParamSpec("noise", DataType.double, 0.0)]),
    )
    example = np.full((1, contract.wavelength.count), min(1.0, contract.flux.upper), dtype=np.float32)
    return _register("validator", folder, contract, validator.digest, signature, example, tags)


def resolve(name: str, which: str) -> Path:
    """Find the bundle of a model: a local folder, of a remote registry a downloaded copy.

    Parameters
    ----------
    name
        Of the registered model.
    which
        ``latest``, a version number, an alias, a whole address such as ``models:/NAME/3`` or ``models:/NAME@champion``,
        or a bundle's own folder.

    Raises
    ------
    InputError
        If the registry has no such model, version or alias; the message lists what it has.
    """
    if which != "latest" and not which.isdecimal() and Path(which).is_dir():
        return Path(which)
    if address := re.fullmatch(r"models:/([^@/]+)[@/](.+)", which):
        name, which = address.groups()
    store = connect()
    versions = _versions(name, store)
    if not versions:
        raise InputError(f"no model {name} is registered in {store}: train one, or set MLFLOW_TRACKING_URI")
    which = str(versions[-1]) if which == "latest" else which
    uri = f"models:/{name}/{which}" if which.isdecimal() else f"models:/{name}@{which}"
    try:
        model = Path(mlflow.artifacts.download_artifacts(uri))
    except MlflowException as error:
        aliases = mlflow.MlflowClient().get_registered_model(name).aliases
        has = ", ".join(map(str, [*versions, *sorted(aliases)]))
        raise InputError(f"model {name} has no version or alias {which!r} in {store}: it has {has}") from error
    artifacts = Model.load(str(model)).flavors["python_function"].get("artifacts", {})
    if BUNDLE not in artifacts:
        raise InputError(f"{uri} was not registered by stellar-emulator: it holds no bundle")
    return model / str(artifacts[BUNDLE]["path"])


def _register(
    kind: Literal["emulator", "validator"],
    folder: Path,
    contract: Contract,
    digest: str,
    signature: ModelSignature,
    example: Any,
    tags: Mapping[str, str],
) -> Registered:
    connect()
    name = getattr(contract.models, kind)
    info = mlflow.pyfunc.log_model(
        name=name,
        python_model=str(_PACKAGE / "serving" / f"{kind}_model.py"),
        artifacts={BUNDLE: str(folder.resolve())},
        code_paths=[str(_PACKAGE)],
        signature=signature,
        input_example=example,
        pip_requirements=[f"{package}=={version(package)}" for package in _SERVING_PACKAGES],
        metadata={"contract": contract.source, "digest": digest},
        registered_model_name=name,
    )
    registered = Registered(name, int(info.registered_model_version), str(info.model_id), digest)
    client = mlflow.MlflowClient()
    for key, value in {"contract": contract.digest, "digest": digest, **tags}.items():
        client.set_model_version_tag(name, str(registered.version), key, value)
    return registered


def _versions(name: str, store: str) -> list[int]:
    """Version numbers, ascending."""
    try:
        return sorted(int(found.version) for found in mlflow.MlflowClient().search_model_versions(f"name='{name}'"))
    except MlflowException as error:
        raise InputError(f"{store} can't be asked for model {name}: {' '.join(str(error).split())}") from error
