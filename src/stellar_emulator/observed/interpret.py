"""Turns raw tables into observed spectra: identifies columns, unit and medium, and missing and impossible values."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.axis import SPEED_OF_LIGHT, WavelengthAxis
from stellar_emulator.contract.medium import Medium
from stellar_emulator.errors import InputError
from stellar_emulator.observed import gaia_archive
from stellar_emulator.observed.columns import ERRORS, WAVELENGTH, Columns, find_columns, misspelt, needed
from stellar_emulator.observed.conventions import stated_frame, stated_medium
from stellar_emulator.observed.flux_errors import LARGEST, as_deviation
from stellar_emulator.observed.no_data import bridged, fillings, flagged, level_of, meaningless, zeros
from stellar_emulator.observed.raw import RawTable
from stellar_emulator.observed.spectrum import ObservedSpectrum, noise_of
from stellar_emulator.observed.units import Unit, fitting_unit, in_angstrom, linear, looks_logarithmic, parse_unit
from stellar_emulator.observed.velocity import FASTEST

FEWEST = 50
"""Smallest number of pixels with a flux; fewer constrain nothing."""

NUMERIC = "fiuUSO"
"""Kinds of arrays that may hold numbers; others, such as complex numbers and dates, would be cast to numbers."""

LEAST_NOISE = 1e-6
"""Smallest noise relative to the flux; no spectrum has less."""

MOST_FLAGGED = 0.5
"""Of the pixels with a flux: a mask of more is more likely to mark the good ones."""

WIDE_GAP = 20.0
"""Angstrom: wider than what is cut out around a line."""

MEDIA_DIFFER = 3e-4
"""Of a wavelength, between air and vacuum, rounded up."""

RESOLUTION_CARDS = ("spec_res", "specres", "resolution", "resolutn")


@dataclass(frozen=True)
class Stated:
    """What the user states over what files do; None: the files say.

    signal_to_noise: of spectra without errors; flags: whether masks of files are used; resolution: of the spectra,
    wavelength over FWHM.
    """

    unit: str | None = None
    medium: Medium | None = None
    signal_to_noise: float | None = None
    flags: bool = True
    resolution: float | None = None


class ElsewhereError(InputError):
    """A spectrum has no pixel on the model's axis."""


def spectra_of(table: RawTable, axis: WavelengthAxis, stated: Stated) -> Iterator[ObservedSpectrum | InputError]:
    """Spectra of a table near a contract's ``axis``: one, or one for each row of arrays, or one for the rows of each
    source.

    A spectrum that can't be used is returned as an error with the reason, so that the others of its file can be used.

    Raises
    ------
    InputError
        If the table as a whole can't be understood.
    """
    columns = find_columns(table)
    for piece in _pieces(table, columns):
        try:
            yield _spectrum(piece, table, columns, axis, stated)
        except InputError as error:
            error.about = piece.name
            yield error


@dataclass(frozen=True)
class _Piece:
    """One spectrum's numbers as they stand in the file; None: the file holds none.

    method: how Gaia's archive normalised it.
    """

    name: str
    wavelength: NDArray[np.float64] | None
    flux: NDArray[np.float64]
    error: NDArray[np.float64] | None
    mask: NDArray[np.int64] | None
    method: int | None = None


