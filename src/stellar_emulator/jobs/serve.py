"""The verb ``serve``: one emulator or validator over HTTP, by MLflow's protocol, with strict requests."""

import argparse
import socket

import uvicorn

from stellar_emulator.bundle import read_bundle
from stellar_emulator.emulator import Emulator
from stellar_emulator.errors import SetupError
from stellar_emulator.jobs.model import chosen_folder
from stellar_emulator.serving.app import ROUTE, scoring_app
from stellar_emulator.validator import Validator


def run(options: argparse.Namespace) -> None:
    """Serve until the process is interrupted or terminated; requests in flight are answered first."""
    with bound_socket(options.host, options.port) as listener:
        folder = chosen_folder(options.model, options.contract)
        model = Emulator.load(folder) if read_bundle(folder).kind == "emulator" else Validator.load(folder)
        server = uvicorn.Server(uvicorn.Config(scoring_app(model), log_level="warning", server_header=False))
        host, port = listener.getsockname()[:2]
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}{ROUTE}"
        kind = type(model).__name__.lower()
        listener.listen()
        print(f"serving {kind} {model.digest[:12]} of contract {model.contract.name} at {address}")
        print("Ctrl-C ends it", flush=True)
        try:
            server.run(sockets=[listener])
        except KeyboardInterrupt:
            print("ended")


def bound_socket(host: str, port: int) -> socket.socket:
    """Take a port before anything slow is done; no client can connect before it listens.

    Raises
    ------
    SetupError
        If the port is taken, or the host is none of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise SetupError(
            f"port {port} of host {host} can't be served on ({error.strerror}): choose another by --port or --host"
        ) from error
    return listener
