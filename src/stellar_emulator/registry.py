"""The model registry: bundles into registered versions, and registered versions back into bundles."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature

from stellar_emulator import serving
from stellar_emulator.bundle import DESCRIPTION, read_bundle
from stellar_emulator.contract import Contract
from stellar_emulator.errors import InputError
from stellar_emulator.model_cache import cached, keep
from stellar_emulator.serving.signatures import emulator_signature, validator_signature
from stellar_emulator.tracking import connect

BUNDLE = "bundle"
"""Name of the artifact, inside a registered model, that holds the bundle."""

JUDGE = "judge_"
"""Begins the names of the artifacts of a registered validator that hold its siblings of other seeds."""

REMOTE = ("http://", "https://", "databricks")
"""How addresses of stores begin whose models are downloaded, and kept then."""

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
    bundle = read_bundle(folder, "emulator")
    contract = bundle.contract
    middle = (contract.lower + contract.upper) / 2
    signature = emulator_signature(contract)
    example = pd.DataFrame([middle], columns=contract.label_names)
    return _register("emulator", {BUNDLE: folder}, contract, bundle.digest, signature, example, tags)


def register_validator(folder: Path, tags: Mapping[str, str], siblings: Sequence[Path] = ()) -> Registered:
    """Register a validator's bundle; its signature takes flux (n, pixels) and gives one column for each label.

    siblings: bundles of the validators of other seeds, which judge beside it. Otherwise as `register_emulator`.
    """
    bundle = read_bundle(folder, "validator")
    judges = {f"{JUDGE}{number}": path for number, path in enumerate(siblings, start=2)}
    digests = {_digest_tag(judge): read_bundle(path, "validator").digest for judge, path in judges.items()}
    contract = bundle.contract
    signature = validator_signature(contract)
    example = np.full((1, contract.wavelength.count), min(1.0, contract.flux.upper), dtype=np.float32)
    bundles = {BUNDLE: folder, **judges}
    return _register("validator", bundles, contract, bundle.digest, signature, example, {**digests, **tags})


def describe(registered: Registered, text: str) -> None:
    """Put Markdown on a version's page in the registry."""
    mlflow.MlflowClient().update_model_version(registered.name, str(registered.version), text)


def resolve(name: str, which: str) -> Path:
    """Find the bundle of a model: a local folder, of a remote registry a downloaded copy.

    Parameters
    ----------
    name
        Of the registered model.
    which
        ``latest``, a version number, an alias, a whole address such as ``models:/NAME/3`` or ``models:/NAME@champion``,
        an address of a run's model such as ``runs:/RUN/NAME``, or a bundle's own folder.

    Raises
    ------
    InputError
        If the registry has no such model, version or alias (the message lists what it has), or the version holds
        another model than was registered.
    """
    if which != "latest" and not which.isdecimal() and Path(which).is_dir():
        return Path(which)
    if which.startswith("runs:/"):
        connect()
        return _downloaded(which)[BUNDLE]
    return _artifacts(name, which)[BUNDLE]


def resolve_judges(name: str, which: str) -> tuple[Path, ...]:
    """Find the bundles of a registered validator and of its siblings of other seeds, itself first.

    Parameters and errors are those of `resolve`, but a local folder is no registered model.
    """
    artifacts = _artifacts(name, which)
    siblings = sorted((artifact for artifact in artifacts if artifact.startswith(JUDGE)), key=lambda a: (len(a), a))
    return tuple(artifacts[artifact] for artifact in [BUNDLE, *siblings])


def _artifacts(name: str, which: str) -> dict[str, Path]:
    """Folders inside a registered model, by artifact; of a remote registry, copies that were downloaded once."""
    if address := re.fullmatch(r"models:/([^@/]+)[@/](.+)", which):
        name, which = address.groups()
    store = connect()
    versions = _versions(name, store)
    if not versions:
        raise InputError(f"no model {name} is registered in {store}: train one, or set MLFLOW_TRACKING_URI")
    version = _version(name, str(versions[-1]) if which == "latest" else which, versions, store)
    remote = store.startswith(REMOTE)
    if remote and (copies := _copies(version)):
        return copies
    found = _downloaded(f"models:/{name}/{version.version}")
    _require_registered(version, found)
    if remote:
        return {artifact: keep(version.tags[_digest_tag(artifact)], folder) for artifact, folder in found.items()}
    return found


