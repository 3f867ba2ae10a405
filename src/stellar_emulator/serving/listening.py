"""What the verbs that answer over HTTP share: their port, and their end."""

import contextlib
import socket
import sys
from collections.abc import Iterable

import uvicorn

from stellar_emulator.errors import SetupError
from stellar_emulator.serving.connections import TimedProtocol
from stellar_emulator.serving.guard import Guard
from stellar_emulator.serving.hosts import Hosts
from stellar_emulator.serving.refusals import App

END_SECONDS = 5
"""After which a server that shall end waits for nobody any more."""

SWITCH_SECONDS = 0.001
"""For which a thread keeps the interpreter where others wait for it."""


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


def answer(listener: socket.socket, app: App, said: str, further: Iterable[str] = ()) -> None:
    """Print what is ``said`` and let an ASGI app answer until the process is interrupted or terminated.

    further: names by which the server may be asked, beside those of this machine.
    """
    server = uvicorn.Server(settings(Guard(app, Hosts.of(listener.getsockname()[0], further))))
    listener.listen()
    print(said)
    print("Ctrl-C ends it", flush=True)
    # A request's small pieces of work come between a large one's.
    sys.setswitchinterval(SWITCH_SECONDS)
    # Where the shell has interrupts ignored, as for commands in the background, the server ends without raising any.
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    print("ended")


def settings(app: App) -> uvicorn.Config:
    """How an app is served: no websockets, slow clients ended, no word on what others send wrong."""
    return uvicorn.Config(
        app,
        http=TimedProtocol,
        ws="none",
        lifespan="off",
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=END_SECONDS,
    )
