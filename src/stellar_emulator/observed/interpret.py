"""Turns raw tables into observed spectra: identifies columns, unit and medium, and missing and impossible values."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.axis import WavelengthAxis
from stellar_emulator.contract.medium import Medium
from stellar_emulator.errors import InputError
from stellar_emulator.observed import gaia_archive
from stellar_emulator.observed.raw import ERROR, FLUX, NAME, WAVELENGTH, RawTable
from stellar_emulator.observed.spectrum import ObservedSpectrum, noise_of
from stellar_emulator.observed.units import fitting_unit, in_angstrom

FEWEST = 50
"""Smallest number of pixels with a flux; fewer constrain nothing."""

NUMERIC = "fiuUSO"
"""Kinds of arrays that may hold numbers; others, such as complex numbers and dates, would be cast to numbers."""

SMALLEST, LARGEST = 1e-37, 1e37
"""Approximate range of single precision; squares of numbers far beyond it would overflow."""

LEAST_NOISE = 1e-6
"""Smallest noise relative to the flux; no spectrum has less."""

FILE_MEDIA = {"awav": "air", "wave": "vacuum", "air": "air", "vacuum": "vacuum", "vac": "vacuum"}


@dataclass(frozen=True)
class Stated:
    """The user's statements, which override those of files; None leaves it to the file. signal_to_noise: for spectra
    without errors."""

    unit: str | None = None
    medium: Medium | None = None
    signal_to_noise: float | None = None


def spectra_of(table: RawTable, axis: WavelengthAxis, stated: Stated) -> Iterator[ObservedSpectrum | InputError]:
    """Spectra of a table near a contract's ``axis``: one, or one for each row of arrays, or one for the rows of each
    source.

    A spectrum that can't be used is returned as an error with the reason, so that the others of its file can be used.

    Raises
    ------
    InputError
        If the table as a whole can't be understood.
    """
    for piece in _pieces(table):
        try:
            yield _spectrum(piece, table, axis, stated)
        except InputError as error:
            yield error


@dataclass(frozen=True)
class _Piece:
    """One spectrum's numbers as they are in the file; wavelength None: the file has none."""

    name: str
    wavelength: NDArray[np.float64] | None
    flux: NDArray[np.float64]
    error: NDArray[np.float64] | None


def _pieces(table: RawTable) -> Iterator[_Piece]:
    flux_name = table.needed(FLUX)
    wavelength_name, error_name, name_column = table.column(WAVELENGTH), table.column(ERROR), table.column(NAME)
    flux = _numbers(table, flux_name)
    wavelength = None if wavelength_name is None else _numbers(table, wavelength_name)
    error = None if error_name is None else _numbers(table, error_name)
    if not len(flux):
        raise InputError(f"{table.name} has no rows")
    names = None if name_column is None else table.columns[name_column]
    if names is not None and len(names) != len(flux):
        names = None
    if _by_row(flux):
        for row, spectrum in enumerate(flux):
            name = str(names[row]) if names is not None else table.name + (f"[{row}]" if len(flux) > 1 else "")
            own, one_error = (
                None if array is None else _of_row(table, str(column), array, row, len(flux))
                for column, array in ((wavelength_name, wavelength), (error_name, error))
            )
            yield _Piece(name, own, _floats(table, flux_name, spectrum), one_error)
        return
    wavelength = _numbers(table, table.needed(WAVELENGTH))
    for column, array in ((wavelength_name, wavelength), (error_name, error)):
        if array is not None and len(array) != len(flux):
            raise InputError(f"{table.name}: {column} has {len(array)} values, {flux_name} {len(flux)}")
    if names is None:
        yield _Piece(table.stated(*NAME) or table.name, wavelength, flux, error)
        return
    for source in dict.fromkeys(names.tolist()):
        rows = names == source
        yield _Piece(str(source), wavelength[rows], flux[rows], None if error is None else error[rows])


def _by_row(column: NDArray[Any]) -> bool:
    """Whether each row is an array, not a number."""
    return column.ndim > 1 or column.dtype.kind == "O"


def _of_row(table: RawTable, name: str, column: NDArray[Any], row: int, rows: int) -> NDArray[np.float64]:
    """The numbers of one row, or those that all rows share."""
    if not _by_row(column):
        return column
    if len(column) != rows:
        raise InputError(
            f"{table.name}: {name} has {len(column)} rows, the flux {rows}: give one for each, or one for all"
        )
    return _floats(table, name, column[row])


