"""Reads registered versions back as folders of models; from a remote registry, as copies that this machine keeps."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import yaml

from stellar_emulator.errors import InputError, SetupError
from stellar_emulator.registry.model_cache import cached, keep
from stellar_emulator.registry.tracking_store import (
    connect,
    connect_to_read,
    reachable,
    store_address,
    store_exists,
    store_failed,
)
from stellar_emulator.saved.bundle import DESCRIPTION
from stellar_emulator.saved.sealing import REGISTERED, require_sealed

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

BUNDLE = "bundle"
"""Name of the artifact, inside a registered model, that holds the bundle."""

JUDGE = "judge_"
"""Prefix of the names of artifacts of a registered validator that hold its siblings of other seeds."""

_ARTIFACT = re.compile(rf"{BUNDLE}|{JUDGE}[0-9]{{1,3}}")

FILES_TAG = "digest_files"
"""Tag of a version: SHA-256 of the list of all its files, see `saved.sealing`."""

VALIDATOR_VERSION = "validator_version"
"""Tag of an emulator's version, which names the validator of its pair."""

MODELS, RUNS = "models:/", "runs:/"
"""Prefixes of MLflow's addresses, which need no further name."""

REMOTE = ("http://", "https://", "databricks")
"""Prefixes of addresses of stores from which models are downloaded and kept."""

_QUOTABLE = re.compile(r"[^'/]+")

_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, RecursionError)
"""What comes of a description that is none."""

_ABSENT = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
"""MLflow's error codes for a model, and an alias, that a store does not have."""


def resolve(name: str, which: str) -> Path:
    """Find the bundle of a model: a local folder, or a downloaded copy from a remote registry.

    Parameters
    ----------
    name
        Name of the registered model.
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
    if which.startswith(RUNS):
        connect_to_read(which.rpartition("/")[2])
        model = _downloaded(which)
        require_sealed(model)
        return _folders(model)[BUNDLE]
    return bundle_of(find_version(name, which))


def resolve_judges(name: str, which: str, afresh: bool = False) -> tuple[Path, ...]:
    """Find the bundles of a registered model and, of a validator, of its siblings of other seeds; itself first.

    Parameters and errors are those of `resolve`, but a local folder is refused. ``afresh``: every file of
    the model is looked at where the registry has it, whatever copies this machine keeps; a version of which no tag
    says what files it holds is refused then.
    """
    version = find_version(name, which)
    if afresh and not version.tags.get(FILES_TAG):
        raise InputError(
            f"{name} version {version.version} has no tag {FILES_TAG}, so that nothing says which files it holds: "
            "register it again"
        )
    artifacts = _artifacts(version, afresh)
    siblings = sorted((artifact for artifact in artifacts if artifact.startswith(JUDGE)), key=lambda a: (len(a), a))
    return tuple(artifacts[artifact] for artifact in [BUNDLE, *siblings])


def find_version(name: str, which: str) -> "ModelVersion":
    """Find one version of a registered model, like `resolve`, but without runs' models and folders."""
    if address := re.fullmatch(r"models:/([^@/]+)[@/](.+)", which):
        name, which = address.groups()
    elif which.startswith(MODELS):
        raise InputError(f"{which} is no address of a registered model: give models:/NAME/3 or models:/NAME@champion")
    store = connect_to_read(name)
    versions = _versions(name, store)
    if not versions:
        raise InputError(f"no model {name} is registered in {store}: train one, or set MLFLOW_TRACKING_URI")
    return _version(name, str(versions[-1]) if which == "latest" else which, versions, store)


def version_at(address: str) -> "ModelVersion | None":
    """The registered version at an address such as ``models:/NAME/3``, or the one registered from ``runs:/RUN/NAME``.

    It is None for a run's model that is not registered. Raises `InputError` as `resolve`.
    """
    import mlflow

    if not address.startswith(RUNS):
        return find_version("", address)
    run, _, name = address.removeprefix(RUNS).partition("/")
    connect_to_read(name)
    with reachable():
        found = mlflow.MlflowClient().search_model_versions(f"name='{name}'") if _QUOTABLE.fullmatch(name) else []
    own = [version for version in found if version.run_id == run]
    return max(own, key=lambda version: int(version.version), default=None)


def aliased(name: str, alias: str) -> "ModelVersion | None":
    """The version of a registered model that has an alias; None if there is no such model or alias.

    Raises `InputError` if there is no store, `SetupError` if it doesn't answer.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    connect_to_read(name)
    try:
        with reachable():
            return mlflow.MlflowClient().get_model_version_by_alias(name, alias)
    except SetupError as error:
        if isinstance(error.__cause__, MlflowException) and error.__cause__.error_code in _ABSENT:
            return None
        raise


def registered_names() -> list[str]:
    """Names of all registered models that have versions; none if there is no store yet.

    Raises `SetupError` if the store doesn't answer.
    """
    import mlflow

    if not store_exists(store_address()):
        return []
    connect()
    with reachable():
        return sorted({str(version.name) for version in mlflow.MlflowClient().search_model_versions()})


def bundle_of(version: "ModelVersion") -> Path:
    """Folder of a version's model; from a remote registry, a copy that is downloaded once. Raises as `resolve`."""
    return _artifacts(version)[BUNDLE]


def fetch_whole(address: str, folder: Path) -> Path:
    """Copy a registered model as a whole, code and description included, and return where it lies, below ``folder``.

    Every file is as it was registered, and signed where a public key is named: MLflow, which verifies nothing before it
    runs a model's code, can be given this folder. Raises as `resolve`.
    """
    version = find_version("", address)
    folder.mkdir(parents=True, exist_ok=True)
    return _sealed(version, folder)[0]


