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
from stellar_emulator.observed.interpret import Stated
from stellar_emulator.observed.orders import spectra_in
from stellar_emulator.observed.readers.formats import check_file, unconfined_tables
from stellar_emulator.observed.spectrum import ObservedSpectrum
from stellar_emulator.system.confined import UPLOADS, confined

CONTINUUM_DEGREE = 3
"""Degree of the polynomial that is fitted to spectra that are not normalised."""

LONGEST_NAME = 80
"""Largest number of characters of a file name."""


class Reading(BaseModel):
    """The page's statements on an uploaded file; None leaves it to the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    unit: Literal["Angstrom", "nm", "um"] | None = None
    medium: Medium | None = None
    snr: float | None = Field(default=None, gt=0)
    continuum: Literal["none", "fit"] = "none"


@dataclass(frozen=True)
class Observation:
    """An uploaded spectrum's name, the labels that the validator infers, and notes and warnings for the user."""

    name: str
    inferred: Inferred
    warnings: tuple[str, ...]


def parse_reading(fields: Mapping[str, str]) -> Reading:
    """Read the fields of a form. Raises `InputError` for a field that is unknown or can't be used."""
    try:
        return Reading.model_validate(fields)
    except ValidationError as error:
        raise InputError(first_fault(error)) from error


def observe(path: Path, reading: Reading, pair: Pair) -> Observation:
    """Infer the labels of the first spectrum of a file, which lies alone in a scratch folder.

    Raises
    ------
    InputError
        If the file or its first spectrum can't be used; the message names the file as the user named it.
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
    return Observation(name, inferred, (*more, *warnings, f"read: {_for_page(spectrum.reading, folder)}"))


def first_spectrum(path: Path, axis: WavelengthAxis, stated: Stated) -> tuple[ObservedSpectrum, int]:
    """The first spectrum of an uploaded file, and how many others there are. Raises as `read_tables`."""
    check_file(path)
    return confined(unconfined_first, path, UPLOADS, axis, stated)


def unconfined_first(path: Path, axis: WavelengthAxis, stated: Stated) -> tuple[ObservedSpectrum, int]:
    """What `first_spectrum` has done in a process of its own."""
    first, *others = spectra_in(unconfined_tables(path), axis, stated)
    if isinstance(first, InputError):
        raise first
    return first, len(others)


def _for_page(text: str, folder: str) -> str:
    """A message for the page, without the scratch folder's name; options of the command become the page's fields."""
    return re.sub(r"(^|\s)--(\w)", r"\1\2", text.replace(f"{folder}/", ""))


def safe_name(name: str) -> str:
    """A file's name that can't lead out of its folder; the suffix, at its end, is kept."""
    return re.sub(r"[^\w.+-]", "_", name)[-LONGEST_NAME:].lstrip(".") or "spectrum"
