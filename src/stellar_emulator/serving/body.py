"""Reads a request's body, bounded in bytes before it is read, in time, and in what all bodies together may take."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from stellar_emulator.serving.refusals import Receive, RequestError, Scope

PATIENCE_SECONDS = 10.0
"""From one part of a body to the next, and before the least rate counts."""

LEAST_RATE = 64 * 2**10
"""Bytes a second that a client must send on average after that."""

SMALL_BYTES = 256 * 2**10
"""A body, or an answer, of which there is always room for one more: connections are bounded, too."""

ROOM_BYTES = 128 * 2**20
"""For all larger bodies and answers at once."""


@dataclass
class Room:
    """Memory for bodies and answers under way."""

    free: int = ROOM_BYTES

    @contextmanager
    def held(self) -> Iterator["Share"]:
        """A share that grows with what is held, and is given back at the end."""
        share = Share(self)
        try:
            yield share
        finally:
            self.free += share.taken


@dataclass
class Share:
    """What one request holds of the room."""

    room: Room
    taken: int = 0

    def grow_to(self, size: int) -> None:
        """Hold ``size`` bytes. Raises `RequestError` (503) if there is no room."""
        wanted = size - self.taken if size > SMALL_BYTES else 0
        if wanted <= 0:
            return
        if wanted > self.room.free:
            raise RequestError(503, "the server is busy with other large requests: ask again, or for fewer spectra")
        self.room.free -= wanted
        self.taken += wanted


def header(scope: Scope, name: bytes) -> str:
    """A header that may be given once; empty where there is none. Raises `RequestError` where it is given twice."""
    values = [value for given, value in scope["headers"] if given == name]
    if len(values) > 1:
        raise RequestError(400, f"header {name.decode()} is given {len(values)} times: give it once")
    return str(values[0].decode("latin-1")) if values else ""


def check_framing(scope: Scope, most: int, too_much: str) -> None:
    """Check what the head says of the body.

    Raises
    ------
    RequestError
        If its length exceeds ``most`` bytes (413, with the message ``too_much``), it is compressed (415), or two
        headers say differently where it ends (400).
    """
    length, transfer = header(scope, b"content-length"), header(scope, b"transfer-encoding")
    if length and transfer:
        raise RequestError(400, "headers content-length and transfer-encoding are both given: give one of them")
    if header(scope, b"content-encoding").strip().lower() not in ("", "identity"):
        raise RequestError(415, "the body is compressed: send it as it is")
    if length and int(length) > most:
        raise RequestError(413, too_much)


async def read_parts(receive: Receive, most: int, too_much: str) -> AsyncIterator[bytes]:
    """Parts of a body as they come.

    Raises
    ------
    RequestError
        If there are more than ``most`` bytes (413), or they come too slowly (408).
    ConnectionError
        If the client is gone.
    """
    loop = asyncio.get_running_loop()
    start, size, more = loop.time(), 0, True
    while more:
        waited = loop.time() - start
        if waited > PATIENCE_SECONDS + size / LEAST_RATE:
            raise _too_slow(size, waited)
        try:
            message = await asyncio.wait_for(receive(), PATIENCE_SECONDS)
        except TimeoutError:
            raise _too_slow(size, loop.time() - start) from None
        if message["type"] == "http.disconnect":
            raise ConnectionError("the client is gone")
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            raise RequestError(413, too_much)
        yield part
        more = message.get("more_body", False)


async def read_body(scope: Scope, receive: Receive, most: int, too_much: str, share: Share) -> bytes:
    """The whole body, of up to ``most`` bytes. Raises as `check_framing`, `read_parts` and `Share.grow_to`."""
    check_framing(scope, most, too_much)
    content = bytearray()
    async for part in read_parts(receive, most, too_much):
        share.grow_to(len(content) + len(part))
        content += part
    return bytes(content)


def _too_slow(size: int, seconds: float) -> RequestError:
    return RequestError(408, f"{size} bytes of the body came in {seconds:.0f} s: send it faster, or fewer spectra")
