"""MLflow's scoring app with strict requests: what a model can't answer as asked is refused, with the reason.

MLflow's own ``/invocations`` drops unknown columns and params and casts strings before a model sees them. Here that
route is answered by `StrictInvocations`; ``/ping``, ``/health`` and ``/version`` are MLflow's.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol

import numpy as np
from mlflow.models import Model, ModelSignature
from mlflow.pyfunc import scoring_server
from numpy.typing import NDArray

from stellar_emulator.errors import InputError
from stellar_emulator.models.emulator import Emulator
from stellar_emulator.models.validator import Validator
from stellar_emulator.registry.signatures import emulator_signature, validator_signature
from stellar_emulator.serving.answers import Spectra, emulator_answer, validator_answer
from stellar_emulator.serving.body import ROOM_BYTES, SMALL_BYTES, Room, Share, header, read_body
from stellar_emulator.serving.refusals import App, Receive, RequestError, Scope, Send, answer_whole, refuse, status_of
from stellar_emulator.serving.request_body import (
    JSON,
    MAXIMUM_BYTES,
    MAXIMUM_ROWS,
    FluxRequest,
    LabelRequest,
    label_bytes,
    read_flux,
    read_labels,
)

ROUTE = "/invocations"

FEW_ROWS = 16
"""Spectra of a request that is answered at once; larger ones are answered one after the other."""

MOST_WAITING = 16
"""Large requests that may wait for their turn."""

TEXT_VALUES = 2**15
"""Of flux that are written as JSON at a time: others get their turn between."""

_PART = 3 * 2**18
"""Bytes that are written as base64 at a time; threes of bytes become whole fours of letters."""


class Service(Protocol):
    """Answers the requests of one kind, which have ``rows``."""

    @property
    def most_bytes(self) -> int:
        """Of a request."""

    def read(self, body: bytes, content_type: str) -> Any:
        """A request. Raises `InputError` for one that breaks a rule."""

    def size(self, request: Any) -> int:
        """Bytes of the answer, as it is kept until the client has taken it."""

    def answer(self, request: Any) -> Iterator[bytes]:
        """Parts of the answer. Raises `InputError` at once for a request that breaks a rule."""


@dataclass(frozen=True)
class EmulatorService:
    """Answers a request for spectra."""

    emulator: Emulator

    @property
    def most_bytes(self) -> int:
        return label_bytes(self.emulator.contract)

    def read(self, body: bytes, content_type: str) -> LabelRequest:
        return read_labels(self.emulator.contract, body, content_type)

    def size(self, request: LabelRequest) -> int:
        return 4 * len(request.rows) * self.emulator.contract.wavelength.count

    def answer(self, request: LabelRequest) -> Iterator[bytes]:
        spectra = emulator_answer(self.emulator, request.names, request.labels, request.params)
        return _json_spectra(spectra.flux) if spectra.encoding == "json" else _base64_spectra(spectra)


@dataclass(frozen=True)
class ValidatorService:
    """Answers a request for the labels of spectra."""

    validator: Validator

    @property
    def most_bytes(self) -> int:
        return MAXIMUM_BYTES

    def read(self, body: bytes, content_type: str) -> FluxRequest:
        return read_flux(self.validator.contract, body, content_type)

    def size(self, request: FluxRequest) -> int:
        return 8 * len(request.rows) * len(self.validator.contract.labels)

    def answer(self, request: FluxRequest) -> Iterator[bytes]:
        names = self.validator.contract.label_names
        labels = validator_answer(self.validator, request.flux, request.params)
        rows = [dict(zip(names, row, strict=True)) for row in labels.tolist()]
        return iter([json.dumps({"predictions": rows}).encode()])


@dataclass(frozen=True)
class Turns:
    """Large requests, one after the other."""

    turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    waiting: list[object] = field(default_factory=list)

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Wait for a turn. Raises `RequestError` (503) if too many wait already."""
        if len(self.waiting) >= MOST_WAITING:
            raise RequestError(503, f"{MOST_WAITING} other large requests wait: ask again, or for fewer spectra")
        self.waiting.append(token := object())
        try:
            async with self.turn:
                yield
        finally:
            self.waiting.remove(token)


