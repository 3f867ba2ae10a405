"""Spectra of files as the command reads them, and where their line lies."""

from pathlib import Path

import numpy as np
import pytest
from survey_files import LINE

from stellar_emulator.contract.axis import WavelengthAxis
from stellar_emulator.errors import InputError
from stellar_emulator.observed.interpret import Stated
from stellar_emulator.observed.orders import spectra_in
from stellar_emulator.observed.readers import formats
from stellar_emulator.observed.readers.formats import Choice, read_tables
from stellar_emulator.observed.selection import parse_selection
from stellar_emulator.observed.spectrum import ObservedSpectrum

AXIS = WavelengthAxis(start=8300.0, step=0.1, count=7000, unit="Angstrom", medium="air")


def read(path: Path, select: str | None = None, form: str | None = None, **stated: object) -> list[ObservedSpectrum]:
    choice = Choice(form, None if select is None else parse_selection(select))
    found = list(spectra_in(read_tables(path, choice), AXIS, Stated(**stated)))  # type: ignore[arg-type]
    for one in found:
        if isinstance(one, InputError):
            raise one
    return found  # type: ignore[return-value]


def line_of(spectrum: ObservedSpectrum) -> float:
    """Where the line's centre of gravity lies."""
    near = spectrum.usable & (np.abs(spectrum.wavelength - LINE) < 6.0)
    wavelength, depth = spectrum.wavelength[near], 1.0 - spectrum.flux[near] / np.median(spectrum.flux[spectrum.usable])
    weights = np.gradient(wavelength) * np.clip(depth, 0.1, None)
    return float(np.average(wavelength, weights=weights))


def read_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what a test replaced be what reads; nothing of this process reaches the one that reads otherwise."""
    monkeypatch.setattr(formats, "confined", lambda reader, path, limits, *given: reader(path, *given))
