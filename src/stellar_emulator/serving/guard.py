"""What stands before every app that answers over HTTP: whom it answers, and how it fails."""

import asyncio
from dataclasses import dataclass
from typing import Any

from stellar_emulator.serving.hosts import Hosts
from stellar_emulator.serving.refusals import App, Receive, RequestError, Scope, Send, refuse, status_of
from stellar_emulator.system.say import say

DRAIN_SECONDS = 5.0
DRAIN_BYTES = 256 * 2**20
"""Of a body that is refused unread, where its client closes after the answer: it would else see none."""

_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
"""No page of another site shows, embeds or guesses at what is answered, nor learns the address."""


@dataclass(frozen=True)
class Guard:
    """An ASGI app that lets requests to its own hosts through, and answers 500 with one line where the app breaks."""

    app: App
    hosts: Hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        try:
            if scope["http_version"] not in ("1.0", "1.1"):
                raise RequestError(400, f"HTTP/{scope['http_version']:.10} is not spoken here: ask in HTTP/1.1")
            self.hosts.check(scope["headers"])
            await self.app(scope, exchange.receive, exchange.send)
        except RequestError as error:
            await exchange.refuse(error.status, str(error))
        except ConnectionError:
            await exchange.end()
        except asyncio.CancelledError:  # the server ends
            await exchange.end()
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            say(f"{scope['method']} {scope['path']!r:.80} failed: {type(error).__name__}: {reason}")
            await exchange.refuse(status_of(error), "the server failed: see its terminal")


@dataclass
class _Exchange:
    """One request, and how far it and its answer have come."""

    scope: Scope
    receive_next: Receive
    send_next: Send
    started: bool = False
    read: bool = False

    async def receive(self) -> dict[str, Any]:
        message = await self.receive_next()
        self.read = not message.get("more_body", False)
        return dict(message)

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            if not self.read and self._closes_after():
                await self._drain()
            self.started = True
            message = {**message, "headers": [*message.get("headers", []), *_HEADERS]}
        await self.send_next(message)

    async def refuse(self, status: int, message: str) -> None:
        if self.started:
            await self.end()
        else:
            await refuse(self.send, status, message)

    async def end(self) -> None:
        """Leave an answer that can't be completed: the connection is then closed, so that nobody takes it for whole."""
        if not self.started:
            await refuse(self.send, 503, "the server ends")

    def _closes_after(self) -> bool:
        """Whether the connection ends with the answer, and the client sends its body without waiting for a word."""
        headers: dict[bytes, bytes] = dict(self.scope["headers"])
        if headers.get(b"expect", b"").lower() == b"100-continue":
            return False
        return bool(self.scope["http_version"] == "1.0") or headers.get(b"connection", b"").lower() == b"close"

    async def _drain(self) -> None:
        size = 0
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while not self.read and size < DRAIN_BYTES:
                    size += len((await self.receive()).get("body", b""))
        except TimeoutError:
            pass