def _pieces(table: RawTable, columns: Columns) -> Iterator[_Piece]:
    flux = _numbers(table, columns.flux)
    if not len(flux):
        raise InputError(f"{table.name} has no rows")
    if _by_row(flux):
        yield from _rows(table, columns, flux)
        return
    wavelength = _numbers(table, columns.wavelength or needed(table, WAVELENGTH))
    error = None if columns.error is None else _numbers(table, columns.error)
    mask = None if columns.mask is None else _flags(table, columns.mask, columns.good)
    for column, array in ((columns.wavelength, wavelength), (columns.error, error), (columns.mask, mask)):
        if array is not None and len(array) != len(flux):
            raise InputError(f"{table.name}: {column} has {len(array)} values, {columns.flux} {len(flux)}")
    names = _names(table, columns, len(flux))
    sources = [""] if names is None else list(dict.fromkeys(names))
    if table.rows is not None and max(table.rows) >= len(sources):
        raise InputError(f"{table.name} has no row {max(table.rows)}: it holds {len(sources)} spectra, from 0")
    if names is None:
        yield _Piece(table.stated("source_id", "name", "object") or table.name, wavelength, flux, error, mask)
        return
    for source in sources if table.rows is None else [sources[row] for row in table.rows]:
        rows = np.array([name == source for name in names])
        own, flags = None if error is None else error[rows], None if mask is None else mask[rows]
        method = _method(table, int(np.argmax(rows)), len(flux))
        yield _Piece(source, wavelength[rows], flux[rows], own, flags, method)


def _names(table: RawTable, columns: Columns, count: int) -> list[str] | None:
    """Names of rows; several epochs of one source have the epoch's name besides."""
    if columns.name is None or len(table.columns[columns.name]) != count:
        return None
    names = [str(name) for name in table.columns[columns.name].tolist()]
    epoch = table.column(gaia_archive.EPOCH)
    if epoch is None or len(table.columns[epoch]) != count:
        return names
    return [f"{name} {at}" for name, at in zip(names, table.columns[epoch].tolist(), strict=True)]


def _method(table: RawTable, row: int, rows: int) -> int | None:
    column = table.column((gaia_archive.NORMALISATION,))
    if column is None or len(table.columns[column]) != rows:
        return None
    value = _floats(table, column, table.columns[column])[row]
    return int(value) if np.isfinite(value) else None


def _rows(table: RawTable, columns: Columns, flux: NDArray[Any]) -> Iterator[_Piece]:
    """A spectrum for each row of arrays."""
    count = len(flux)
    arrays = {name: None if name is None else _numbers(table, name) for name in (columns.wavelength, columns.error)}
    wavelength = arrays[columns.wavelength]
    if wavelength is not None and not _by_row(wavelength) and flux.ndim == 2:
        pixels = flux.shape[1]
        if len(wavelength) == count != pixels:
            raise InputError(
                f"{table.name}: {columns.flux} has the shape {flux.shape}, its wavelengths are {len(wavelength)}: "
                "transpose the flux, one row a spectrum"
            )
    masks = None if columns.mask is None else table.columns[columns.mask]
    names = _names(table, columns, count)
    if table.rows is not None and max(table.rows) >= count:
        raise InputError(f"{table.name} has no row {max(table.rows)}: it has {count}, from 0")
    for row in range(count) if table.rows is None else table.rows:
        name = names[row] if names is not None else table.name + (f"[{row}]" if count > 1 else "")
        own, error = (
            None if array is None else _of_row(table, str(column), array, row, count)
            for column, array in ((columns.wavelength, wavelength), (columns.error, arrays[columns.error]))
        )
        mask = None
        if masks is not None and columns.mask is not None:
            given = masks[row] if _by_row(masks) and len(masks) == count else masks
            mask = _as_flags(table, columns.mask, given, columns.good)
        flux_of_row = _floats(table, columns.flux, flux[row])
        yield _Piece(name, own, flux_of_row, error, mask, _method(table, row, count))


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


def _flags(table: RawTable, name: str, good: bool) -> NDArray[np.int64] | None:
    """A column of flags in which 0 is good; None if it has one flag for all pixels, which says nothing of any."""
    return _as_flags(table, name, table.columns[name], good)


