"""The raw content of a file, before it is interpreted: named columns with their units, and the file's metadata."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from numpy.typing import NDArray

from stellar_emulator.contract.medium import Medium

Frame = Literal["rest", "barycentric", "heliocentric", "observed"]
"""Of wavelengths: the star's own, those without the Earth's motion about the barycentre or the Sun, the telescope's."""

ErrorKind = Literal["deviation", "variance", "inverse variance", "relative"]
"""What a column of flux errors holds: standard deviations, their squares, inverses of these, or shares of the flux."""


def base_name(column: str) -> str:
    """A column's name in small letters without the unit that stands in brackets behind it."""
    return _BRACKETED.sub("", column).strip().lower()


_BRACKETED = re.compile(r"\s*[\[(].*[\])]\s*$")


@dataclass(frozen=True)
class Told:
    """What a reader knows of its files beyond what columns and metadata say.

    form: which files these are, for the user; because: what the survey's convention is known from; medium, frame:
    that convention; flux, error: the columns that are meant; errors: what the latter holds; fatal: bits of the mask's
    column of which any one leaves a pixel out, None for all bits; notes: what the user should know; resolution: of the
    instrument, wavelength over FWHM.
    """

    form: str = ""
    because: str = ""
    medium: Medium | None = None
    frame: Frame | None = None
    flux: str | None = None
    error: str | None = None
    errors: ErrorKind | None = None
    fatal: int | None = None
    notes: tuple[str, ...] = ()
    resolution: float | None = None


@dataclass(frozen=True)
class RawTable:
    """One table or image. columns: equal first lengths, except that NPZ files hold one wavelength for all rows.

    part: where in its file it lies, such as ``{"hdu": "COADD_B"}``, by which a user selects it; default: whether it is
    read when nobody selects; rows: those to read of arrays in rows, None for all; order: whether it is one of the
    orders of one spectrum, each with its own continuum.
    """

    name: str
    columns: Mapping[str, NDArray[Any]]
    units: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    told: Told = Told()
    part: Mapping[str, str] = field(default_factory=dict)
    default: bool = True
    rows: tuple[int, ...] | None = None
    order: bool = False

    def column(self, names: tuple[str, ...]) -> str | None:
        """Find a column by any of several names, whatever its case."""
        for wanted in names:
            for name in self.columns:
                if base_name(name) == wanted:
                    return name
        return None

    def stated(self, *names: str) -> str | None:
        """Find the value in the metadata, as text, of the first of several names that exists, whatever its case."""
        by_name = {str(name).lower(): value for name, value in self.metadata.items()}
        for name in names:
            if name in by_name:
                return str(by_name[name]).strip()
        return None

    def noted(self, *notes: str) -> "RawTable":
        """The same with more for the user to read."""
        return replace(self, told=replace(self.told, notes=(*self.told.notes, *notes)))
