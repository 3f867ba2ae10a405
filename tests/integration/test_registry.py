"""Real MLflow on a fresh SQLite store: what is registered loads in a fresh process and answers right."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from fresh_store import fresh_store
from mlflow.exceptions import MlflowException
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from rounding import assert_within, both, chain_error
from stellar_emulator import Emulator, Validator
from stellar_emulator.contract.contract import Contract, parse_contract, read_contract
from stellar_emulator.errors import InputError
from stellar_emulator.networks.dense import linear_map
from stellar_emulator.networks.inference import EmulatorNetwork, ValidatorNetwork
from stellar_emulator.registry import read, register, tracking
from stellar_emulator.saved.bundle import save_emulator, save_validator

ROOT = Path(__file__).parents[2]
GAIA = read_contract(ROOT / "data_contracts" / "gaia_rvs.yaml")
TINY = read_contract(ROOT / "tests" / "data" / "tiny_contract.yaml")
CONTRACTS = pytest.mark.parametrize("contract", [GAIA, TINY], ids=lambda contract: contract.name)


def emulator_network(contract: Contract) -> EmulatorNetwork:
    random = np.random.default_rng(0)
    kernel = random.random((len(contract.labels), contract.wavelength.count)) / contract.upper[:, None]
    return EmulatorNetwork(linear_map(kernel / len(contract.labels), random.random(contract.wavelength.count)))


def validator_network(contract: Contract) -> ValidatorNetwork:
    random = np.random.default_rng(1)
    projection = linear_map(random.random((contract.wavelength.count, 4)), random.random(4))
    return ValidatorNetwork(projection, (linear_map(random.random((4, len(contract.labels))), contract.lower),))


def middle(contract: Contract) -> np.ndarray:
    return (contract.lower + contract.upper)[None] / 2


def assert_close(flux: np.ndarray, contract: Contract) -> None:
    """Flux of the middle labels, to rounding."""
    network, labels = emulator_network(contract), middle(contract)
    assert_within(flux, network(labels), both(chain_error(network.chain, labels)))


def table(contract: Contract, **changed: float) -> pd.DataFrame:
    values = dict(zip(contract.label_names, middle(contract)[0], strict=True))
    return pd.DataFrame([values | changed])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store with one version of each model of two contracts; the folder is the process's own."""
    folder = tmp_path_factory.mktemp("store")
    patch = pytest.MonkeyPatch()
    patch.chdir(folder)
    fresh_store(folder)
    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    for contract in (GAIA, TINY):
        save_emulator(folder / "emulator", emulator_network(contract), contract, {"seed": 1})
        save_validator(folder / "validator", validator_network(contract), contract, {})
        with tracking.start_run("train"):
            register.register_emulator(folder / "emulator", {"preset": "smoke"})
            register.register_validator(folder / "validator", {})
        shutil.rmtree(folder / "emulator")
        shutil.rmtree(folder / "validator")
    yield folder
    patch.undo()
    mlflow.set_tracking_uri("")


def loaded(name: str) -> Any:
    return mlflow.pyfunc.load_model(f"models:/{name}/1")


def refusal(name: str, data: object, **options: object) -> str:
    with pytest.raises(MlflowException) as refused:
        loaded(name).predict(data, **options)
    assert refused.value.error_code == "INVALID_PARAMETER_VALUE"
    return refused.value.message


@CONTRACTS
def test_registered_emulator_in_a_fresh_process(contract: Contract, store: Path) -> None:
    """Neither this checkout nor an installed package may be needed: the model carries its own."""
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'stellar_emulator' and not any('artifacts' in entry for entry in sys.path):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import mlflow, pandas, json\n"
        f"model = mlflow.pyfunc.load_model('models:/{contract.models.emulator}/latest')\n"
        f"flux = model.predict(pandas.DataFrame({table(contract).to_dict('list')!r}))\n"
        "import stellar_emulator\n"
        "names = {name.split('.')[0] for name in sys.modules}\n"
        "heavy = sorted(names & {'tensorflow', 'jax', 'keras', 'onnx', 'safetensors'})\n"
        "print(json.dumps([flux.tolist(), str(flux.dtype), heavy, stellar_emulator.__file__]))\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=store,
        env={**environment, "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db", "MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        check=True,
    )
    flux, dtype, heavy, source = json.loads(done.stdout.splitlines()[-1])
    assert dtype == "float32"
    assert np.shape(flux) == (1, contract.wavelength.count)
    assert_close(np.array(flux), contract)
    assert heavy == []
    assert "artifacts" in Path(source).parts