def _artifacts(version: "ModelVersion", afresh: bool = False) -> dict[str, Path]:
    """Folders inside a registered model, by artifact; of a remote registry, copies that were downloaded once."""
    if not store_address().startswith(REMOTE):
        return _sealed(version, None)[1]
    if not afresh and (copies := _copies(version)):
        return copies
    with TemporaryDirectory() as scratch:
        _, found = _sealed(version, Path(scratch))
        return {artifact: keep(version.tags[digest_tag(artifact)], folder) for artifact, folder in found.items()}


def _sealed(version: "ModelVersion", folder: Path | None) -> tuple[Path, dict[str, Path]]:
    """A version's whole model, as it was registered, and the folders in it; a copy below ``folder`` if one is given."""
    model = _downloaded(f"models:/{version.name}/{version.version}", folder)
    found = _folders(model)
    _require_registered(version, found)
    require_sealed(model, version.tags.get(FILES_TAG))
    return model, found


def _version(name: str, which: str, versions: Sequence[int], store: str) -> "ModelVersion":
    """One version, by its number or alias."""
    import mlflow
    from mlflow.exceptions import MlflowException

    client = mlflow.MlflowClient()
    numbered = which.isdecimal()
    try:
        return client.get_model_version(name, which) if numbered else client.get_model_version_by_alias(name, which)
    except MlflowException as error:
        if store_failed(error):
            raise
        aliases = client.get_registered_model(name).aliases
        has = ", ".join(map(str, [*versions, *sorted(aliases)]))
        raise InputError(f"model {name} has no version or alias {which!r} in {store}: it has {has}") from error


def _downloaded(uri: str, folder: Path | None = None) -> Path:
    """Folder of a model that MLflow knows by its address; a copy below ``folder`` if one is given."""
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        model = Path(mlflow.artifacts.download_artifacts(uri, dst_path=None if folder is None else str(folder)))
    except (MlflowException, OSError) as error:
        if store_failed(error):
            raise
        raise InputError(f"{uri} can't be fetched: {' '.join(str(error).split())[:200]}") from error
    if not (model / REGISTERED).is_file():
        raise InputError(f"{uri} can't be fetched: {model / REGISTERED} is missing")
    return model


def _folders(model: Path) -> dict[str, Path]:
    """Folders inside a registered model, by artifact. Raises `InputError` if its description states no such."""
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model

    try:
        artifacts = Model.load(str(model)).flavors["python_function"].get("artifacts", {})
        folders = {str(name): _inside(model, str(name), content) for name, content in artifacts.items()}
    except (MlflowException, yaml.YAMLError, OSError, *_UNREADABLE) as error:
        raise InputError(f"{model / REGISTERED} is damaged: register the model again") from error
    if BUNDLE not in folders:
        raise InputError(f"{model} was not registered by stellar-emulator: it holds no bundle")
    return folders


def _inside(model: Path, artifact: str, content: Mapping[str, object]) -> Path:
    """Folder of an artifact, as MLmodel states it. Raises `InputError` if it lies outside the model."""
    stated = str(content.get("path", ""))
    if not _ARTIFACT.fullmatch(artifact) or not (model / stated).resolve().is_relative_to(model.resolve()):
        raise InputError(
            f"{model} states {stated[:80]!r} as its artifact {artifact[:40]!r}: it was altered, do not use it"
        )
    return model / stated


def _known_artifacts(tags: Mapping[str, str]) -> list[str]:
    """Artifacts whose digests are in a version's tags; all other tags belong to somebody else."""
    judges = [tag.removeprefix(digest_tag("")) for tag in tags if tag.startswith(digest_tag(JUDGE))]
    return [
        artifact for artifact in [BUNDLE, *judges] if digest_tag(artifact) in tags and _ARTIFACT.fullmatch(artifact)
    ]


def _copies(version: "ModelVersion") -> dict[str, Path]:
    """Copies of all bundles of a version that this machine keeps; none if one of them is missing."""
    tags = {artifact: digest_tag(artifact) for artifact in _known_artifacts(version.tags)}
    digests = {artifact: version.tags[tag] for artifact, tag in tags.items()}
    copies = {artifact: copy for artifact, digest in digests.items() if (copy := cached(digest))}
    return copies if len(copies) == len(digests) and BUNDLE in copies else {}


def _require_registered(version: "ModelVersion", artifacts: Mapping[str, Path]) -> None:
    """Refuse bundles whose digests are not those recorded at registration; loading checks their bytes."""
    for artifact, folder in artifacts.items():
        tag = digest_tag(artifact)
        try:
            digest = str(json.loads((folder / DESCRIPTION).read_bytes())["digest"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # Loading it reports the fault.
        if version.tags.get(tag) != digest:
            noted = version.tags.get(tag, "nothing")
            raise InputError(
                f"{version.name} version {version.version} holds another model than was registered: the digest in "
                f"{folder / DESCRIPTION} is {digest[:12]}..., its tag {tag} says {noted[:12]}...: restore its files or "
                "register it again"
            )


def digest_tag(artifact: str) -> str:
    """Tag of a version that holds the digest of one of its bundles."""
    return "digest" if artifact == BUNDLE else f"digest_{artifact}"


def _versions(name: str, store: str) -> list[int]:
    """Version numbers, ascending."""
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        return sorted(int(found.version) for found in mlflow.MlflowClient().search_model_versions(f"name='{name}'"))
    except MlflowException as error:
        if store_failed(error):
            raise
        raise InputError(f"{store} can't be asked for model {name}: {' '.join(str(error).split())}") from error
