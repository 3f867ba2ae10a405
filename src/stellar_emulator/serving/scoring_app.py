"""MLflow's scoring app with strict requests: what a model can't answer as asked is refused, with the reason.

MLflow's own ``/invocations`` drops unknown columns and params and casts strings before a model sees them. Here that
route is answered by `StrictInvocations`; ``/ping``, ``/health`` and ``/version`` are MLflow's.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import numpy as np
from mlflow.models import Model, ModelSignature
from mlflow.pyfunc import scoring_server
from numpy.typing import NDArray

from stellar_emulator.errors import InputError
from stellar_emulator.models.emulator import Emulator
from stellar_emulator.models.validator import Validator
from stellar_emulator.registry.signatures import emulator_signature, validator_signature
from stellar_emulator.serving.answers import Spectra, emulator_answer, validator_answer
from stellar_emulator.serving.request_body import JSON, MAXIMUM_BYTES, RequestError, read_flux, read_labels

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

ROUTE = "/invocations"


@dataclass(frozen=True)
class EmulatorService:
    """Answers a request for spectra."""

    emulator: Emulator

    def __call__(self, body: bytes, content_type: str) -> bytes:
        """Raises `InputError` for a request that breaks a rule."""
        request = read_labels(self.emulator.contract, body, content_type)
        spectra = emulator_answer(self.emulator, request.names, request.labels, request.params)
        return _json_spectra(spectra.flux) if spectra.encoding == "json" else _base64_spectra(spectra)


@dataclass(frozen=True)
class ValidatorService:
    """Answers a request for the labels of spectra."""

    validator: Validator

    def __call__(self, body: bytes, content_type: str) -> bytes:
        """Raises `InputError` for a request that breaks a rule."""
        request = read_flux(body, content_type)
        names = self.validator.contract.label_names
        labels = validator_answer(self.validator, request.flux, request.params)
        return json.dumps({"predictions": [dict(zip(names, row, strict=True)) for row in labels.tolist()]}).encode()


@dataclass(frozen=True)
class StrictInvocations:
    """An ASGI app that answers requests to a model itself and leaves all others to another app."""

    service: EmulatorService | ValidatorService
    others: App

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["method"], scope["path"]) != ("POST", ROUTE):
            await self.others(scope, receive, send)
            return
        body = await _body(receive)
        headers = dict(scope["headers"])
        status, answer = await asyncio.to_thread(
            self._answer, body, headers.get(b"content-type", b"").decode("latin-1")
        )
        head = [(b"content-type", JSON.encode()), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": answer})

    def _answer(self, body: bytes | None, content_type: str) -> tuple[int, bytes]:
        try:
            if body is None:
                raise RequestError(413, f"the body exceeds {MAXIMUM_BYTES // 2**20} MiB: send fewer spectra at once")
            return HTTPStatus.OK, self.service(body, content_type)
        except InputError as error:
            status = error.status if isinstance(error, RequestError) else HTTPStatus.BAD_REQUEST
            return status, json.dumps({"error_code": "INVALID_PARAMETER_VALUE", "message": str(error)}).encode()


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


async def _body(receive: Receive) -> bytes | None:
    """The whole body, or None if it is too long; it is read to its end even so, or clients would see no answer."""
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        if size > MAXIMUM_BYTES:
            parts.clear()
        else:
            parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return None if size > MAXIMUM_BYTES else b"".join(parts)


def _json_spectra(flux: NDArray[np.float32]) -> bytes:
    # Row by row: other threads get their turn between two rows.
    rows = b", ".join(json.dumps(row).encode() for row in map(np.ndarray.tolist, flux))
    return b'{"predictions": [%b]}' % rows


def _base64_spectra(spectra: Spectra) -> bytes:
    # By hand: the json module takes as long for the text of 1,000 spectra as the network does for their flux.
    shape = json.dumps(spectra.flux.shape).encode()
    return b'{"predictions": {"dtype": "<f4", "shape": %b, "data": "%b"}}' % (shape, spectra.base64)