def _as_flags(table: RawTable, name: str, values: Any, good: bool) -> NDArray[np.int64]:
    given = np.asarray(values)
    if given.dtype.kind in "US":
        words = np.char.lower(np.char.strip(given.astype(str)))
        given = np.where(np.isin(words, ("false", "f", "0", "", "nan")), 0, 1)
    if given.dtype.kind not in "biuf":
        raise InputError(f"{table.name}: column {name} holds {given.dtype}: give flags as whole numbers, 0 for good")
    flags = np.where(np.isnan(given), 1, given).astype(np.int64) if given.dtype.kind == "f" else given.astype(np.int64)
    return np.where(flags == 0, 1, 0) if good else flags


def _spectrum(
    piece: _Piece, table: RawTable, columns: Columns, axis: WavelengthAxis, stated: Stated
) -> ObservedSpectrum:
    notes = list(table.told.notes)
    if piece.method in gaia_archive.METHODS:
        notes.append(f"the archive's spectrum is {gaia_archive.METHODS[piece.method]}")
    wavelength, unit = _wavelength(piece, table, columns, stated)
    _check_shapes(piece, wavelength)
    padding = ~np.isfinite(wavelength) & ~(np.isfinite(piece.flux) & (piece.flux != 0.0))
    if padding.any():
        piece, wavelength = _without(piece, padding), wavelength[~padding]
        _check_shapes(piece, wavelength)
    if not np.isfinite(wavelength).all():
        pixel = int(np.argmin(np.isfinite(wavelength)))
        raise InputError(f"{piece.name}: wavelength of pixel {pixel} is not finite")
    unit = unit or _guessed(piece.name, wavelength, axis, notes)
    angstroms = in_angstrom(piece.name, linear(wavelength, unit.scale), unit.name)
    archive = gaia_archive.archive_of(np.sort(angstroms) / 10.0)
    if archive is not None and not table.told.form:
        told = replace(table.told, form=archive.form, frame=archive.frame, because="as Gaia's archive has them")
        table = replace(table, told=told)
    near = _near(piece.name, wavelength, angstroms, unit, axis)
    order = np.argsort(angstroms, kind="stable")
    order = order[near[order]]
    angstroms, flux = angstroms[order], piece.flux[order]
    if (np.diff(angstroms) <= 0).any():
        twice = float(angstroms[int(np.argmax(np.diff(angstroms) <= 0))])
        raise InputError(f"{piece.name}: wavelength {twice:.4f} A stands twice: give one spectrum, orders merged")
    huge = np.isfinite(flux) & (np.abs(flux) > LARGEST)
    if huge.any():
        pixel = int(np.argmax(huge))
        raise InputError(
            f"{piece.name}: flux {flux[pixel]:g} at {angstroms[pixel]:.2f} A is beyond {LARGEST:g}: leave the "
            "pixel out (NaN), or give the flux in another unit"
        )
    given = None if piece.error is None else piece.error[order]
    mask = None if piece.mask is None or not stated.flags else piece.mask[order]
    left_out, why = _left_out(piece.name, angstroms, flux, mask, table, columns)
    error = _errors(piece.name, angstroms, np.where(left_out, np.nan, flux), given, table, columns, stated, notes)
    silent = meaningless(np.where(left_out, np.nan, flux), error)
    for pixels, what in ((~np.isfinite(error), "without an error"), (silent, "with errors far above the flux")):
        if (pixels & ~left_out).any():
            why.append(f"{(pixels & ~left_out).sum()} {what}")
            left_out |= pixels
    medium, from_where = _medium(piece.name, archive is not None, table, columns, stated)
    resolution = stated.resolution or _resolution(table) or table.told.resolution
    inside = int(((angstroms >= axis.edges[0]) & (angstroms <= axis.edges[-1])).sum())
    reading = _reading(table, columns, unit, f"{medium} ({from_where})", stated, why, (inside, len(near)))
    left_out |= ~np.isfinite(flux)
    kept = bridged(*_trimmed(piece.name, angstroms, flux, np.where(left_out, np.inf, error), notes))
    measured = np.isfinite(flux) & (flux != 0.0) & ~fillings(flux)
    ends = _pieces_of(kept[0], np.isfinite(kept[2]), angstroms[measured])
    if ends:
        reading += f"; {len(ends) + 1} pieces, each with its own continuum"
    return ObservedSpectrum(
        piece.name,
        kept[0],
        medium,
        kept[1],
        kept[2],
        tuple(notes),
        reading,
        ends,
        resolution,
        None if archive is None else gaia_archive.DETECTOR,
        given is None and stated.signal_to_noise is None,
    )


