"""Registered models as they are served for real: by ``serve`` and by MLflow's own server, Spark and Dockerfile."""

import base64
import contextlib
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from fresh_store import fresh_store
from synthetic import ROOT, TINY
from tiny_models import ROW, STAR, Server, tiny_emulator, tiny_validator

from rounding import assert_within, both, chain_error
from stellar_emulator import Emulator
from stellar_emulator.cli import main
from stellar_emulator.networks.inference import EmulatorNetwork
from stellar_emulator.registry import register
from stellar_emulator.saved.bundle import read_network

COMMAND = "import sys; from stellar_emulator.cli import main; sys.exit(main(sys.argv[1:]))"
CONTRACT = ROOT / "tests" / "data" / "tiny_contract.yaml"
RECORDS = {"dataframe_records": [STAR]}


def address(folder: Path) -> str:
    """The whole address: MLflow takes two stores for one if both are called sqlite:///mlflow.db."""
    return f"sqlite:///{folder / 'mlflow.db'}"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder, the process's own, with a registry that holds one version of each model, the emulator a champion."""
    folder = tmp_path_factory.mktemp("store")
    with contextlib.chdir(folder):
        mlflow.set_tracking_uri(fresh_store(folder))
        tiny_emulator(folder / "emulator")
        tiny_validator(folder / "validator")
        register.register_emulator(folder / "emulator", {})
        register.register_validator(folder / "validator", {})
        mlflow.MlflowClient().set_registered_model_alias(TINY.models.emulator, "champion", "1")
        yield folder
    mlflow.set_tracking_uri("")


@pytest.fixture(scope="module")
def flux(store: Path) -> np.ndarray:
    return Emulator.load(store / "emulator")(ROW)


def environment(folder: Path) -> dict[str, str]:
    """Variables of a process that finds these sources and a folder's store."""
    own = {"PYTHONPATH": str(ROOT / "src"), "MLFLOW_TRACKING_URI": address(folder)}
    return {**os.environ, **own, "MLFLOW_DISABLE_TELEMETRY": "true"}


