"""Latency, throughput and steadiness of a served emulator, over real HTTP from processes of their own."""

import argparse
import base64
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from benchmarks.machine import Row, spread, table
from stellar_emulator import Emulator
from stellar_emulator.contract.contract import Contract

CLIENTS = 200
WARM_UP_SECONDS = 5.0

_SERVE = "import sys; from stellar_emulator.cli import main; sys.exit(main(sys.argv[1:]))"


def main() -> None:
    """Serve one emulator on a free port and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--emulator", type=Path, default=Path("output/train/models/emulator"), help="bundle's folder")
    parser.add_argument("--seconds", type=float, default=60.0, help="for which all clients ask")
    options = parser.parse_args()
    print(table("Serving, one worker", measured(options.emulator, options.seconds)))


def measured(folder: Path, seconds: float) -> list[Row]:
    """Latency and throughput of the emulator in ``folder``; all clients ask for some seconds."""
    emulator = Emulator.load(folder)
    random = np.random.default_rng(1)
    contract = emulator.contract
    labels = contract.lower + random.random((1000, len(contract.labels))) * (contract.upper - contract.lower)
    one, many = _request(contract, labels[:1]), _request(contract, labels, encoding="base64")
    with served("serve", folder) as (server, port):
        connection = HTTPConnection("127.0.0.1", port)
        flux = np.array(_answer(connection, one)["predictions"], dtype=np.float32)
        np.testing.assert_array_equal(flux, emulator(labels[:1]))
        decoded = _decoded(_answer(connection, many)["predictions"])
        np.testing.assert_allclose(decoded, emulator(labels), atol=1e-5)
        single = sorted(1000.0 * _seconds(connection, one) for _ in range(500))
        batch = [len(labels) / _seconds(connection, many) for _ in range(7)]
        _ask_together(port, one, WARM_UP_SECONDS)
        before = _resident(server.pid)
        done, errors = _ask_together(port, one, seconds)
        after = _resident(server.pid)
    together = f"{CLIENTS} clients for {seconds:g} s"
    return [
        ("one spectrum as JSON, median (ms)", f"{single[250]:.1f} (90 %: {single[450]:.1f})", "<= 15"),
        ("1,000 spectra in one base64 request (spectra/s)", spread(batch, 0), ">= 3,000"),
        (f"{together}: errors", f"{errors} of {done:,} requests", "0"),
        (f"{together}: requests/s", f"{done / seconds:.0f}", ""),
        (f"{together}: resident memory of the server before and after (MB)", f"{before:.0f}, {after:.0f}", "flat"),
    ]


@contextmanager
def served(verb: str, model: str | Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run ``serve`` or ``explore`` in a process of its own; gives that and its port."""
    with addressed(verb, model) as (server, address):
        port = urlsplit(address).port
        assert port
        yield server, port


@contextmanager
def addressed(verb: str, model: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run ``serve`` or ``explore`` in a process of its own; gives that and the address that it prints."""
    command = [sys.executable, "-c", _SERVE, verb, str(model), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = re.search(r"http://\S+", server.stdout.readline())
        assert address, "the server did not start"
        yield server, address[0]
    finally:
        server.terminate()
        server.wait()


def _request(contract: Contract, labels: np.ndarray, **params: str) -> bytes:
    split = {"columns": contract.label_names, "data": labels.tolist()}
    return json.dumps({"dataframe_split": split, "params": params}).encode()


def _answer(connection: HTTPConnection, body: bytes) -> dict[str, object]:
    content = json.loads(_ask(connection, body))
    assert isinstance(content, dict)
    return content


def _ask(connection: HTTPConnection, body: bytes) -> bytes:
    connection.request("POST", "/invocations", body, {"content-type": "application/json"})
    response = connection.getresponse()
    content = response.read()
    if response.status != 200:
        raise RuntimeError(f"status {response.status}: {content[:200]!r}")
    return content


def _decoded(predictions: object) -> np.ndarray:
    assert isinstance(predictions, dict)
    return np.frombuffer(base64.b64decode(predictions["data"]), predictions["dtype"]).reshape(predictions["shape"])


def _seconds(connection: HTTPConnection, body: bytes) -> float:
    start = time.perf_counter()
    _ask(connection, body)
    return time.perf_counter() - start


def _ask_together(port: int, body: bytes, seconds: float) -> tuple[int, int]:
    """Let all clients ask again and again for some time; the numbers of answers and of errors."""
    done, errors = [0] * CLIENTS, [0] * CLIENTS
    end = time.monotonic() + seconds

    def ask(client: int) -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        while time.monotonic() < end:
            try:
                _ask(connection, body)
                done[client] += 1
            except (OSError, RuntimeError):
                errors[client] += 1
                connection.close()

    clients = [threading.Thread(target=ask, args=(client,)) for client in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return sum(done), sum(errors)


def _resident(process: int) -> float:
    """Megabytes of memory that a process holds."""
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) / 1000.0


if __name__ == "__main__":
    main()
