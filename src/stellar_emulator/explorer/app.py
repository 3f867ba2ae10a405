"""The explorer's web app: the page, and its requests, which use the same code as ``generate`` and ``infer``.

Labels are given in a query such as ``/spectrum?teff=5777&logg=4.44``; a request that breaks a rule gets status 400 and
the reason.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from stellar_emulator.contract.checks import check_names
from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.hull import beyond_hull, hull_labels, hull_warning
from stellar_emulator.contract.label import Label
from stellar_emulator.contract.label_table import broadcast, given_labels
from stellar_emulator.errors import InputError, StellarEmulatorError
from stellar_emulator.explorer.lines import named_lines
from stellar_emulator.explorer.upload import observe, parse_reading, safe_name
from stellar_emulator.fitting.estimate import Pair
from stellar_emulator.fitting.protocols import library
from stellar_emulator.models.emulator import Emulator
from stellar_emulator.models.validator import Validator
from stellar_emulator.observed.readers.formats import READERS
from stellar_emulator.serving.body import check_framing, read_parts
from stellar_emulator.serving.refusals import RequestError, refusal_headers, status_of
from stellar_emulator.writers.batch import Generated
from stellar_emulator.writers.file import write_spectra

PAGE = Path(__file__).parent / "static"

DOWNLOADS = {"csv": "text/csv", "fits": "application/fits"}
"""Media types of downloads, by the suffixes of `stellar_emulator.writers`."""

MAXIMUM_BYTES = 64 * 2**20
"""Largest size of an uploaded file."""

MOST_UPLOADS = 8
"""At once; they are read one after the other."""

WARNING = "x-warning"
"""Header of a spectrum that is drawn with a warning, with percent signs for what a header can't hold."""

FEWEST_STEPS = 200
"""Smallest number of steps of a slider, from end to end."""


@dataclass(frozen=True)
class Explorer:
    """The answers for one pair, whose models have the same labels and wavelengths."""

    emulator: Emulator
    validator: Validator
    uploads: list[object] = field(default_factory=list)
    """One thing for each file that is being read."""

    @property
    def contract(self) -> Contract:
        return self.emulator.contract

    @cached_property
    def pair(self) -> Pair:
        """The pair in the form that fitting needs; it is made when the first spectrum is uploaded."""
        return Pair(self.emulator, self.validator, library(self.emulator))

    async def model(self, request: Request) -> Response:
        """All data that the page needs: labels and axis of the contract, named lines, names of the models."""
        contract = self.contract
        return JSONResponse(
            {
                "contract": contract.name,
                "description": contract.description,
                "versions": {"emulator": self.emulator.version, "validator": self.validator.version},
                "labels": [_slider(*each) for each in zip(contract.labels, _start(contract), strict=True)],
                "wavelength": _axis(contract),
                "flux": contract.flux.model_dump(),
                "lines": [asdict(line) for line in named_lines(contract)],
                "window": contract.regions.equivalent_width_half_width,
                "suffixes": list(READERS),
            }
        )

    async def spectrum(self, request: Request) -> Response:
        """Flux of each pixel, labels that the validator infers from it, and their errors: little-endian float32.

        Labels and errors are NaN if the validator refuses the flux, which is drawn nevertheless. The header `WARNING`
        says that the labels lie beyond the hull of the grid's runs, if the contract does not refuse them.
        """
        labels = self._labels(request)
        (flux,) = self.emulator.flux(labels)
        beyond = hull_warning(self.contract, labels, None)
        try:
            found = np.clip(self.validator.labels(flux[None]), self.contract.lower, self.contract.upper)
            inferred = [found[0], self.validator.uncertainty(found)[0]]
        except InputError:
            inferred = [np.full(2 * len(self.contract.labels), np.nan)]
        content = np.concatenate([flux, *inferred]).astype("<f4").tobytes()
        headers = {} if beyond is None else {WARNING: quote(beyond)}
        return Response(content, media_type="application/octet-stream", headers=headers)

    async def download(self, request: Request) -> Response:
        """The spectrum as a file of the suffix that the path names."""
        suffix = request.path_params["suffix"]
        if suffix not in DOWNLOADS:
            raise InputError(f"the suffix '{suffix}' is not known: give one of {', '.join(DOWNLOADS)}")
        labels = self._labels(request)
        hull_warning(self.contract, labels, None)
        batches = iter([(labels, self.emulator.flux(labels))])
        generated = Generated(self.contract, self.emulator.version, self.emulator.digest, 1, batches)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"spectrum.{suffix}"
            write_spectra(path, generated)
            content = path.read_bytes()
        saved = {"content-disposition": f'attachment; filename="{path.name}"'}
        return Response(content, media_type=DOWNLOADS[suffix], headers=saved)

    async def observed(self, request: Request) -> Response:
        """Labels inferred from an uploaded file, the request's body; `Reading` has the query's fields."""
        reading = parse_reading(dict(request.query_params))
        if len(self.uploads) >= MOST_UPLOADS:
            raise RequestError(503, f"{MOST_UPLOADS} other files are being read: send it again")
        self.uploads.append(token := object())
        try:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / safe_name(reading.name)
                too_much = f"{reading.name} exceeds {MAXIMUM_BYTES // 2**20} MiB: give it to the verb infer"
                check_framing(request.scope, MAXIMUM_BYTES, too_much)
                with path.open("wb") as file:
                    async for part in read_parts(request.receive, MAXIMUM_BYTES, too_much):
                        file.write(part)
                found = await run_in_threadpool(lambda: observe(path, reading, self.pair))
        finally:
            self.uploads.remove(token)
        inferred = found.inferred
        return JSONResponse(
            {
                "name": found.name,
                **_estimate(inferred.labels, inferred.uncertainty),
                "velocity": inferred.velocity,
                "velocity_error": inferred.velocity_error,
                "flux": inferred.flux.tolist(),
                "warnings": found.warnings,
            }
        )

    def _labels(self, request: Request) -> NDArray[np.float64]:
        """Labels of a query, shape (1, labels); the emulator checks their values."""
        fields = request.query_params.multi_items()
        check_names(self.contract, [name for name, _ in fields])
        return broadcast(self.contract, list(given_labels(dict(fields)).items()))[0]