def _pieces_of(
    wavelength: NDArray[np.float64], usable: NDArray[np.bool_], measured: NDArray[np.float64]
) -> tuple[int, ...]:
    """Numbers of the last pixels before wide gaps between ``measured`` wavelengths, where orders or chips end.

    Flagged pixels were measured, and gaps beside few pixels are none.
    """
    gaps = np.flatnonzero(np.diff(measured) > WIDE_GAP)
    ends = np.searchsorted(wavelength, measured[gaps], side="right") - 1
    counts = [int(part.sum()) for part in np.split(usable, ends + 1)]
    return tuple(int(end) for end in ends) if len(ends) and min(counts) >= FEWEST else ()


def _without(piece: _Piece, padding: NDArray[np.bool_]) -> _Piece:
    """A piece without the pixels that fill its row up to the length of others."""
    kept = ~padding
    error = None if piece.error is None else piece.error[kept]
    mask = None if piece.mask is None else piece.mask[kept]
    return replace(piece, flux=piece.flux[kept], error=error, mask=mask)


def _check_shapes(piece: _Piece, wavelength: NDArray[np.float64]) -> None:
    for what, array in (("wavelengths", wavelength), ("errors", piece.error), ("flags", piece.mask)):
        if array is not None and len(array) != len(piece.flux):
            raise InputError(f"{piece.name} has {len(piece.flux)} fluxes and {len(array)} {what}")
        if array is not None and (array.ndim != 1 or piece.flux.ndim != 1):
            raise InputError(f"{piece.name} has fluxes of shape {piece.flux.shape}, {what} of {array.shape}: give rows")
    if len(wavelength) < FEWEST:
        raise _too_few(piece.name, len(wavelength))


def _too_few(name: str, pixels: int) -> InputError:
    return InputError(f"{name} has {pixels} pixels with a flux and an error: at least {FEWEST} are needed")


def _wavelength(
    piece: _Piece, table: RawTable, columns: Columns, stated: Stated
) -> tuple[NDArray[np.float64], Unit | None]:
    """Wavelengths and their unit, None if neither file nor user states it."""

    def unit_of(*texts: str | None) -> Unit | None:
        return next((unit for text in (stated.unit, *texts) if (unit := parse_unit(piece.name, text))), None)

    if piece.wavelength is not None:
        own = table.units.get(columns.wavelength or "")
        unit = unit_of(own, columns.unit, table.stated("wavelength_unit", "cunit1"))
        if columns.scale != "linear" and stated.unit is None:
            unit = Unit(unit.name if unit else "Angstrom", columns.scale)
        return piece.wavelength, unit
    if listed := table.stated("wavelength"):
        return _listed(table, listed), unit_of(table.stated("wavelength_unit"))
    start, step = table.stated("wavelength_start"), table.stated("wavelength_step")
    if start and step:
        first, width = _floats(table, "wavelength_start", start), _floats(table, "wavelength_step", step)
        return first + width * np.arange(len(piece.flux)), unit_of(table.stated("wavelength_unit"))
    archive = gaia_archive.axis_of(len(piece.flux))
    if archive is not None and table.column(("source_id",)):
        return archive.wavelengths(), Unit(gaia_archive.UNIT)
    return _numbers(table, needed(table, WAVELENGTH)), None


