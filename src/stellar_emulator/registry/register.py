"""Registers folders of models as versions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import Model, ModelSignature

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.hull import middle
from stellar_emulator.registry.carried import copied_code, package_folder, pins
from stellar_emulator.registry.read import BUNDLE, FILES_TAG, JUDGE, digest_tag
from stellar_emulator.registry.signatures import emulator_signature, validator_signature
from stellar_emulator.registry.tracking_store import connect
from stellar_emulator.saved.bundle import read_bundle
from stellar_emulator.saved.sealing import seal


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

    Its signature has one double column for each label as input, and flux of shape (n, pixels) as output.

    Raises
    ------
    InputError
        If the folder holds no intact emulator.
    """
    bundle = read_bundle(folder, "emulator")
    contract = bundle.contract
    signature = emulator_signature(contract)
    example = pd.DataFrame([middle(contract)], columns=contract.label_names)
    return _register("emulator", {BUNDLE: folder}, contract, bundle.digest, signature, example, tags)


def register_validator(folder: Path, tags: Mapping[str, str], siblings: Sequence[Path] = ()) -> Registered:
    """Register a validator's bundle; its signature has flux (n, pixels) as input and one column per label as output.

    siblings: bundles of the validators of other seeds, which also judge. Otherwise like `register_emulator`.
    """
    bundle = read_bundle(folder, "validator")
    judges = {f"{JUDGE}{number}": path for number, path in enumerate(siblings, start=2)}
    digests = {digest_tag(judge): read_bundle(path, "validator").digest for judge, path in judges.items()}
    contract = bundle.contract
    signature = validator_signature(contract)
    example = np.full((1, contract.wavelength.count), min(1.0, contract.flux.upper), dtype=np.float32)
    bundles = {BUNDLE: folder, **judges}
    return _register("validator", bundles, contract, bundle.digest, signature, example, {**digests, **tags})


class _Sealed:
    """MLflow's way of writing a Python model, after which its files are listed and signed, before they leave here."""

    digest: str

    def save_model(self, path: str, validate_serving_input: bool, **options: Any) -> None:
        """What `Model.log` asks of a flavor."""
        mlflow.pyfunc.save_model(path=path, **options)
        self.digest = seal(Path(path))


def describe(registered: Registered, text: str) -> None:
    """Write Markdown on a version's page in the registry."""
    mlflow.MlflowClient().update_model_version(registered.name, str(registered.version), text)


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
    sealing = _Sealed()
    with TemporaryDirectory() as scratch:
        info = Model.log(
            artifact_path=None,
            name=name,
            flavor=sealing,
            flavor_name="pyfunc.ModelFromCode",
            python_model=str(package_folder() / "serving" / f"{kind}_model.py"),
            artifacts={artifact: str(path.resolve()) for artifact, path in bundles.items()},
            code_paths=[str(copied_code(Path(scratch)))],
            signature=signature,
            input_example=example,
            pip_requirements=pins(),
            metadata={"contract": contract.source, "digest": digest},
            registered_model_name=name,
            validate_serving_input=False,  # it would write bytecode beside files that are listed by then
        )
    registered = Registered(name, int(info.registered_model_version), str(info.model_id), digest)
    client = mlflow.MlflowClient()
    own = {"contract": contract.digest, digest_tag(BUNDLE): digest, FILES_TAG: sealing.digest}
    for key, value in {**own, **tags}.items():
        client.set_model_version_tag(name, str(registered.version), key, value)
    return registered
