"""What a request that is not answered is told."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

from stellar_emulator.errors import InputError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

Headers = list[tuple[bytes, bytes]]

RETRY_SECONDS = 1
"""After which a client that was refused for want of room may ask again."""


class RequestError(InputError):
    """A request that is refused with another HTTP status than 400."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def status_of(error: Exception) -> int:
    """HTTP status of an error: its own, 400 of other bad input, 500 of anything else."""
    if isinstance(error, RequestError):
        return error.status
    return HTTPStatus.BAD_REQUEST if isinstance(error, InputError) else HTTPStatus.INTERNAL_SERVER_ERROR


def refusal_headers(status: int) -> dict[str, str]:
    """Headers that a refusal has beside its content: when to come back, where that helps."""
    return {"retry-after": str(RETRY_SECONDS)} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}


async def refuse(send: Send, status: int, message: str) -> None:
    """Answer with a status and a message, in MLflow's form, and the page's."""
    code = "INVALID_PARAMETER_VALUE" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "TEMPORARILY_UNAVAILABLE"
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        code = "INTERNAL_ERROR"
    content = json.dumps({"error_code": code, "message": message}).encode()
    extra = [(name.encode(), value.encode()) for name, value in refusal_headers(status).items()]
    await answer_whole(send, status, content, b"application/json", extra)


async def answer_whole(
    send: Send, status: int, content: bytes, media_type: bytes, extra: Headers | None = None
) -> None:
    """Send an answer whose length is known."""
    head = [(b"content-type", media_type), (b"content-length", str(len(content)).encode()), *(extra or [])]
    await send({"type": "http.response.start", "status": int(status), "headers": head})
    await send({"type": "http.response.body", "body": content})
