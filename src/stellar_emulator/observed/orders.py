"""Spectra of a whole file: orders, chips and arms of one exposure become one spectrum of several pieces."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from stellar_emulator.contract.axis import WavelengthAxis
from stellar_emulator.errors import InputError
from stellar_emulator.observed.interpret import FEWEST, ElsewhereError, Stated, spectra_of
from stellar_emulator.observed.no_data import bridged
from stellar_emulator.observed.raw import RawTable
from stellar_emulator.observed.spectrum import ObservedSpectrum

EXPOSURE = "exposure"
"""Key of a part; pieces of different exposures are no pieces of one spectrum."""


def spectra_in(
    tables: Sequence[RawTable], axis: WavelengthAxis, stated: Stated
) -> Iterator[ObservedSpectrum | InputError]:
    """Spectra of a file's tables near a contract's ``axis``; one that can't be used comes as the error that says why.

    Raises
    ------
    InputError
        If a table as a whole can't be understood.
    """
    for table in tables:
        if not table.order:
            exposure = table.part.get(EXPOSURE, "")
            for spectrum in spectra_of(table, axis, stated):
                yield spectrum if isinstance(spectrum, InputError) else replace(spectrum, exposure=exposure)
    pieces = [table for table in tables if table.order]
    for exposure in dict.fromkeys(table.part.get(EXPOSURE, "") for table in pieces):
        found = _one([table for table in pieces if table.part.get(EXPOSURE, "") == exposure], axis, stated)
        yield found if isinstance(found, InputError) or not exposure else _of_exposure(found, exposure)


def _of_exposure(spectrum: ObservedSpectrum, exposure: str) -> ObservedSpectrum:
    """A spectrum whose name tells which of its file's exposures it is."""
    return replace(spectrum, name=f"{spectrum.name.partition('[')[0]}[exposure {exposure}]", exposure=exposure)


def _one(tables: Sequence[RawTable], axis: WavelengthAxis, stated: Stated) -> ObservedSpectrum | InputError:
    found: list[ObservedSpectrum] = []
    refused: list[InputError] = []
    for table in tables:
        for spectrum in spectra_of(table, axis, stated):
            if isinstance(spectrum, ObservedSpectrum):
                found.append(spectrum)
            else:
                refused.append(spectrum)
    other = [error for error in refused if not isinstance(error, ElsewhereError)]
    if found:
        return joined(found).with_notes(*(f"a piece is left out: {error}" for error in other))
    if other or len(tables) == 1:
        return (other or refused)[0]
    return ElsewhereError(f"none of the file's {len(tables)} pieces lies on the model's axis, such as {refused[0]}")


def joined(pieces: Sequence[ObservedSpectrum]) -> ObservedSpectrum:
    """One spectrum of pieces in one medium, each with its own continuum; those that overlap meet in the middle."""
    parts = [part for piece in pieces for part in _parts(piece)]
    ordered = sorted(parts, key=lambda piece: float(piece.wavelength[0]))
    kept = [ordered[0]]
    for piece in ordered[1:]:
        before = kept[-1]
        middle = (float(before.wavelength[-1]) + float(piece.wavelength[0])) / 2.0
        if middle >= float(piece.wavelength[0]):
            lower, upper = before.wavelength < middle, piece.wavelength >= middle
            if lower.sum() < FEWEST or upper.sum() < FEWEST:
                # One lies in the other: the longer says more.
                kept[-1] = max(before, piece, key=lambda one: len(one.wavelength))
                continue
            kept[-1], piece = before.only(lower), piece.only(upper)
        kept.append(piece)
    first = kept[0]
    wavelength, flux, error = bridged(
        np.concatenate([piece.wavelength for piece in kept]),
        np.concatenate([piece.flux for piece in kept]),
        np.concatenate([piece.error for piece in kept]),
    )
    several = len(pieces) > 1
    return replace(
        first,
        name=first.name.rpartition("[")[0] if several and first.name.endswith("]") else first.name,
        wavelength=wavelength,
        flux=flux,
        error=error,
        notes=tuple(dict.fromkeys(note for piece in ordered for note in piece.notes)),
        reading=_reading([piece.reading for piece in pieces]) if several else first.reading,
        ends=tuple(int(np.searchsorted(wavelength, piece.wavelength[-1])) for piece in kept[:-1]),
    )


def _parts(spectrum: ObservedSpectrum) -> list[ObservedSpectrum]:
    """A spectrum's own pieces, one by one."""
    if not spectrum.ends:
        return [spectrum]
    numbers = np.arange(len(spectrum.wavelength))
    return [spectrum.only((numbers >= part.start) & (numbers < part.stop)) for part in spectrum.orders]


def _reading(readings: Sequence[str]) -> str:
    """What was read of all pieces, and then of each what differs."""
    parts = [reading.split("; ") for reading in readings]
    common = [part for part in parts[0] if all(part in other for other in parts)]
    own = [", ".join(part for part in piece if part not in common) for piece in parts]
    return "; ".join([*common, f"{len(readings)} pieces, each with its own continuum", *filter(None, own)])
