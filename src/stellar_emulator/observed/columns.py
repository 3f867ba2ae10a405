"""Which column of a table is what: wavelength, flux, error, mask, name. Names decide, whatever their case."""

import re
from dataclasses import dataclass

from stellar_emulator.contract.checks import nearest
from stellar_emulator.errors import InputError
from stellar_emulator.observed.raw import ErrorKind, RawTable, base_name
from stellar_emulator.observed.units import SPELLINGS, Scale

WAVELENGTH = (
    "wavelength",
    "wave",
    "lambda",
    "wavelengths",
    "waves",
    "wavel",
    "wl",
    "lam",
    "spectral_axis",
    "wave_air",
    "wave_vac",
    "lambda_air",
    "lambda_vac",
    "wavelength_air",
    "wavelength_vac",
    "opt_wave",
)
LOG_WAVELENGTH: dict[str, Scale] = {
    "loglam": "log10",
    "log_wave": "log10",
    "loglambda": "log10",
    "log10_wave": "log10",
    "logwave": "log10",
    "log_wavelength": "log10",
    "lnlam": "ln",
    "ln_wave": "ln",
    "lnwave": "ln",
}
"""Columns of logarithms of wavelengths; loglam is SDSS's and LAMOST's, log10 of Angstrom."""

FLUX = (
    "flux",
    "fluxes",
    "normalised_flux",
    "normalized_flux",
    "normalized flux",
    "norm_flux",
    "flux_norm",
    "spec",
    "spectrum",
    "intensity",
    "opt_counts",
    "flux_reduced",
)
ERRORS: dict[ErrorKind, tuple[str, ...]] = {
    "deviation": (
        "flux_error",
        "error",
        "flux_err",
        "flux_uncertainty",
        "uncertainty",
        "sigma",
        "sigmas",
        "err",
        "e_flux",
        "eflux",
        "std",
        "stddev",
        "noise",
        "unc",
        "uncert",
        "flux_sigma",
        "sigma_flux",
        "flux_std",
        "dflux",
        "err_flux",
        "fluxerr",
        "flux_unc",
        "err_reduced",
    ),
    "inverse variance": ("ivar", "flux_ivar", "ivar_flux", "inverse_variance", "invvar", "opt_counts_ivar"),
    "variance": ("variance", "var", "flux_var", "var_flux", "flux_variance", "stat"),
    "relative": ("relative_error", "rel_error", "flux_rel_error", "relative_flux_error"),
}
MASK = (
    "mask",
    "masks",
    "and_mask",
    "andmask",
    "pixmask",
    "pixel_flags",
    "quality",
    "qual",
    "dq",
    "flag",
    "flags",
    "bpm",
)
"""Columns in which 0 means that a pixel is good."""

GOOD = ("good", "usable", "opt_mask")
"""Columns in which anything but 0 does."""

NAME = ("source_id", "name", "object", "obj")

_ERROR_NAMES = tuple(name for names in ERRORS.values() for name in names)


@dataclass(frozen=True)
class Columns:
    """Names of columns, None where a table has none.

    scale: of the wavelengths; unit: of theirs, where the column's name ends with it; errors: what ``error`` holds;
    good: whether 0 in ``mask`` is bad.
    """

    flux: str
    wavelength: str | None
    scale: Scale
    unit: str | None
    error: str | None
    errors: ErrorKind
    mask: str | None
    good: bool
    name: str | None


def find_columns(table: RawTable) -> Columns:
    """Find what each column is.

    Raises
    ------
    InputError
        If there is no flux; the message has a hint at a misspelling.
    """
    flux = table.told.flux or needed(table, FLUX)
    wavelength, unit = _wavelength(table)
    scale: Scale = "linear"
    if wavelength is None:
        wavelength = table.column(tuple(LOG_WAVELENGTH))
        scale = LOG_WAVELENGTH[base_name(wavelength)] if wavelength else "linear"
    error, errors = _error(table)
    mask = table.column(MASK)
    good = None if mask else table.column(GOOD)
    return Columns(flux, wavelength, scale, unit, error, errors, mask or good, good is not None, table.column(NAME))


def _wavelength(table: RawTable) -> tuple[str | None, str | None]:
    """The column of wavelengths, and the unit that its name ends with: wave_nm, wavelength (Angstrom)."""
    found = table.column(WAVELENGTH)
    if found is not None:
        brackets = re.search(r"[\[(]\s*(.*?)\s*[\])]\s*$", found)
        return found, brackets[1] if brackets else None
    for name in table.columns:
        base, _, ending = base_name(name).rpartition("_")
        if base in WAVELENGTH and ending in SPELLINGS:
            return name, ending
    return None, None


def _error(table: RawTable) -> tuple[str | None, ErrorKind]:
    if table.told.error is not None:
        return table.told.error, table.told.errors or "deviation"
    found = [(name, kind) for kind, names in ERRORS.items() if (name := table.column(names))]
    if not found:
        return None, "deviation"
    if len(found) > 1:
        # A deviation is what is asked for; beside it, others are the same numbers in another form.
        return next(((name, kind) for name, kind in found if kind == "deviation"), found[0])
    name, kind = found[0]
    return name, table.told.errors or kind


def needed(table: RawTable, names: tuple[str, ...]) -> str:
    """Find a column that has one of some names.

    Raises
    ------
    InputError
        If there is none; the message has a hint at a misspelling.
    """
    found = table.column(names)
    if found is None:
        has = ", ".join(list(table.columns)[:20]) or "none"
        more = f" and {len(table.columns) - 20} more" if len(table.columns) > 20 else ""
        raise InputError(f"{table.name} has no column {names[0]}: it has {has}{more}{misspelt(table, names)}")
    return found


def misspelt(table: RawTable, names: tuple[str, ...]) -> str:
    """A hint at a column whose name is nearly one of some names, to end a message with; empty if there is none."""
    known = (*WAVELENGTH, *LOG_WAVELENGTH, *FLUX, *_ERROR_NAMES, *MASK, *GOOD, *NAME)
    for column in table.columns:
        word = base_name(column)
        # Short words are near to many: var is nearly bar.
        if word not in known and len(word) > 3 and nearest(word, tuple(name for name in names if len(name) > 3)):
            return f"; rename {column} if it is the {names[0]}"
    return ""