@contextlib.contextmanager
def process(folder: Path, *command: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A process and all that it starts, ended at the end."""
    started = subprocess.Popen(
        command, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGTERM)
        started.communicate(timeout=30)


@contextlib.contextmanager
def served(folder: Path, *arguments: str | Path) -> Iterator[tuple[Server, subprocess.Popen[str], str]]:
    with process(folder, sys.executable, "-c", COMMAND, "serve", *arguments, "--port", "0") as started:
        assert started.stdout
        line = started.stdout.readline()
        port = re.search(r"http://127\.0\.0\.1:(\d+)/invocations", line)
        assert port, line
        yield Server(int(port[1])), started, line


def test_the_champion_answers_until_it_is_interrupted(store: Path, flux: np.ndarray) -> None:
    with served(store, "--contract", CONTRACT) as (server, started, line):
        assert f"serving emulator {Emulator.load(store / 'emulator').digest[:12]} of contract tiny" in line
        answer = server.ask(RECORDS)
        assert answer.status == 200
        np.testing.assert_array_equal(np.array(answer.content["predictions"], dtype=np.float32), flux)
        assert server.ask({"instances": [STAR | {"teff": "5777"}]}).status == 400
        assert server.ask(b"", None, "GET", "/ping").status == 200
        os.kill(started.pid, signal.SIGINT)
        assert started.wait(timeout=30) == 0


def test_a_validator_and_a_folder_are_served_without_a_contract(store: Path, flux: np.ndarray) -> None:
    with served(store, f"models:/{TINY.models.validator}/1") as (server, _, line):
        assert "serving validator" in line
        answer = server.ask({"inputs": [[1.0] * TINY.wavelength.count]})
        assert list(answer.content["predictions"][0]) == TINY.label_names
        assert "700 pixels" in server.ask({"inputs": [[1.0] * 700]}).message
    with served(store, store / "emulator") as (server, _, line):
        assert server.ask(RECORDS).status == 200


def refusal(capfd: pytest.CaptureFixture[str], code: int, *arguments: str | Path) -> str:
    assert main(["serve", *map(str, arguments)]) == code
    (line,) = (line for line in capfd.readouterr().err.splitlines() if line.startswith("stellar-emulator: error: "))
    return line


def test_what_can_not_be_served_is_said_in_one_line(
    store: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert f"port {port} of host 127.0.0.1 can't be served on" in refusal(capfd, 3, "--port", port)
    assert "choose another by --port or --host" in refusal(capfd, 3, "--host", "203.0.113.7", "--port", "0")
    here = ("--contract", CONTRACT, "--port", "0")
    unknown = refusal(capfd, 2, "best", *here)
    assert "has no version or alias 'best'" in unknown
    assert "it has 1, champion; registered there: " in unknown
    assert "no model nebula is registered" in refusal(capfd, 2, "models:/nebula@champion", *here)
    assert "is no model's folder" in refusal(capfd, 2, tmp_path, *here)
    shutil.copytree(store / "emulator", tmp_path / "changed")
    graph = tmp_path / "changed" / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"\0")
    assert f"{graph} was changed after it was saved" in refusal(capfd, 2, tmp_path / "changed", *here)


@pytest.fixture(scope="module")
def stock(store: Path) -> Iterator[Server]:
    """MLflow's own server of the champion."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    mlflow_command = Path(sys.executable).with_name("mlflow")
    uri = f"models:/{TINY.models.emulator}@champion"
    command = [str(mlflow_command), "models", "serve", "-m", uri, "--env-manager", "local", "-p", str(port)]
    with process(store, *command) as started:
        server = Server(port)
        for _ in range(600):
            with contextlib.suppress(OSError):
                if server.ask(b"", None, "GET", "/ping").status == 200:
                    break
            assert started.poll() is None
            time.sleep(0.1)
        yield server


def test_stock_serving_gives_the_same_answers(stock: Server, flux: np.ndarray) -> None:
    predictions = stock.ask(RECORDS).content["predictions"]
    np.testing.assert_array_equal(np.array(predictions, dtype=np.float32), flux)
    params = {"encoding": "base64", "wavelength_min": 5100.0}
    predictions = stock.ask({**RECORDS, "params": params}).content["predictions"]
    cut = flux[:, TINY.wavelength.pixels >= 5100]
    assert (predictions["dtype"], predictions["shape"]) == ("<f4", list(cut.shape))
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(predictions["data"]), "<f4")[None], cut)


@pytest.mark.parametrize(
    ("star", "params", "said"),
    [
        ({"teff": float("nan")}, {}, "teff = nan K in row 0 is not finite"),
        ({"teff": float("inf")}, {}, "teff = inf K in row 0 is not finite"),
        ({"teff": 9000.0}, {}, "teff = 9000 K in row 0 lies outside 4000 to 8000 K"),
        ({}, {"encoding": "xml"}, "param encoding = 'xml' is unknown"),
        ({}, {"wavelength_min": 1.0}, "param wavelength_min = 1 Angstrom lies outside"),
    ],
)
def test_stock_serving_refuses_what_reaches_the_model(
    star: dict[str, Any], params: dict[str, Any], said: str, stock: Server
) -> None:
    answer = stock.ask({"dataframe_records": [STAR | star], "params": params})
    assert answer.status == 400
    assert said in answer.content["message"]


def test_stock_serving_refuses_missing_labels_and_empty_tables(stock: Server) -> None:
    answer = stock.ask({"dataframe_records": [{"teff": 5777.0, "m_h": 0.0}]})
    assert answer.status == 400
    assert "vsini" in answer.content["message"]
    empty = stock.ask({"dataframe_split": {"columns": TINY.label_names, "data": []}})
    assert (empty.status, "no rows" in empty.content["message"]) == (400, True)


def test_stock_serving_lets_through_what_the_documentation_says(stock: Server) -> None:
    """Should one of these fail, MLflow has become stricter: rewrite the section in docs/serving.md."""
    for request in (
        {"dataframe_records": [STAR | {"logg": 4.4}]},
        {"dataframe_records": [STAR | {"teff": "5777"}]},
        {"dataframe_records": [STAR], "params": {"encodin": "base64"}},
    ):
        assert stock.ask(request).status == 200


