"""What a request must fulfil before a model answers it. Rows and pixels are counted from 0, as in NumPy and pandas."""

import difflib
import numbers
import reprlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.label import Label
from stellar_emulator.errors import InputError

NOISE_WIDTHS = 8.0
"""Standard deviations of the noise by which a spectrum may exceed the flux range; larger excesses are not noise."""

_SHOWN = 40
"""Characters of an unknown name that a message repeats."""


def check_labels(
    contract: Contract, names: Sequence[str], values: ArrayLike, first_row: int = 0
) -> NDArray[np.float64]:
    """Check a table of labels and put its columns into the contract's order.

    Parameters
    ----------
    contract
        States the labels and their inclusive bounds.
    names
        One for each column, in any order.
    values
        Physical units, shape (n, labels).
    first_row
        Number of the first row in messages, if the table is part of a longer one.

    Returns
    -------
    Array of shape (n, labels), columns as in the contract.

    Raises
    ------
    InputError
        If a column is missing, unknown or given twice, or a value is no number, not finite or out of bounds; the
        message names label, value, row, bounds and remedy.
    """
    names = list(names)
    check_names(contract, names)
    table = unmasked(values, "labels")
    if table.ndim != 2 or table.shape[1] != len(names):
        raise InputError(
            f"labels have shape {table.shape}: give one row a spectrum and {len(names)} columns ({', '.join(names)})"
        )
    if not len(table):
        raise InputError("labels have no rows: give one row a spectrum")
    table = table[:, [names.index(name) for name in contract.label_names]]
    if table.dtype.kind not in "fiu":
        _check_numbers(contract, table, first_row)
    checked = table.astype(np.float64)
    # A single-precision table can't hold a bound such as 0.1 exactly, so the bound is rounded as the table would round
    # it.
    lower, upper = contract.lower, contract.upper
    if table.dtype.kind == "f":
        lower, upper = lower.astype(table.dtype), upper.astype(table.dtype)
    outside = ~((checked >= lower) & (checked <= upper))
    if outside.any():
        row, column = (int(index) for index in np.argwhere(outside)[0])
        raise _value_fault(contract.labels[column], float(checked[row, column]), first_row + row)
    return checked


def check_names(contract: Contract, names: Sequence[str]) -> None:
    """Check that columns are the contract's labels, each once and in any order.

    Raises
    ------
    InputError
        If one is missing, unknown or given twice; the message has a hint at a misspelling.
    """
    known = contract.label_names
    for name, count in Counter(names).items():
        if name not in known:
            raise InputError(f"label {unknown(name, known)}Contract {contract.name} has {', '.join(known)}")
        if count > 1:
            raise InputError(f"label {name} is given {count} times: give each column once")
    for label in contract.labels:
        if label.name not in names:
            raise InputError(f"label {label.name} is missing: give it, {_bounds(label)}")


def nearest(name: str, known: Sequence[str]) -> str | None:
    """The known name that a misspelt one may stand for, whatever its case; None if none is similar."""
    name = _shortened(name)
    close = difflib.get_close_matches(name.strip().lower(), known, n=1) or difflib.get_close_matches(name, known, n=1)
    return close[0] if close else None


def unknown(name: str, known: Sequence[str]) -> str:
    """Begin a message about an unknown name with the known name that may be meant."""
    near, name = nearest(name, known), _shortened(name)
    shown = name if name and name == name.strip() else repr(name)
    return f"{shown} is unknown: " + (f"did you mean {near}? " if near else "")


def _shortened(name: str) -> str:
    return name if len(name) <= _SHOWN else f"{name[:_SHOWN]}..."