def _listed(table: RawTable, text: str) -> NDArray[np.float64]:
    """Wavelengths that a file's metadata list as JSON."""
    try:
        return np.array(json.loads(text), dtype=np.float64).ravel()
    except (ValueError, TypeError) as error:
        raise InputError(f"{table.name}: wavelength in its metadata is no list of numbers: {text:.40}") from error


def _guessed(name: str, wavelength: NDArray[np.float64], axis: WavelengthAxis, notes: list[str]) -> Unit:
    """The one unit that puts a spectrum on the axis, where nobody states any."""
    unit = fitting_unit(wavelength, axis)
    if unit is not None:
        angstroms = in_angstrom(name, wavelength, unit)
        inside = (angstroms > axis.start) & (angstroms < axis.stop)
        # Numbers of pixels lie on the axis too, as a few nanometres.
        counted = wavelength[0] in (0.0, 1.0) and np.all(np.diff(wavelength) == 1.0)
        coarse = np.median(np.abs(np.diff(angstroms))) > (axis.stop - axis.start) / FEWEST
        if counted or (inside.sum() < FEWEST and coarse):
            raise InputError(
                f"{name}: wavelengths {wavelength.min():g} to {wavelength.max():g} have no unit, and look like numbers "
                "of pixels: calibrate them, or state --unit"
            )
        if gaia_archive.archive_of(np.sort(angstroms) / 10.0) is None:
            notes.append(f"the file states no wavelength unit: taken as {unit}, the only one on the model's axis")
        return Unit(unit)
    scale = looks_logarithmic(wavelength)
    if scale is not None:
        raise InputError(
            f"{name}: wavelengths {wavelength.min():g} to {wavelength.max():g} have no unit, and look like {scale} of "
            f"Angstrom: state --unit '{scale}(Angstrom)'"
        )
    raise _elsewhere(name, wavelength, None, axis)


def _near(
    name: str, wavelength: NDArray[np.float64], angstroms: NDArray[np.float64], unit: Unit, axis: WavelengthAxis
) -> NDArray[np.bool_]:
    """Pixels that some velocity, in some medium, puts on the axis."""
    room = 1.0 + FASTEST / SPEED_OF_LIGHT + MEDIA_DIFFER
    near = (angstroms >= axis.start / room) & (angstroms <= axis.stop * room)
    if not near.any():
        raise _elsewhere(name, wavelength, unit, axis)
    return np.asarray(near)


def _elsewhere(name: str, wavelength: NDArray[np.float64], unit: Unit | None, axis: WavelengthAxis) -> ElsewhereError:
    fits = fitting_unit(wavelength, axis)
    wrong = fits is not None and (unit is None or unit.scale != "linear" or unit.name != fits)
    remedy = f"they look like {fits}: state --unit {fits}" if wrong else "take a model of another contract"
    shown = linear(wavelength, unit.scale) if unit else wavelength
    return ElsewhereError(
        f"{name}: wavelengths {shown.min():g} to {shown.max():g} {unit.name if unit else ''} lie outside the model's "
        f"{axis.start:g} to {axis.stop:g} {axis.unit}: {remedy}"
    )


def _medium(name: str, archive: bool, table: RawTable, columns: Columns, stated: Stated) -> tuple[Medium, str]:
    """The medium, and by whom it is known."""
    if stated.medium:
        return stated.medium, "--medium"
    if found := stated_medium(table, columns.wavelength):
        return found
    if archive:
        return gaia_archive.MEDIUM, "Gaia's archive"
    raise InputError(f"{name} does not state whether its wavelengths are in air or in vacuum: state --medium")


def _resolution(table: RawTable) -> float | None:
    text = table.stated(*RESOLUTION_CARDS)
    try:
        value = float(text) if text else 0.0
    except ValueError:
        return None
    return value if 100.0 < value < 1e7 else None


