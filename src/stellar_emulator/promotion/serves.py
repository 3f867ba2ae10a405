"""Whether a registered pair really answers: in a fresh process, and over HTTP from a real server."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np

from stellar_emulator.contract.contract import ModelNames
from stellar_emulator.contract.hull import middle
from stellar_emulator.gate.decision import Criterion
from stellar_emulator.models.emulator import Emulator
from stellar_emulator.promotion import fresh_process
from stellar_emulator.promotion.candidates import RegisteredPair

_LOG = "server.log"

_START_SECONDS = 180.0
_ANSWER_SECONDS = 60.0
_TRIES = 3
"""Of a request that gets no answer at all: a busy machine may keep the first one waiting."""
_RELATIVE, _ABSOLUTE = 1e-5, 1e-6

_ERROR_SHOWN = 300


def serving_criteria(models: ModelNames, pair: RegisteredPair) -> list[Criterion]:
    """Criteria of section "serves": example reproduced by a fresh process, a request answered, a bad one refused."""
    uris = {
        "emulator": f"models:/{models.emulator}/{pair.pair.emulator}",
        "validator": f"models:/{models.validator}/{pair.pair.validator}",
    }
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with _server(uris["emulator"], folder / _LOG) as server:
            # The server starts meanwhile.
            return [*_in_fresh_process(uris, pair, folder), *_by_server(server, pair.emulator, folder / _LOG)]


def _criterion(name: str, fault: str) -> Criterion:
    return Criterion("serves", name, None, None, not fault, note=fault)


def _in_fresh_process(uris: dict[str, str], pair: RegisteredPair, folder: Path) -> list[Criterion]:
    name = "input example reproduced by a fresh process"
    answers = folder / "answers.npz"
    arguments = [f"{kind}={uri}" for kind, uri in uris.items()]
    command = [sys.executable, "-P", fresh_process.__file__, str(answers), *arguments]
    done = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return [_criterion(name, f"it ended with {done.returncode}: {last[:_ERROR_SHOWN]}")]
    criteria = []
    with np.load(answers) as found:
        for kind, model in (("emulator", pair.emulator), ("validator", pair.judges[0])):
            own = model(found[f"{kind}_example"])
            criteria.append(_criterion(f"{name}: {kind}", _difference(found[f"{kind}_answer"], own)))
    return criteria


def _difference(found: Any, own: np.ndarray) -> str:
    """What tells two answers apart, empty if they agree."""
    found = np.asarray(found, dtype=float)
    if found.shape != own.shape:
        return f"shape {found.shape} instead of {own.shape}"
    if not np.allclose(found, own, _RELATIVE, _ABSOLUTE):
        return f"off by up to {np.abs(found - own).max():.3g}"
    return ""


def _by_server(server: "Server", emulator: Emulator, log: Path) -> list[Criterion]:
    contract = emulator.contract
    good = middle(contract)
    bad = contract.upper + (contract.upper - contract.lower)
    names = ("request answered by a server", "bad request refused by a server")
    if not server.answers():
        end = " ".join(log.read_text(errors="replace").strip().splitlines()[-1:])
        return [_criterion(name, f"the server did not start: {end[:_ERROR_SHOWN]}") for name in names]
    status, answer = _ask(server.address, contract.label_names, good)
    refused, _ = _ask(server.address, contract.label_names, bad)
    fault = f"status {status}" if status != 200 else _difference(answer["predictions"], emulator([good]))
    outside = f"{contract.label_names[0]} = {bad[0]:g}: status {refused}"
    return [_criterion(names[0], fault), _criterion(names[1], "" if 400 <= refused < 500 else outside)]


def _ask(address: str, names: Sequence[str], labels: np.ndarray) -> tuple[int, Any]:
    content = json.dumps({"dataframe_split": {"columns": list(names), "data": [list(labels)]}}).encode()
    request = urllib.request.Request(f"{address}/invocations", content, {"Content-Type": "application/json"})
    for _ in range(_TRIES):
        try:
            with _direct.open(request, timeout=_ANSWER_SECONDS) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, None
        except OSError:
            continue
    return 0, None


# A proxy that the environment names is for other machines.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Server:
    """A scoring server on this machine; it may not answer yet, or never."""

    process: "subprocess.Popen[bytes]"
    address: str

    def answers(self) -> bool:
        """Wait until the server answers; tell whether it does."""
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until and self.process.poll() is None:
            try:
                with _direct.open(f"{self.address}/ping", timeout=_ANSWER_SECONDS):
                    return True
            except OSError:
                time.sleep(0.2)
        return False


@contextmanager
def _server(uri: str, log: Path) -> Iterator[Server]:
    """Start MLflow's scoring server on a free port of this machine, and end it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command = [sys.executable, "-P", "-m", "mlflow", "models", "serve", "--model-uri", uri, *options]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, env=_environment(), stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield Server(process, f"http://127.0.0.1:{port}")
    finally:
        # Its whole group: MLflow starts the server as a child of its own.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _environment() -> dict[str, str]:
    """This process's, with its stores, without the checkout's sources; programs of this Python come first.

    Nothing writes bytecode, which would be no file of the models that several processes look at meanwhile.
    """
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    stores = {"MLFLOW_TRACKING_URI": mlflow.get_tracking_uri(), "MLFLOW_REGISTRY_URI": mlflow.get_registry_uri()}
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONDONTWRITEBYTECODE": "1"}
    return {**kept, **stores, "PATH": path, **quiet}
