"""Spectra in images of FITS files that belong to no survey: what each image is, is taken from its name."""

from dataclasses import replace

import numpy as np

from stellar_emulator.errors import InputError
from stellar_emulator.observed.raw import ErrorKind, RawTable, Told
from stellar_emulator.observed.readers.fits_axis import has_axis, unit_of, wavelengths
from stellar_emulator.observed.readers.fits_file import FitsFile, Hdu
from stellar_emulator.observed.selection import ROW, Selection

FLUX = ("flux", "data", "spectrum", "spec", "sci", "normalised", "normalized")
WAVELENGTH = ("wavelength", "wave", "lambda", "wavelengths")
ERRORS: dict[str, ErrorKind] = {
    **dict.fromkeys(
        ("error", "err", "errors", "uncertainty", "uncert", "sigma", "std", "stddev", "noise", "errs"), "deviation"
    ),
    **dict.fromkeys(("ivar", "inverse variance", "invvar"), "inverse variance"),
    **dict.fromkeys(("var", "variance", "stat"), "variance"),
    **dict.fromkeys(("relative_error", "rel_error"), "relative"),
}
"""What an image of errors holds, by its name; STAT is ESO's and MUSE's for variances."""

MASK = ("mask", "dq", "quality", "qual", "flags", "flag", "bpm", "badpix")


class UnknownLayoutError(InputError):
    """What the images of a file are can't be told; nothing in it is known to be wrong."""


def read_images(file: FitsFile, selection: Selection | None = None) -> list[RawTable]:
    """One table of an image of spectra: (pixels,) one spectrum, (n, pixels) one a row.

    selection: which image is the flux, where the user says so.

    Raises
    ------
    UnknownLayoutError
        If it can't be told which image is the flux, or which wavelengths it has.
    InputError
        If something in it is wrong.
    """
    flux = _selected(file, selection) or _flux(file)
    wave = _of(file, WAVELENGTH)
    error = next((hdu for hdu in file.images if hdu is not flux and hdu.name.lower() in ERRORS), None)
    mask = _of(file, MASK)
    values = np.asarray(flux.image, dtype=np.float64)
    if values.ndim == 2 and 1 in values.shape[:1]:
        values = values[0]
    _require_rows(flux)
    if values.ndim not in (1, 2):
        raise InputError(f"{file.path} holds an image of shape {values.shape}: give one row a spectrum")
    columns = {"flux": np.atleast_2d(values)}
    notes: tuple[str, ...] = ()
    units: dict[str, str] = {}
    if wave is not None:
        columns["wavelength"] = np.asarray(wave.image, dtype=np.float64)
        units["wavelength"] = str(wave.header.get("BUNIT", "")).strip() or unit_of(wave)
    else:
        axis = _axis(file, flux)
        columns["wavelength"], notes = wavelengths(axis, values.shape[-1])
        units["wavelength"] = unit_of(axis)
    if error is not None:
        columns[error.name] = np.atleast_2d(np.asarray(error.image, dtype=np.float64).squeeze())
    if mask is not None and mask.image is not None:
        columns[mask.name] = np.atleast_2d(np.asarray(mask.image).squeeze())
        if columns[mask.name].shape[-1] != values.shape[-1]:
            raise InputError(
                f"{file.path}: {mask.name} has {columns[mask.name].shape[-1]} flags, the flux {values.shape[-1]}"
            )
    told = Told(
        form="FITS image",
        error=error.name if error else None,
        errors=ERRORS[error.name.lower()] if error else None,
        notes=(*file.notes, *notes),
    )
    header = {**file.primary, **flux.header}
    header.pop("OBJECT", None)
    return [RawTable(str(file.path), columns, {k: v for k, v in units.items() if v}, header, told, flux.part)]


ROWS = (
    "",
    "linear",
    "pixel",
    "aperture",
    "fiber",
    "fibre",
    "spectrum",
    "row",
    "order",
    "index",
    "spectrum number",
    "chip",
)
"""What the second axis of an image of spectra may count, in small letters."""


def _require_rows(flux: Hdu) -> None:
    """Refuse an image whose header says that its rows are no spectra."""
    first, second = (str(flux.header.get(f"CTYPE{axis}", "")).strip() for axis in (1, 2))
    if second.lower() in WAVELENGTH and first.lower() in ROWS[1:]:
        raise InputError(f"{flux.path}: wavelengths run along axis 2 (CTYPE2 = '{second}'): transpose the image")
    if flux.image is not None and flux.image.ndim == 2 and second.lower() not in (*ROWS, *WAVELENGTH):
        raise InputError(f"{flux.path}: its rows are no spectra: along axis 2 runs CTYPE2 = '{second}'")


def _of(file: FitsFile, names: tuple[str, ...]) -> Hdu | None:
    return next((hdu for name in names for hdu in file.images if hdu.name.lower() == name), None)


def _selected(file: FitsFile, selection: Selection | None) -> Hdu | None:
    """The one image that the user names; None if nobody does, or several fit."""
    if selection is None or not set(selection.wanted) - {ROW}:
        return None
    found = [hdu for hdu in file.images if selection.matches(hdu.part)]
    return found[0] if len(found) == 1 else None


def _flux(file: FitsFile) -> Hdu:
    """The image whose name says flux; else the only one that isn't something else by its name."""
    named = _of(file, FLUX)
    if named is not None:
        return named
    other = {*WAVELENGTH, *ERRORS, *MASK}
    left = [hdu for hdu in file.images if hdu.name.lower() not in other]
    if len(left) > 1:
        # Beside the spectrum may lie images without an axis, of what was taken off it.
        with_axis = [hdu for hdu in left if has_axis(hdu)]
        left = with_axis if len(with_axis) == 1 else left
        if left[0].number == 0 and not left[0].name:
            left = left[:1]
    if len(left) != 1:
        there = ", ".join(f"{hdu.number} {hdu.name or 'unnamed'} {_shape(hdu)}" for hdu in file.images)
        raise UnknownLayoutError(
            f"{file.path}: which of its images is the flux can't be told: {there}: --select hdu=N says it"
        )
    return left[0]


def _axis(file: FitsFile, flux: Hdu) -> Hdu:
    """The HDU whose header has the wavelength axis: the flux's own, or the first one."""
    if has_axis(flux):
        return replace(flux, header={**file.primary, **flux.header})
    if has_axis(file.hdus[0]):
        return file.hdus[0]
    raise UnknownLayoutError(
        f"{file.path} holds an image of shape {_shape(flux)} without the wavelength axis CRVAL1, CDELT1"
    )


def _shape(hdu: Hdu) -> tuple[int, ...]:
    return () if hdu.image is None else hdu.image.shape