@CONTRACTS
def test_registered_validator_answers_with_named_labels(contract: Contract, store: Path) -> None:
    flux = np.random.default_rng(2).random((3, contract.wavelength.count), dtype=np.float32)
    labels = loaded(contract.models.validator).predict(flux)
    assert list(labels.columns) == contract.label_names
    network = validator_network(contract)
    errors = [chain_error(network.projection + head, flux) for head in network.heads]
    assert_within(labels.to_numpy(), network(flux), both(np.concatenate(errors, axis=1)))


@CONTRACTS
def test_resolve_finds_the_same_bundle_in_every_way(contract: Contract, store: Path, tmp_path: Path) -> None:
    name = contract.models.emulator
    mlflow.MlflowClient().set_registered_model_alias(name, "champion", "1")
    ways = ("latest", "1", "champion", f"models:/{name}/1", f"models:/{name}@champion", f"models:/{name}/latest")
    folders = {read.resolve(name, which) for which in ways}
    assert len(folders) == 1
    emulator = Emulator.load(folders.pop())
    own = parse_contract(contract.source)  # further expectations of grids are no part of a model's contract
    assert emulator.contract == own
    assert_close(emulator(middle(contract)), contract)
    assert Validator.load(read.resolve(contract.models.validator, "latest")).contract == own
    assert read.resolve(name, str(tmp_path)) == tmp_path


def test_latest_is_the_highest_number(store: Path, tmp_path: Path) -> None:
    name = "many-versions"
    contract = TINY.model_copy(update={"models": TINY.models.model_copy(update={"emulator": name})})
    source = TINY.source.replace("tiny-emulator", name)
    contract = contract.model_copy(update={"source": source})
    for seed in (1, 2):
        save_emulator(tmp_path / "emulator", emulator_network(TINY), contract, {"seed": seed})
        assert register.register_emulator(tmp_path / "emulator", {}).version == seed
    assert Emulator.load(read.resolve(name, "latest")).metadata["seed"] == 2
    assert Emulator.load(read.resolve(name, "1")).metadata["seed"] == 1


@pytest.mark.parametrize(
    ("name", "which", "part"),
    [
        ("tiny-emulator", "9", "model tiny-emulator has no version or alias '9'"),
        ("tiny-emulator", "challenger", "no version or alias 'challenger'"),
        ("tiny-emulator", "models:/tiny-emulator/9", "no version or alias '9'"),
        ("nebula", "latest", "no model nebula is registered in sqlite:///mlflow.db: train one"),
        ("tiny-emulator", "models:/nebula@champion", "no model nebula is registered"),
        ("it's", "latest", "can't be asked for model it's"),
    ],
)
def test_unknown_models_and_versions_are_refused_in_one_line(store: Path, name: str, which: str, part: str) -> None:
    with pytest.raises(InputError) as refused:
        read.resolve(name, which)
    assert part in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@CONTRACTS
def test_signature_states_the_contract(contract: Contract, store: Path) -> None:
    emulator = loaded(contract.models.emulator).metadata
    assert emulator.signature.inputs.input_names() == contract.label_names
    assert {str(kind) for kind in emulator.signature.inputs.input_types()} == {"DataType.double"}
    assert emulator.signature.outputs.inputs[0].shape == (-1, contract.wavelength.count)
    assert emulator.metadata["contract"] == contract.source
    assert emulator.saved_input_example_info is not None
    validator = loaded(contract.models.validator).metadata
    assert validator.signature.inputs.inputs[0].shape == (-1, contract.wavelength.count)
    assert validator.signature.outputs.input_names() == contract.label_names


