"""The verb ``serve``: one emulator or validator over HTTP, by MLflow's protocol, with strict requests."""

import argparse
import socket
from pathlib import Path

import uvicorn

from stellar_emulator.bundle import load_model
from stellar_emulator.contract import read_contract
from stellar_emulator.errors import SetupError
from stellar_emulator.registry import resolve
from stellar_emulator.serving.app import ROUTE, scoring_app


def run(options: argparse.Namespace) -> None:
    """Serve until the process is interrupted or terminated; requests in flight are answered first."""
    with bound_socket(options.host, options.port) as listener:
        model = load_model(find_model(options.model, options.contract))
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


def find_model(which: str, contract: Path) -> Path:
    """Find a model's folder, as `resolve`; the contract is read only where ``which`` doesn't name the model itself."""
    complete = which.startswith("models:/") or Path(which).is_dir()
    return resolve("" if complete else read_contract(contract).models.emulator, which)


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