def is_number(value: object) -> bool:
    """Whether a value is a real number that double precision can hold; truth values do not count as numbers."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return False
    try:
        float(value)
    except OverflowError:
        return False
    return True


def check_flux(contract: Contract, flux: ArrayLike, noise: float = 0.0) -> NDArray[np.float32]:
    """Check normalised spectra on the contract's wavelength axis.

    Parameters
    ----------
    contract
        States the axis and the flux range.
    flux
        Shape (n, pixels).
    noise
        Standard deviation of one pixel's noise (0.02 at S/N 50); it widens the flux range by `NOISE_WIDTHS` times
        itself.

    Returns
    -------
    The flux, float32, shape (n, pixels).

    Raises
    ------
    InputError
        If the pixels are not the contract's, or a value is no number, not finite or out of range; the message names
        value, row, pixel and wavelength.
    """
    check_noise(contract, noise)
    spectra = unmasked(flux, "flux")
    axis = contract.wavelength
    if spectra.ndim != 2:
        raise InputError(f"flux has shape {spectra.shape}: give one row a spectrum, shape (n, {axis.count})")
    if not len(spectra):
        raise InputError("flux has no rows: give one row a spectrum")
    if spectra.shape[1] != axis.count:
        raise InputError(
            f"flux has {spectra.shape[1]} pixels, contract {contract.name} wants {axis.count}: resample it to "
            f"{_number(axis.start)} to {_number(axis.stop)} {axis.unit} ({axis.medium}), step {axis.steps}"
        )
    if spectra.dtype.kind == "O":
        _check_pixels(spectra)
        spectra = spectra.astype(np.float64)
    if spectra.dtype.kind not in "fiu":
        raise InputError(f"flux of type {spectra.dtype} is no table of numbers: give floating-point values")
    with np.errstate(over="ignore"):
        checked = spectra.astype(np.float32, copy=False)
    margin = NOISE_WIDTHS * noise
    lower, upper = contract.flux.lower - margin, contract.flux.upper + margin
    outside = ~((checked >= np.float32(lower)) & (checked <= np.float32(upper)))
    if outside.any():
        row, pixel = (int(index) for index in np.argwhere(outside)[0])
        value = float(checked[row, pixel])
        where = f"flux = {_number(value)} in row {row}, pixel {pixel} ({_number(axis.pixels[pixel])} {axis.unit})"
        if not np.isfinite(value):
            raise InputError(f"{where} is not finite: interpolate over it or leave the spectrum out")
        raise InputError(
            f"{where} lies outside {_number(lower)} to {_number(upper)}: normalise the spectrum to its "
            "continuum, or state its noise"
        )
    return checked


def check_noise(contract: Contract, noise: float) -> None:
    """Raise `InputError` if a noise can't be the standard deviation of a normalised flux."""
    widest = contract.flux.upper - contract.flux.lower
    if not (is_number(noise) and 0.0 <= noise <= widest):
        shown = f"{noise:g}" if is_number(noise) else reprlib.repr(noise)
        raise InputError(
            f"noise = {shown} is no standard deviation of a flux: give 0 to {_number(widest)}, such as 0.02 at S/N 50"
        )


def unmasked(values: Any, what: str) -> NDArray[Any]:
    """Convert anything to a plain array, in which masked values are NaN, or None among values that are not numbers.

    Raises
    ------
    InputError
        If it is no array, such as rows of unequal lengths; ``what`` names it.
    """
    mask: Any = False
    if isinstance(values, np.ma.MaskedArray):
        values, mask = np.ma.getdata(values), np.ma.getmaskarray(values)
    elif hasattr(values, "unmasked"):  # Of astropy.
        values, mask = values.unmasked, values.mask
    try:
        array = np.asarray(values)
    except (ValueError, TypeError) as error:
        raise InputError(f"{what} is no array: give numbers, rows of equal length, or one quantity") from error
    if not np.any(mask):
        return array
    numeric = array.dtype.kind in "fiu"
    filled = array.astype(np.result_type(array.dtype, np.float32) if numeric else object)
    filled[mask] = np.nan if numeric else None
    return filled


def _check_numbers(contract: Contract, table: NDArray[Any], first_row: int) -> None:
    for row, cells in enumerate(table.tolist(), start=first_row):
        for label, cell in zip(contract.labels, cells, strict=True):
            if not is_number(cell):
                raise InputError(
                    f"{label.name} = {reprlib.repr(cell)} in row {row} is no number: give {_bounds(label)}"
                )


def _check_pixels(spectra: NDArray[Any]) -> None:
    for row, cells in enumerate(spectra.tolist()):
        if set(map(type, cells)) == {float}:
            continue
        for pixel, cell in enumerate(cells):
            if not is_number(cell):
                raise InputError(
                    f"flux = {reprlib.repr(cell)} in row {row}, pixel {pixel} is no number: give a normalised flux"
                )


def _value_fault(label: Label, value: float, row: int) -> InputError:
    shown = f"{label.name} = {_number(value)}{_unit(label)} in row {row}"
    if not np.isfinite(value):
        return InputError(f"{shown} is not finite: give {_bounds(label)}")
    return InputError(
        f"{shown} lies outside {_bounds(label)}: choose a value inside, or train on a grid that covers it"
    )


def _bounds(label: Label) -> str:
    return f"{_number(label.lower)} to {_number(label.upper)}{_unit(label)}"


def _unit(label: Label) -> str:
    return f" {label.unit}" if label.unit else ""


def _number(value: float) -> str:
    return f"{value:.10g}"


def as_double(numbers: NDArray[Any]) -> NDArray[np.float64]:
    """Convert to float64 with the decimals of single precision: 0.1 stays 0.1, and a bound stays inside its bounds."""
    exact = numbers.astype("U32") if numbers.dtype.kind == "f" and numbers.dtype.itemsize < 8 else numbers
    return np.asarray(exact.astype(np.float64))
