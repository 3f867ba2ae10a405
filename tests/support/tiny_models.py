"""A tiny emulator and validator whose answers are arithmetic that a test can repeat, and a server of either."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from synthetic import TINY

from stellar_emulator import Emulator, Validator
from stellar_emulator.networks.dense import linear_map
from stellar_emulator.networks.inference import EmulatorNetwork, ValidatorNetwork
from stellar_emulator.saved.bundle import save_emulator, save_validator
from stellar_emulator.serving.guard import Guard
from stellar_emulator.serving.hosts import Hosts
from stellar_emulator.serving.listening import bound_socket, settings
from stellar_emulator.serving.scoring_app import scoring_app

STAR = {"teff": 5777.0, "m_h": 0.1, "vsini": 2.5}
ROW = np.array([[STAR[name] for name in TINY.label_names]])


def tiny_emulator(folder: Path) -> Emulator:
    random = np.random.default_rng(0)
    kernel = random.random((len(TINY.labels), TINY.wavelength.count)) / TINY.upper[:, None]
    save_emulator(folder, EmulatorNetwork(linear_map(kernel / 3, random.random(TINY.wavelength.count))), TINY, {})
    return Emulator.load(folder)


def tiny_validator(folder: Path) -> Validator:
    random = np.random.default_rng(1)
    projection = linear_map(random.random((TINY.wavelength.count, 4)), random.random(4))
    head = linear_map(random.random((4, len(TINY.labels))), TINY.lower)
    save_validator(folder, ValidatorNetwork(projection, (head,)), TINY, {})
    return Validator.load(folder)


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        assert 400 <= self.status < 500, (self.status, self.body[:200])
        content = self.content
        assert content["error_code"] == "INVALID_PARAMETER_VALUE"
        return str(content["message"])


@dataclass(frozen=True)
class Server:
    port: int

    def ask(
        self, body: bytes | object, content_type: str | None = "application/json", method: str = "POST", path: str = ""
    ) -> Answer:
        """Send one request on a connection of its own; a body that is not bytes is written as JSON."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            sent = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers = {} if content_type is None else {"content-type": content_type}
            connection.request(method, path or "/invocations", sent, headers)
            response = connection.getresponse()
            told = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, response.read(), told)


def served(model: Emulator | Validator) -> contextlib.AbstractContextManager[Server]:
    """Serve a model over real HTTP from a thread of this process."""
    return served_app(scoring_app(model))


@contextlib.contextmanager
def served_app(app: Any) -> Iterator[Server]:
    """Serve an app over real HTTP from a thread of this process."""
    with bound_socket("127.0.0.1", 0) as listener:
        listener.listen()
        server = uvicorn.Server(settings(Guard(app, Hosts.of("127.0.0.1"))))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield Server(listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()
