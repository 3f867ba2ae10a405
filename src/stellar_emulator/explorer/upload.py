"""Reads an uploaded spectrum and lets the validator infer its labels, as the verb ``infer`` does with files."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stellar_emulator.contract.axis import WavelengthAxis
from stellar_emulator.contract.contract import first_fault
from stellar_emulator.contract.medium import Medium
from stellar_emulator.errors import InputError
from stellar_emulator.fitting.estimate import Inferred, Pair, infer
from stellar_emulator.fitting.preparation import Treatment
from stellar_emulator.observed.interpret import Stated, spectra_of
from stellar_emulator.observed.readers.formats import check_file, unconfined_tables
from stellar_emulator.observed.spectrum import ObservedSpectrum
from stellar_emulator.system.confined import UPLOADS, confined

CONTINUUM_DEGREE = 3
"""Of the polynomial fitted to spectra that are not normalised."""

LONGEST_NAME = 80
"""Characters."""


class Reading(BaseModel):
    """What the page states of an uploaded file; None: the file says."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    unit: Literal["Angstrom", "nm", "um"] | None = None
    medium: Medium | None = None
    snr: float | None = Field(default=None, gt=0)
    continuum: Literal["none", "fit"] = "none"


@dataclass(frozen=True)
class Observation:
    """An uploaded spectrum's name, what its validator infers, and all that the user should know of it."""

    name: str
    inferred: Inferred
    warnings: tuple[str, ...]


def parse_reading(fields: Mapping[str, str]) -> Reading:
    """Read the fields of a form. Raises `InputError` for one that is unknown or can't be used."""
    try:
        return Reading.model_validate(fields)
    except ValidationError as error:
        raise InputError(first_fault(error)) from error


def observe(path: Path, reading: Reading, pair: Pair) -> Observation:
    """Infer the labels of the first spectrum of a file, which lies alone in a scratch folder.

    Raises
    ------
    InputError
        If the file or its first spectrum can't be used; the message names the file as the user does.
    """
    folder = str(path.parent)
    try:
        stated = Stated(reading.unit, reading.medium, reading.snr)
        spectrum, others = first_spectrum(path, pair.emulator.contract.wavelength, stated)
        degree = CONTINUUM_DEGREE if reading.continuum == "fit" else None
        inferred = infer(spectrum, pair, Treatment(None, degree))
    except InputError as error:
        raise InputError(_for_page(str(error), folder)) from error
    more = (f"the file holds {others + 1} spectra, this is the first: the verb infer reads all",) if others else ()
    name, *warnings = (_for_page(text, folder) for text in (spectrum.name, *spectrum.notes, *inferred.warnings))
    return Observation(name, inferred, (*more, *warnings))


def first_spectrum(path: Path, axis: WavelengthAxis, stated: Stated) -> tuple[ObservedSpectrum, int]:
    """The first spectrum of an uploaded file, and how many others there are. Raises as `read_tables`."""
    check_file(path)
    return confined(unconfined_first, path, UPLOADS, axis, stated)


def unconfined_first(path: Path, axis: WavelengthAxis, stated: Stated) -> tuple[ObservedSpectrum, int]:
    """What `first_spectrum` has done in a process of its own."""
    spectra = (spectrum for table in unconfined_tables(path) for spectrum in spectra_of(table, axis, stated))
    first = next(spectra)
    if isinstance(first, InputError):
        raise first
    return first, sum(1 for _ in spectra)


def _for_page(text: str, folder: str) -> str:
    """A text without the scratch folder's name; the command's options are the page's fields of the same names."""
    return re.sub(r"(^|\s)--(\w)", r"\1\2", text.replace(f"{folder}/", ""))


def safe_name(name: str) -> str:
    """A file's name that can't lead out of its folder; the suffix, at its end, is kept."""
    return re.sub(r"[^\w.+-]", "_", name)[-LONGEST_NAME:].lstrip(".") or "spectrum"