@dataclass(frozen=True)
class StrictInvocations:
    """An ASGI app that answers requests to a model itself and leaves all others to another app."""

    service: Service
    others: App
    room: Room = field(default_factory=Room)
    turns: Turns = field(default_factory=Turns)
    texts: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["method"], scope["path"]) != ("POST", ROUTE):
            await self.others(scope, receive, send)
            return
        with self.room.held() as share:
            try:
                parts = await self._parts(scope, receive, share)
            except InputError as error:
                await refuse(send, status_of(error), str(error))
                return
            except ConnectionError:  # nobody is there to be answered
                return
            await self._send(send, parts)

    async def _parts(self, scope: Scope, receive: Receive, share: Share) -> Iterator[bytes]:
        """Parts of the answer to a request."""
        if scope["query_string"]:
            raise RequestError(400, "the address has a query, which is not read here: give params in the body")
        kind = header(scope, b"content-type")
        body = await read_body(scope, receive, self.service.most_bytes, self._too_much(scope), share)
        if len(body) > SMALL_BYTES:
            async with self.turns.taken():
                request = await asyncio.to_thread(self.service.read, body, kind)
                return await self._answered(request, share)
        request, parts = await asyncio.to_thread(self._quick, body, kind)
        if parts is not None:
            return parts
        async with self.turns.taken():
            return await self._answered(request, share)

    def _quick(self, body: bytes, kind: str) -> tuple[Any, Iterator[bytes] | None]:
        """A request and, where that is little work, its answer."""
        request = self.service.read(body, kind)
        few = len(request.rows) <= FEW_ROWS and self.service.size(request) <= SMALL_BYTES
        return request, self._begun(request) if few else None

    async def _answered(self, request: Any, share: Share) -> Iterator[bytes]:
        size = self.service.size(request)
        if size > ROOM_BYTES:
            most = max(1, len(request.rows) * ROOM_BYTES // size)
            raise RequestError(413, f"the answer takes {size / 2**20:.0f} MiB: send up to {most} rows at a time")
        share.grow_to(size)
        return await asyncio.to_thread(self._begun, request)

    def _begun(self, request: Any) -> Iterator[bytes]:
        """Parts of the answer: one, if it is short."""
        parts = self.service.answer(request)
        return iter([b"".join(parts)]) if len(request.rows) <= FEW_ROWS else parts

    def _too_much(self, scope: Scope) -> str:
        """What a body is told that is longer than any, or longer than the most rows take."""
        stated = header(scope, b"content-length")
        if not stated or int(stated) > MAXIMUM_BYTES:
            return f"the body exceeds {MAXIMUM_BYTES // 2**20} MiB: send fewer spectra at once"
        most = self.service.most_bytes / 2**20
        return f"the body exceeds {most:.1f} MiB, which {MAXIMUM_ROWS} rows take: send fewer spectra at once"

    async def _send(self, send: Send, parts: Iterator[bytes]) -> None:
        first = await self._next(parts)
        second = await self._next(parts)
        if second is None:
            await answer_whole(send, HTTPStatus.OK, first or b"", JSON.encode())
            return
        # Of a long answer no more is written ahead than its client takes.
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", JSON.encode())]})
        await send({"type": "http.response.body", "body": first, "more_body": True})
        while second is not None:
            await send({"type": "http.response.body", "body": second, "more_body": True})
            second = await self._next(parts)
        await send({"type": "http.response.body", "body": b""})

    async def _next(self, parts: Iterator[bytes]) -> bytes | None:
        if not isinstance(parts, Generator):
            return next(parts, None)  # written already
        async with self.texts:
            return await asyncio.to_thread(next, parts, None)


def scoring_app(model: Emulator | Validator) -> StrictInvocations:
    """The app that serves a loaded model."""
    if isinstance(model, Emulator):
        return StrictInvocations(EmulatorService(model), _mlflow_app(emulator_signature(model.contract)))
    return StrictInvocations(ValidatorService(model), _mlflow_app(validator_signature(model.contract)))


@dataclass(frozen=True)
class _Described:
    """All that MLflow's app asks of a model to which no request comes through."""

    metadata: Model


def _mlflow_app(signature: ModelSignature) -> App:
    app: App = scoring_server.init(_Described(Model(signature=signature)))  # type: ignore[arg-type]  # see `_Described`
    return app


def _json_spectra(flux: NDArray[np.float32]) -> Iterator[bytes]:
    rows = max(1, TEXT_VALUES // max(1, flux.shape[1]))
    yield b'{"predictions": ['
    for first in range(0, len(flux), rows):
        # Row by row: other threads get their turn between two rows.
        text = b", ".join(json.dumps(row.tolist()).encode() for row in flux[first : first + rows])
        yield b", " + text if first else text
    yield b"]}"


def _base64_spectra(spectra: Spectra) -> Iterator[bytes]:
    # By hand: the json module takes as long for the text of 1,000 spectra as the network does for their flux.
    shape = json.dumps(spectra.flux.shape).encode()
    content = np.ascontiguousarray(spectra.flux, dtype="<f4").data.cast("B")
    yield b'{"predictions": {"dtype": "<f4", "shape": %b, "data": "' % shape
    for first in range(0, len(content), _PART):
        yield base64.b64encode(content[first : first + _PART])
    yield b'"}}'
