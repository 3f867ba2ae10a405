"""Connections that end: clients that say nothing, send a byte now and then, or take no answer hold nobody else up."""

import asyncio
import resource
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
"""From the connection, or the last answer on it, to the end of a request's head."""

DISCARD_SECONDS = 30.0
"""For which what a client sends on after its request was refused is read and forgotten, so that it sees the answer."""

TAKE_SECONDS = 10.0
"""In which a client must take the next 48 KiB of its answer, or what is left of it."""

MOST_CONNECTIONS = 512
"""At once; where there are more, the one that has waited longest for its client is closed."""

STUCK_SECONDS = 2.0
"""For which a server that shall end still waits for clients that send or take."""

FINISH_SECONDS = 4.0
"""For which a server that shall end still answers requests that are complete."""

_TICK = 1.0

_TOO_SLOW = (
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: 26\r\n\r\n"
    b"send the whole request now"
)
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-type: text/plain\r\nconnection: close\r\n"
    b"content-length: 20\r\n\r\ntoo many connections"
)


def most_connections() -> int:
    """How many connections may be open at once, half of what the system lets this process open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else max(8, min(MOST_CONNECTIONS, soft // 2))


class TimedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, each of whose waits for the client has an end."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._since = self._taken = self.loop.time()
        self._heard = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timer = self.loop.call_later(_TICK, self._tick)
        if len(self.connections) > most_connections():
            self._make_room()

    def data_received(self, data: bytes) -> None:
        self._heard = True
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self._since = self.loop.time()
        self._heard = False
        super().on_response_complete()

    def pause_writing(self) -> None:
        self._taken = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._taken = self.loop.time()
        super().resume_writing()

    def shutdown(self) -> None:
        patience = STUCK_SECONDS if self.waits_for_client else FINISH_SECONDS
        self.loop.call_later(patience, self.transport.abort)
        super().shutdown()

    @property
    def waits_for_client(self) -> bool:
        """Whether the next step is the client's: a head, a body's next part, or taking the answer."""
        return self._between or self.cycle.more_body or self.flow.write_paused

    @property
    def _between(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _make_room(self) -> None:
        others = [other for other in self.connections if isinstance(other, TimedProtocol) and other is not self]
        waiting = [other for other in others if other.waits_for_client]
        if waiting:
            min(waiting, key=lambda other: other._since).transport.abort()
        else:
            self.transport.write(_FULL)
            self.transport.close()

    def _tick(self) -> None:
        """Once a second: end the connection if its client has let a time pass."""
        self._timer = self.loop.call_later(_TICK, self._tick)
        now = self.loop.time()
        if self.transport.get_write_buffer_size():
            if now - max(self._taken, self._since) > TAKE_SECONDS and (self._between or self.flow.write_paused):
                self.transport.abort()
            return
        if not self._between or self.transport.is_closing():
            return
        discarding = self.cycle is not None and self.conn.their_state is h11.SEND_BODY
        if now - self._since > (DISCARD_SECONDS if discarding else HEAD_SECONDS):
            if self._heard and not discarding:
                self.transport.write(_TOO_SLOW)
            self.transport.close()
