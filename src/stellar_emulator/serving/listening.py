"""What the verbs that answer over HTTP share: their port, and their end."""

import contextlib
import socket
from collections.abc import Callable
from typing import Any

import uvicorn

from stellar_emulator.errors import SetupError


def bound_socket(host: str, port: int) -> socket.socket:
    """Take a port before anything slow is done; no client can connect before it listens.

    Raises
    ------
    SetupError
        If the port is taken, or the host is none of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with contextlib.ExitStack() as unless_bound:
            listener = unless_bound.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            unless_bound.pop_all()
    except OSError as error:
        raise SetupError(
            f"port {port} of host {host} can't be served on ({error.strerror}): choose another by --port or --host"
        ) from error
    return listener


def address_of(listener: socket.socket) -> str:
    """Address that a browser would ask, without a path."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def answer(listener: socket.socket, app: Callable[..., Any], said: str) -> None:
    """Print what is ``said`` and let an ASGI app answer until the process is interrupted or terminated."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", server_header=False))
    listener.listen()
    print(said)
    print("Ctrl-C ends it", flush=True)
    # Where the shell has interrupts ignored, as for commands in the background, the server ends without raising any.
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    print("ended")
