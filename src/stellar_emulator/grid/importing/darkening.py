"""Linear limb darkening of imported intrinsic spectra that hold no intensities: a constant, or a table by labels."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator

from stellar_emulator.errors import InputError

DEFAULT = 0.6
"""Coefficient of a Sun-like star in the visible (Claret 2000, A&A 363, 1081), where the user gives none."""

CLARET = ("a1", "a2", "a3", "a4")
"""Columns of Claret's law of four coefficients; a table may have ``u``, the linear one, in their place."""


@dataclass(frozen=True)
class Darkening:
    """Limb darkening by labels. constant: for the contract, None with a table; provenance: a sentence."""

    constant: float | None
    provenance: str
    names: tuple[str, ...] = ()
    places: NDArray[np.float64] | None = None
    values: NDArray[np.float64] | None = None

    def of(self, labels: Mapping[str, float]) -> float | None:
        """Coefficient of one run: linear in the table's labels, that of the nearest entry outside of it; None with a
        constant. Raises `InputError` if a label of the table is missing.
        """
        if self.places is None or self.values is None:
            return None
        missing = [name for name in self.names if name not in labels]
        if missing:
            raise InputError(f"the table of limb darkening is by {', '.join(self.names)}, and there is no {missing[0]}")
        point = (np.array([[labels[name] for name in self.names]]) - self.places.min(axis=0)) / np.ptp(
            self.places, axis=0
        )
        unit = (self.places - self.places.min(axis=0)) / np.ptp(self.places, axis=0)
        if unit.shape[1] == 1:
            order = np.argsort(unit[:, 0])
            return float(np.interp(point[0, 0], unit[order, 0], self.values[order]))
        inside = float(LinearNDInterpolator(unit, self.values)(point)[0])
        return inside if np.isfinite(inside) else float(NearestNDInterpolator(unit, self.values)(point)[0])


def read_darkening(given: str | None) -> Darkening:
    """A constant, or the path of a CSV table with labels (``teff``, ``logg``) and ``u`` or ``a1`` to ``a4``.

    Raises
    ------
    InputError
        If it is neither a number from 0 to 1 nor such a table.
    """
    if given is None:
        return Darkening(DEFAULT, f"linear, {DEFAULT:g} for all spectra: a Sun-like star in the visible")
    try:
        value = float(given)
    except ValueError:
        return _read_table(Path(given))
    if not 0.0 <= value <= 1.0:
        raise InputError(f"--limb_darkening {given} is no linear coefficient: give 0 to 1, or a table")
    return Darkening(value, f"linear, {value:g} for all spectra")


def _read_table(path: Path) -> Darkening:
    try:
        with path.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        columns = {name: np.array([float(row[name]) for row in rows]) for name in (rows[0] if rows else ())}
    except (OSError, ValueError, TypeError, csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"the table of limb darkening {path} can't be read: {error}") from error
    names = tuple(name for name in columns if name not in (*CLARET, "u"))
    if not names or len(rows) < 2 or not ("u" in columns or set(CLARET) <= set(columns)):
        raise InputError(
            f"the table of limb darkening {path} wants labels, and u or a1, a2, a3, a4, in two rows or more"
        )
    values = columns["u"] if "u" in columns else linear_of_claret(np.stack([columns[name] for name in CLARET], axis=1))
    if not ((values >= 0.0) & (values <= 1.0)).all():
        raise InputError(f"the table of limb darkening {path} has coefficients beyond 0 to 1")
    places = np.stack([columns[name] for name in names], axis=1)
    if not np.isfinite(places).all():
        raise InputError(f"the table of limb darkening {path} has a label that is no number: give every row all labels")
    flat = [name for name, width in zip(names, np.ptp(places, axis=0), strict=True) if not width]
    if flat:
        raise InputError(f"the table of limb darkening {path}: {flat[0]} never varies: leave the column out")
    return Darkening(None, f"linear, by {', '.join(names)} from the table {path.name}", names, places, values)


def linear_of_claret(coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear coefficient of the same flux, of Claret's four, (n, 4) to (n,).

    The disc's mean over its centre is 1 - sum of a_k k / (k + 4) by Claret's law and 1 - u / 3 by the linear one.
    """
    order = np.arange(1.0, 5.0)
    return np.asarray(3.0 * coefficients @ (order / (order + 4.0)))