def test_spark_generates_the_same_spectra(store: Path, flux: np.ndarray) -> None:
    if importlib.util.find_spec("pyspark") is None:
        pytest.skip("pyspark is not installed: pip install 'stellar-emulator[spark]'")
    if shutil.which("java") is None:
        pytest.skip("there is no Java, which Spark runs on: install a JRE such as Debian's default-jre-headless")
    code = (
        "import json, mlflow, sys\n"
        "from pyspark.sql import SparkSession\n"
        "spark = SparkSession.builder.master('local[1]').config('spark.ui.enabled', 'false')"
        ".config('spark.driver.bindAddress', '127.0.0.1').config('spark.driver.host', '127.0.0.1').getOrCreate()\n"
        "uri, stars = sys.argv[1], json.loads(sys.argv[2])\n"
        "generate = mlflow.pyfunc.spark_udf(spark, uri, result_type='array<float>', env_manager='local')\n"
        "cut = mlflow.pyfunc.spark_udf(spark, uri, result_type='array<float>', params={'wavelength_min': 5100.0})\n"
        "table = spark.createDataFrame(stars).withColumn('flux', generate()).withColumn('cut', cut())\n"
        "rows = [[row.flux, row.cut] for row in table.collect()]\n"
        "try:\n"
        "    spark.createDataFrame([{**stars[0], 'teff': 9000.0}]).withColumn('flux', generate()).collect()\n"
        "    said = ''\n"
        "except Exception as error:\n"
        "    said = str(error)\n"
        "print(json.dumps([rows, said]))\n"
    )
    uri = f"models:/{TINY.models.emulator}@champion"
    done = subprocess.run(
        [sys.executable, "-c", code, uri, json.dumps([STAR, STAR | {"teff": 4000.0}])],
        cwd=store,
        env={**environment(store), "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    rows, said = json.loads(done.stdout.splitlines()[-1])
    cold = ROW.copy()
    cold[0, TINY.label_names.index("teff")] = 4000.0
    expected = np.vstack([flux, Emulator.load(store / "emulator")(cold)])
    # Spark may give both stars at once.
    network = read_network(store / "emulator")
    assert isinstance(network, EmulatorNetwork)
    tolerance = both(chain_error(network.chain, np.vstack([ROW, cold])))
    assert_within(np.array([row[0] for row in rows]), expected, tolerance)
    inside = TINY.wavelength.pixels >= 5100
    assert_within(np.array([row[1] for row in rows]), expected[:, inside], tolerance[:, inside])
    assert "teff = 9000 K in row 0 lies outside 4000 to 8000 K" in said


def test_the_dockerfile_holds_the_model_and_pins_what_it_needs(store: Path, tmp_path: Path) -> None:
    """No image is built here: these are the inputs that MLflow builds one from."""
    mlflow_command = Path(sys.executable).with_name("mlflow")
    uri = f"models:/{TINY.models.emulator}@champion"
    subprocess.run(
        [mlflow_command, "models", "generate-dockerfile", "-m", uri, "-d", tmp_path, "--env-manager", "local"],
        cwd=store,
        env=environment(store),
        capture_output=True,
        check=True,
    )
    dockerfile = (tmp_path / "Dockerfile").read_text()
    python = ".".join(map(str, sys.version_info[:3]))
    assert f"FROM python:{python}-slim\n" in dockerfile
    assert str(store) not in dockerfile
    copied = re.search(r"^COPY (\S+) /opt/ml/model$", dockerfile, re.MULTILINE)
    assert copied
    model = tmp_path / copied[1]
    assert Emulator.load(model / "artifacts" / "emulator").digest == Emulator.load(store / "emulator").digest
    pins = (model / "requirements.txt").read_text().split()
    assert f"onnxruntime=={version('onnxruntime')}" in pins
    assert all("==" in pin for pin in pins)
    assert (model / "code" / "stellar_emulator" / "serving" / "emulator_model.py").is_file()