def _left_out(
    name: str,
    wavelength: NDArray[np.float64],
    flux: NDArray[np.float64],
    mask: NDArray[np.int64] | None,
    table: RawTable,
    columns: Columns,
) -> tuple[NDArray[np.bool_], list[str]]:
    """Pixels that hold no data by flag or by value, and why, for people."""
    left_out, why = ~np.isfinite(flux), []
    if left_out.any():
        why.append(f"{left_out.sum()} without a number")
    if mask is not None:
        flags = flagged(mask, table.told.fatal) & ~left_out
        if flags.sum() > MOST_FLAGGED * (~left_out).sum():
            raise InputError(
                f"{name}: {columns.mask} flags {flags.sum()} of {(~left_out).sum()} pixels: if 0 marks the bad ones, "
                "call it good; --flags ignore does without it"
            )
        if flags.any():
            why.append(f"{flags.sum()} flagged by {columns.mask}")
        left_out = left_out | flags
    for pixels, what in (
        (zeros(flux), "of zero flux"),
        (fillings(np.where(left_out, np.nan, flux)), "in runs of equal flux"),
    ):
        new = pixels & ~left_out
        if new.any():
            why.append(f"{new.sum()} {what}")
            left_out = left_out | new
    return left_out, why


def _errors(
    name: str,
    wavelength: NDArray[np.float64],
    flux: NDArray[np.float64],
    given: NDArray[np.float64] | None,
    table: RawTable,
    columns: Columns,
    stated: Stated,
    notes: list[str],
) -> NDArray[np.float64]:
    """Standard deviations, infinite where there are none; flux: NaN where it is left out."""
    if given is not None:
        return as_deviation(name, str(columns.error), columns.errors, wavelength, flux, given)
    level = level_of(flux)
    if stated.signal_to_noise is not None:
        return np.full(len(flux), level * max(1.0 / stated.signal_to_noise, LEAST_NOISE))
    noise = max(noise_of(flux), level * LEAST_NOISE)
    hint = misspelt(table, tuple(name for names in ERRORS.values() for name in names))
    notes.append(f"the file holds no flux errors: taken from the pixels' scatter, {noise:.2g}{hint}")
    return np.full(len(flux), noise)


def _reading(
    table: RawTable,
    columns: Columns,
    unit: Unit,
    medium: str,
    stated: Stated,
    why: Sequence[str],
    pixels: tuple[int, int],
) -> str:
    """What was read, in one line; pixels: on the model's axis, and of all."""
    if columns.error is not None:
        kinds = {"deviation": "", "variance": ", variances", "relative": ", relative to the flux"}
        errors = f"errors from {columns.error}{kinds.get(columns.errors, ', inverse variances')}"
    else:
        errors = "errors from --snr" if stated.signal_to_noise else "errors from the pixels' scatter"
    frame = stated_frame(table)
    mask = []
    if columns.mask is not None and not stated.flags:
        mask = [f"{columns.mask} ignored"]
    return "; ".join(
        [
            table.told.form or "spectrum",
            *(f"{key} {value}" for key, value in table.part.items()),
            f"wavelengths in {unit}",
            medium,
            f"{frame[0]} ({frame[1]})" if frame else "frame not stated",
            errors,
            *mask,
            f"{pixels[1]} pixels" + (f", cut to {pixels[0]} on the model's axis" if pixels[0] < pixels[1] else ""),
            *([f"left out: {', '.join(why)}"] if why else []),
        ]
    )


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
    seen = np.flatnonzero(usable)
    part = slice(seen[0], seen[-1] + 1)
    wavelength, flux, error, usable = wavelength[part], flux[part], error[part], usable[part]
    if not usable.all():
        missing = wavelength[~usable]
        if len(missing) == 1:
            notes.append(f"1 pixel inside ({missing[0]:.1f} A) holds no flux and is left out")
        else:
            ends = f"{missing[0]:.1f} to {missing[-1]:.1f} A"
            notes.append(f"{len(missing)} pixels inside ({ends}) hold no flux and are left out")
    return wavelength, np.where(usable, flux, 0.0), error