def explorer_app(emulator: Emulator, validator: Validator) -> Starlette:
    """The app of a pair of models, which must have the same labels and wavelengths."""
    explorer = Explorer(emulator, validator)
    return Starlette(
        routes=[
            Route("/model", explorer.model),
            Route("/spectrum", explorer.spectrum),
            Route("/spectrum.{suffix}", explorer.download),
            Route("/observed", explorer.observed, methods=["POST"]),
            Mount("/", StaticFiles(directory=PAGE, html=True)),
        ],
        exception_handlers={StellarEmulatorError: _refusal, ConnectionError: _unread},
    )


async def _refusal(request: Request, error: Exception) -> Response:
    status = status_of(error)
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        status = HTTPStatus.BAD_REQUEST  # as of any other file that can't be used
    return JSONResponse({"message": " ".join(str(error).split())}, status, refusal_headers(status))


async def _unread(request: Request, error: Exception) -> Response:
    """The answer to a page that was closed or reloaded while it sent a file; it is not read."""
    return Response(status_code=HTTPStatus.BAD_REQUEST)


def _estimate(labels: NDArray[np.floating], errors: NDArray[np.floating]) -> Mapping[str, list[float]]:
    return {"labels": labels.tolist(), "errors": errors.tolist()}


def _axis(contract: Contract) -> dict[str, Any]:
    """The wavelength axis for the page."""
    axis = contract.wavelength
    return {"pixels": axis.pixels.tolist(), "count": axis.count, "unit": axis.unit, "medium": axis.medium}


def _start(contract: Contract) -> list[float]:
    """First labels: the middle of the hard region, where spectra have many sharp lines, or of the nodes' corners."""
    hard = [contract.regions.hard.get(label.name, (label.lower, label.upper)) for label in contract.labels]
    start = np.clip(np.mean(hard, axis=1), contract.lower, contract.upper)
    if contract.hull is not None and beyond_hull(contract, start[np.newaxis]) is not None:
        start[contract.columns(hull_labels(contract))] = np.mean(contract.hull.corners, axis=0)
    return [float(value) for value in start]


def _slider(label: Label, start: float) -> Mapping[str, Any]:
    """A label with the step of its slider, a power of ten, and its first value."""
    step = float(10.0 ** np.floor(np.log10((label.upper - label.lower) / FEWEST_STEPS)))
    return {"name": label.name, "unit": label.unit, "lower": label.lower, "upper": label.upper} | {
        "start": start,
        "step": step,
    }
