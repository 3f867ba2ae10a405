"""What a model answers to one request and its params: the same from MLflow's own server, from Spark and from ours."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stellar_emulator.contract.axis import WavelengthAxis
from stellar_emulator.contract.checks import is_number, unknown
from stellar_emulator.errors import InputError
from stellar_emulator.models.emulator import Emulator
from stellar_emulator.models.validator import Validator
from stellar_emulator.registry.signatures import ENCODINGS

EMULATOR_PARAMS = ("encoding", "wavelength_min", "wavelength_max")
VALIDATOR_PARAMS = ("noise",)

_SLACK = 1e-3
"""Share of the narrowest pixel by which a bound may miss the pixel that is meant: 8400 + 3999 * 0.1 exceeds 8799.9."""


@dataclass(frozen=True)
class Spectra:
    """Flux (n, pixels) at the pixels that were asked for, and how it shall be written."""

    flux: NDArray[np.float32]
    encoding: str

    @property
    def base64(self) -> bytes:
        """The flux row by row, little-endian single precision, as base64."""
        return base64.b64encode(np.ascontiguousarray(self.flux, dtype="<f4").data)

    def plain(self) -> NDArray[np.float32] | dict[str, Any]:
        """What MLflow turns into the answer: the flux, or ``{"dtype": "<f4", "shape": [n, pixels], "data": TEXT}``."""
        if self.encoding == "json":
            return self.flux
        return {"dtype": "<f4", "shape": list(self.flux.shape), "data": self.base64.decode()}


def emulator_answer(emulator: Emulator, names: Sequence[str], labels: ArrayLike, params: Mapping[str, Any]) -> Spectra:
    """Spectra of labels (n, labels) whose columns are ``names``.

    Parameters
    ----------
    params
        ``encoding``, one of `ENCODINGS`; ``wavelength_min`` and ``wavelength_max``, inclusive, in the contract's unit.
        Absent ones leave all pixels as JSON.

    Raises
    ------
    InputError
        If a param is unknown, of the wrong type or out of range, or a label is; the message names it with its bounds.
    """
    _check_known(params, EMULATOR_PARAMS)
    encoding = params.get("encoding", ENCODINGS[0])
    if encoding not in ENCODINGS:
        raise InputError(f"param encoding = {encoding!r:.60} is unknown: give {' or '.join(ENCODINGS)}")
    axis = emulator.contract.wavelength
    pixels = _pixels(axis, params.get("wavelength_min", axis.start), params.get("wavelength_max", axis.stop))
    return Spectra(emulator.flux(emulator.requested(labels, names))[:, pixels], encoding)


def validator_answer(validator: Validator, flux: ArrayLike, params: Mapping[str, Any]) -> NDArray[np.float64]:
    """Labels (n, labels), in the contract's order, of flux (n, pixels); the one param ``noise`` is that of a pixel.

    Raises
    ------
    InputError
        If the param is no number, another one is given, or the flux does not fit the contract.
    """
    _check_known(params, VALIDATOR_PARAMS)
    noise = params.get("noise", 0.0)
    if not is_number(noise):
        raise InputError(f"param noise = {noise!r:.60} is no number: give a standard deviation, such as 0.02 at S/N 50")
    return validator(flux, float(noise)).astype(np.float64)


def _check_known(params: Mapping[str, Any], known: Sequence[str]) -> None:
    for name in params:
        if name not in known:
            raise InputError(f"param {unknown(str(name), known)}This model has {', '.join(known)}")


def _pixels(axis: WavelengthAxis, lower: object, upper: object) -> slice:
    """Pixels whose centres lie between two bounds."""
    bounds = []
    for name, value in (("wavelength_min", lower), ("wavelength_max", upper)):
        extent = f"{axis.start:.10g} to {axis.stop:.10g} {axis.unit} ({axis.medium})"
        if not is_number(value):
            raise InputError(f"param {name} = {value!r:.60} is no number: give {extent}")
        bound, slack = float(value), _SLACK * axis.finest  # type: ignore[arg-type]
        if not axis.start - slack <= bound <= axis.stop + slack:
            raise InputError(f"param {name} = {bound:.10g} {axis.unit} lies outside the spectrum: give {extent}")
        bounds.append(bound)
    first = int(np.searchsorted(axis.pixels, bounds[0] - slack))
    after = int(np.searchsorted(axis.pixels, bounds[1] + slack, side="right"))
    if first >= after:
        raise InputError(
            f"no pixel lies between wavelength_min = {bounds[0]:.10g} and wavelength_max = {bounds[1]:.10g} "
            f"{axis.unit}: pixels are {axis.width:.10g} {axis.unit} apart, give a wider range"
        )
    return slice(first, after)