def test_registered_model_pins_what_serving_needs_and_holds_no_pickle(store: Path) -> None:
    folder = read.resolve("stellar-emulator", "1").parents[1]
    pins = (folder / "requirements.txt").read_text().split()
    needed = ["mlflow", "numpy", "onnxruntime", "pandas", "pydantic", "pyyaml"]
    assert {f"{package}=={version(package)}" for package in needed} < set(pins)
    pinned = {pin.partition("==")[0] for pin in pins}
    assert not pinned & {"tensorflow-cpu", "keras", "great-expectations", "jax"}
    for name in pinned:  # complete: an environment made of it asks for no package beyond
        for line in requires(name) or []:
            asked = Requirement(line)
            if asked.marker is None or asked.marker.evaluate({"extra": ""}):
                assert canonicalize_name(asked.name) in pinned, f"{name} asks for {line}"
    carried = [path for path in (folder / "code").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in carried) < 3e6
    assert not [path for path in carried if path.suffix in {".onnx", ".parquet"}]
    assert not [path for path in folder.rglob("*") if path.suffix in (".pkl", ".pickle", ".joblib")]
    tags = mlflow.MlflowClient().get_model_version("stellar-emulator", "1").tags
    assert tags["contract"] == GAIA.digest
    assert tags["preset"] == "smoke"
    assert tags["digest"] == Emulator.load(folder / "artifacts" / "emulator").digest


def test_bad_labels_are_refused_with_name_value_and_bounds(store: Path) -> None:
    name = "stellar-emulator"
    assert refusal(name, table(GAIA, teff=16000.0)) == (
        "teff = 16000 K in row 0 lies outside 3600 to 15000 K: choose a value inside, or train on a grid that covers it"
    )
    assert "vsini = nan km/s in row 0 is not finite: give 0 to 300 km/s" in refusal(name, table(GAIA, vsini=np.nan))
    assert "no rows" in refusal(name, table(GAIA).iloc[:0])
    misspelt = refusal(name, table(GAIA).rename(columns={"vmicro": "vmic"}))
    assert "missing inputs ['vmicro']" in misspelt
    assert "extra inputs: ['vmic']" in misspelt
    assert "teff" in refusal(name, table(GAIA).assign(teff="hot"))


def test_bad_flux_is_refused(store: Path) -> None:
    name = "tiny-label-validator"
    flux = np.ones((1, 777), dtype=np.float32)
    assert "(-1, 777)" in refusal(name, flux[:, :700])
    flux[0, 5] = np.nan
    assert "flux = nan in row 0, pixel 5 (5001 Angstrom) is not finite" in refusal(name, flux)
    flux[0, 5] = 1.3
    assert "lies outside 0 to 1.1" in refusal(name, flux)
    assert loaded(name).predict(flux, params={"noise": 0.05}).shape == (1, 3)
    assert "noise = -1 is no standard deviation" in refusal(name, flux, params={"noise": -1.0})


def test_a_validator_brings_its_siblings(store: Path, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("validator", "second", "third")]
    for seed, folder in enumerate(folders, start=1):
        save_validator(folder, validator_network(TINY), TINY, {"seed": seed})
    registered = register.register_validator(folders[0], {}, folders[1:])
    found = read.resolve_judges(registered.name, str(registered.version))
    assert [Validator.load(folder).metadata["seed"] for folder in found] == [1, 2, 3]
    assert read.resolve(registered.name, str(registered.version)) == found[0]
    (folders[2] / "fingerprint.npz").write_bytes(b"")
    with pytest.raises(InputError, match=r"third/fingerprint\.npz was changed"):
        register.register_validator(folders[0], {}, folders[1:])