def _version(name: str, which: str, versions: Sequence[int], store: str) -> ModelVersion:
    """One version, by its number or alias."""
    client = mlflow.MlflowClient()
    numbered = which.isdecimal()
    try:
        return client.get_model_version(name, which) if numbered else client.get_model_version_by_alias(name, which)
    except MlflowException as error:
        aliases = client.get_registered_model(name).aliases
        has = ", ".join(map(str, [*versions, *sorted(aliases)]))
        raise InputError(f"model {name} has no version or alias {which!r} in {store}: it has {has}") from error


def _downloaded(uri: str) -> dict[str, Path]:
    """Folders of a model that MLflow knows by its address, by artifact."""
    try:
        model = Path(mlflow.artifacts.download_artifacts(uri))
        artifacts = Model.load(str(model)).flavors["python_function"].get("artifacts", {})
    except (MlflowException, OSError, KeyError) as error:
        raise InputError(f"{uri} can't be fetched: {' '.join(str(error).split())[:200]}") from error
    if BUNDLE not in artifacts:
        raise InputError(f"{uri} was not registered by stellar-emulator: it holds no bundle")
    return {artifact: model / str(content["path"]) for artifact, content in artifacts.items()}


def _copies(version: ModelVersion) -> dict[str, Path]:
    """Copies of all bundles of a version that this machine keeps; none if one of them is missing."""
    digests = {
        BUNDLE if tag == _digest_tag(BUNDLE) else tag.removeprefix(_digest_tag("")): digest
        for tag, digest in version.tags.items()
        if tag == _digest_tag(BUNDLE) or tag.startswith(_digest_tag(""))
    }
    copies = {artifact: copy for artifact, digest in digests.items() if (copy := cached(digest))}
    return copies if len(copies) == len(digests) and BUNDLE in copies else {}


def _require_registered(version: ModelVersion, artifacts: Mapping[str, Path]) -> None:
    """Refuse bundles that are not those whose digests were noted at registration; loading checks them by the byte."""
    for artifact, folder in artifacts.items():
        tag = _digest_tag(artifact)
        try:
            digest = str(json.loads((folder / DESCRIPTION).read_bytes())["digest"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # Loading tells what is wrong with it.
        if version.tags.get(tag) != digest:
            noted = version.tags.get(tag, "nothing")
            raise InputError(
                f"{version.name} version {version.version} holds another model than was registered: the digest in "
                f"{folder / DESCRIPTION} is {digest[:12]}..., its tag {tag} says {noted[:12]}...: restore its files or "
                "register it again"
            )


def _digest_tag(artifact: str) -> str:
    """Tag of a version that holds the digest of one of its bundles."""
    return "digest" if artifact == BUNDLE else f"digest_{artifact}"


def _register(
    kind: Literal["emulator", "validator"],
    bundles: Mapping[str, Path],
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
        artifacts={artifact: str(path.resolve()) for artifact, path in bundles.items()},
        code_paths=[str(_PACKAGE)],
        signature=signature,
        input_example=example,
        pip_requirements=[f"{package}=={version(package)}" for package in _SERVING_PACKAGES],
        metadata={"contract": contract.source, "digest": digest},
        registered_model_name=name,
    )
    registered = Registered(name, int(info.registered_model_version), str(info.model_id), digest)
    client = mlflow.MlflowClient()
    for key, value in {"contract": contract.digest, _digest_tag(BUNDLE): digest, **tags}.items():
        client.set_model_version_tag(name, str(registered.version), key, value)
    return registered


def _versions(name: str, store: str) -> list[int]:
    """Version numbers, ascending."""
    try:
        return sorted(int(found.version) for found in mlflow.MlflowClient().search_model_versions(f"name='{name}'"))
    except MlflowException as error:
        raise InputError(f"{store} can't be asked for model {name}: {' '.join(str(error).split())}") from error