def _numbers(table: RawTable, name: str) -> NDArray[Any]:
    """A column as an array of numbers or of arrays of numbers; text of the form "[1.0, NaN]" is an array."""
    column = table.columns[name]
    if column.dtype.kind in "US" and len(column) and re.match(r"\s*[\[({]", str(column[0])):
        column = np.array([_array(table, name, str(cell)) for cell in column] + [None], dtype=object)[:-1]
    if column.dtype.kind == "O" and column.ndim == 1 and len(column) and isinstance(column[0], np.ndarray | list):
        return column
    return _floats(table, name, column)


def _floats(table: RawTable, name: str, values: Any) -> NDArray[np.float64]:
    given = np.asarray(values)
    if given.dtype.kind not in NUMERIC:
        raise InputError(f"{table.name}: column {name} holds {given.dtype}: give real numbers")
    try:
        return np.asarray(given, dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise InputError(f"{table.name}: column {name} holds something that is no number: {error}") from error


def _array(table: RawTable, name: str, text: str) -> NDArray[np.float64]:
    words = text.strip()[1:-1].replace("null", "nan").split(",")
    return _floats(table, name, [word.strip() or "nan" for word in words])


def _spectrum(piece: _Piece, table: RawTable, axis: WavelengthAxis, stated: Stated) -> ObservedSpectrum:
    notes: list[str] = []
    name = piece.name
    wavelength, unit = _wavelength(piece, table, stated)
    _check_shapes(piece, wavelength)
    if not np.isfinite(wavelength).all():
        raise InputError(f"{name}: wavelength of pixel {int(np.argmin(np.isfinite(wavelength)))} is not finite")
    if unit is None:
        unit = fitting_unit(wavelength, axis)
        if unit is None:
            raise _elsewhere(name, wavelength, None, axis)
        if not gaia_archive.is_archive_axis(in_angstrom(name, wavelength, unit) / 10.0):
            notes.append(f"the file states no wavelength unit: taken as {unit}, the only one on the model's axis")
    angstroms = in_angstrom(name, wavelength, unit)
    room = 0.02 * axis.start
    if angstroms.max() < axis.start - room or angstroms.min() > axis.stop + room:
        raise _elsewhere(name, wavelength, unit, axis)
    order = np.argsort(angstroms, kind="stable")
    angstroms, flux = angstroms[order], piece.flux[order]
    if (np.diff(angstroms) <= 0).any():
        twice = float(angstroms[int(np.argmax(np.diff(angstroms) <= 0))])
        raise InputError(f"{name}: wavelength {twice:.4f} A stands twice: give one spectrum, orders merged")
    given = None if piece.error is None else piece.error[order]
    huge = np.isfinite(flux) & (np.abs(flux) > LARGEST)
    if huge.any():
        pixel = int(np.argmax(huge))
        raise InputError(
            f"{name}: flux {flux[pixel]:g} at {angstroms[pixel]:.2f} A is beyond {LARGEST:g}: leave the pixel out "
            "(NaN), or give the flux in another unit"
        )
    error = _errors(name, angstroms, flux, given, stated, notes, table.misspelt(ERROR))
    error = np.where(np.isfinite(flux), error, np.inf)
    angstroms, flux, error = _trimmed(name, angstroms, flux, error, notes)
    medium = _medium(name, angstroms, table, stated)
    return ObservedSpectrum(name, angstroms, medium, flux, error, tuple(notes))


def _check_shapes(piece: _Piece, wavelength: NDArray[np.float64]) -> None:
    for what, array in (("wavelengths", wavelength), ("errors", piece.error)):
        if array is not None and len(array) != len(piece.flux):
            raise InputError(f"{piece.name} has {len(piece.flux)} fluxes and {len(array)} {what}")
        if array is not None and (array.ndim != 1 or piece.flux.ndim != 1):
            raise InputError(f"{piece.name} has fluxes of shape {piece.flux.shape}, {what} of {array.shape}: give rows")
    if len(wavelength) < FEWEST:
        raise _too_few(piece.name, len(wavelength))


def _too_few(name: str, pixels: int) -> InputError:
    return InputError(f"{name} has {pixels} pixels with a flux and an error: at least {FEWEST} are needed")


def _wavelength(piece: _Piece, table: RawTable, stated: Stated) -> tuple[NDArray[np.float64], str | None]:
    """Wavelengths and their unit, None if neither file nor user states it."""
    if piece.wavelength is not None:
        column = table.column(WAVELENGTH) or WAVELENGTH[0]
        return piece.wavelength, stated.unit or table.units.get(column) or table.stated("wavelength_unit", "cunit1")
    if listed := table.stated("wavelength"):
        return _listed(table, listed), stated.unit or table.stated("wavelength_unit")
    start, step = table.stated("wavelength_start"), table.stated("wavelength_step")
    if start and step:
        first, width = _floats(table, "wavelength_start", start), _floats(table, "wavelength_step", step)
        return first + width * np.arange(len(piece.flux)), stated.unit or table.stated("wavelength_unit")
    if len(piece.flux) == gaia_archive.COUNT and table.column(("source_id",)):
        return gaia_archive.archive_wavelengths(), gaia_archive.UNIT
    return _numbers(table, table.needed(WAVELENGTH)), None


def _listed(table: RawTable, text: str) -> NDArray[np.float64]:
    """Wavelengths that a file's metadata list as JSON."""
    try:
        return np.array(json.loads(text), dtype=np.float64).ravel()
    except (ValueError, TypeError) as error:
        raise InputError(f"{table.name}: wavelength in its metadata is no list of numbers: {text:.40}") from error


def _medium(name: str, angstroms: NDArray[np.float64], table: RawTable, stated: Stated) -> Medium:
    if stated.medium:
        return stated.medium
    for text in (table.stated("medium"), table.stated("airorvac"), (table.stated("ctype1") or "")[:4]):
        if text and text.lower() in FILE_MEDIA:
            return cast(Medium, FILE_MEDIA[text.lower()])
    if gaia_archive.is_archive_axis(angstroms / 10.0):
        return gaia_archive.MEDIUM
    raise InputError(f"{name} does not state whether its wavelengths are in air or in vacuum: state --medium")


def _elsewhere(name: str, wavelength: NDArray[np.float64], unit: str | None, axis: WavelengthAxis) -> InputError:
    fits = fitting_unit(wavelength, axis)
    remedy = f"they look like {fits}: state --unit {fits}" if fits else "take a model of another contract"
    return InputError(
        f"{name}: wavelengths {wavelength.min():g} to {wavelength.max():g} {unit or ''} lie outside the model's "
        f"{axis.start:g} to {axis.stop:g} {axis.unit}: {remedy}"
    )


def _errors(
    name: str,
    wavelength: NDArray[np.float64],
    flux: NDArray[np.float64],
    given: NDArray[np.float64] | None,
    stated: Stated,
    notes: list[str],
    hint: str,
) -> NDArray[np.float64]:
    if given is None:
        there = flux[np.isfinite(flux)]
        level = float(np.quantile(np.abs(there), 0.9)) if len(there) else 0.0
        if stated.signal_to_noise is not None:
            return np.full(len(flux), level * max(1.0 / stated.signal_to_noise, LEAST_NOISE))
        noise = max(noise_of(flux), level * LEAST_NOISE)
        notes.append(f"the file holds no flux errors: taken from the pixels' scatter, {noise:.2g}{hint}")
        return np.full(len(flux), noise)
    bad = np.isfinite(flux) & (given < SMALLEST)
    if bad.any():
        pixel = int(np.argmax(bad))
        raise InputError(
            f"{name}: flux error {given[pixel]:g} at {wavelength[pixel]:.2f} A is not above 0: leave the pixel out "
            "(NaN) or give its standard deviation"
        )
    return np.where(given < LARGEST, given, np.inf)


def _trimmed(
    name: str,
    wavelength: NDArray[np.float64],
    flux: NDArray[np.float64],
    error: NDArray[np.float64],
    notes: list[str],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Cut missing pixels off both ends, and note missing pixels inside."""
    usable = np.isfinite(error)
    if usable.sum() < FEWEST:
        raise _too_few(name, int(usable.sum()))
    ends = np.flatnonzero(usable)
    part = slice(ends[0], ends[-1] + 1)
    wavelength, flux, error, usable = wavelength[part], flux[part], error[part], usable[part]
    if not usable.all():
        missing = wavelength[~usable]
        notes.append(
            f"{len(missing)} pixels inside ({missing[0]:.1f} to {missing[-1]:.1f} A) hold no flux and are left out"
        )
    return wavelength, np.where(usable, flux, 0.0), error