def test_a_damaged_bundle_registers_nothing(store: Path, tmp_path: Path) -> None:
    save_emulator(tmp_path / "emulator", emulator_network(TINY), TINY, {})
    (tmp_path / "emulator" / "fingerprint.npz").write_bytes(b"")
    before = len(mlflow.MlflowClient().search_model_versions("name='tiny-emulator'"))
    with pytest.raises(InputError, match=r"fingerprint\.npz was changed"):
        register.register_emulator(tmp_path / "emulator", {})
    assert len(mlflow.MlflowClient().search_model_versions("name='tiny-emulator'")) == before


def test_runs_keep_settings_metrics_and_datasets(store: Path) -> None:
    with tracking.start_run("outer") as outer:
        outer.log_settings({"seed": 1, "network": {"widths": [8, 4]}} | {f"many{i}": i for i in range(150)})
        outer.log_dataset("embedded", "ab" * 32, store, "training")
        outer.log_json({"mae": 0.5}, "flux_error.json")
        with tracking.start_run("autoencoder") as inner:
            for step, loss in enumerate((1.0, 0.5, 0.25)):
                inner.log_metrics({"loss": loss}, step)
            inner.log_metrics({f"many{i}": i for i in range(1500)})
    client = mlflow.MlflowClient()
    run = client.get_run(outer.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["cfg.network.widths"] == "[8, 4]"
    assert run.data.params["cfg.many149"] == "149"
    assert run.data.tags["python"].startswith("3.")
    (dataset,) = run.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == ("embedded", "ab" * 18)
    assert {tag.key: tag.value for tag in dataset.tags} == {"mlflow.data.context": "training", "sha256": "ab" * 32}
    assert {item.path for item in client.list_artifacts(outer.run_id)} == {"flux_error.json"}
    child = client.get_run(inner.run_id)
    assert child.data.tags["mlflow.parentRunId"] == outer.run_id
    history = client.get_metric_history(inner.run_id, "loss")
    assert [(metric.step, metric.value) for metric in history] == [(0, 1.0), (1, 0.5), (2, 0.25)]
    assert child.data.metrics["many1499"] == 1499


def test_a_job_ends_what_a_killed_job_of_its_folder_left_running(store: Path, tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from stellar_emulator.registry import tracking\n"
        "with tracking.start_job('train', Path(sys.argv[1])) as job, tracking.start_run('chain') as child:\n"
        "    print(job.run_id, child.run_id, flush=True); os.kill(os.getpid(), 9)"
    )
    folders = tmp_path / "it's mine", tmp_path / "another"
    killed = [
        subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True) for folder in folders
    ]
    mine, others = (done.stdout.split() for done in killed)
    client = mlflow.MlflowClient()
    with tracking.start_job("train", folders[0]) as job:
        assert [client.get_run(run).info.status for run in mine] == ["KILLED", "KILLED"]
        assert [client.get_run(run).info.status for run in others] == ["RUNNING", "RUNNING"]
        assert client.get_run(job.run_id).info.status == "RUNNING"


def test_inside_mlflow_run_its_run_is_the_parent(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = mlflow.MlflowClient().create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", opened)
    with tracking.start_run("train") as run, tracking.start_run("validator") as child:
        assert run.run_id == opened
        assert child.run_id != opened
    assert mlflow.get_run(child.run_id).data.tags["mlflow.parentRunId"] == opened


def test_a_failure_ends_every_run_as_failed(store: Path) -> None:
    with (
        pytest.raises(ValueError, match="diverged"),
        tracking.start_run("a") as outer,
        tracking.start_run("b") as inner,
    ):
        raise ValueError("diverged")
    assert {mlflow.get_run(run.run_id).info.status for run in (outer, inner)} == {"FAILED"}


def test_store_by_default_and_by_variable(tmp_path: Path) -> None:
    code = "from stellar_emulator.registry.tracking import connect; print(connect())"
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    environment["PYTHONPATH"] = str(ROOT / "src")
    for named, expected in (({}, "sqlite:///mlflow.db"), ({"MLFLOW_TRACKING_URI": "sqlite:///a.db"}, "sqlite:///a.db")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=environment | named,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == expected
        assert done.stderr == ""
