"""The raw content of a file, before it is interpreted: named columns with their units, and the file's metadata."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from stellar_emulator.contract.checks import nearest
from stellar_emulator.errors import InputError

WAVELENGTH = ("wavelength", "wave", "lambda", "wavelengths")
FLUX = ("flux", "fluxes", "normalised_flux", "normalized_flux")
ERROR = ("flux_error", "error", "flux_err", "flux_uncertainty", "uncertainty", "sigma")
NAME = ("source_id", "name", "object")


@dataclass(frozen=True)
class RawTable:
    """One table or image. columns: equal first lengths, except that NPZ files hold one wavelength for all rows."""

    name: str
    columns: Mapping[str, NDArray[Any]]
    units: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def column(self, names: tuple[str, ...]) -> str | None:
        """Find a column by any of several names, whatever its case."""
        for wanted in names:
            for name in self.columns:
                if name.lower() == wanted:
                    return name
        return None

    def needed(self, names: tuple[str, ...]) -> str:
        """Find a column like `column`, which must exist.

        Raises
        ------
        InputError
            If there is none; the message has a hint at a misspelling.
        """
        found = self.column(names)
        if found is None:
            has = ", ".join(self.columns) or "none"
            raise InputError(f"{self.name} has no column {names[0]}: it has {has}{self.misspelt(names)}")
        return found

    def misspelt(self, names: tuple[str, ...]) -> str:
        """A hint at a column whose name is nearly one of some names, to end a message with; empty if there is none."""
        for column in self.columns:
            known = column.lower() in (*WAVELENGTH, *FLUX, *ERROR, *NAME)
            if not known and nearest(column.strip().lower(), names):
                return f"; rename {column} if it is the {names[0]}"
        return ""

    def stated(self, *names: str) -> str | None:
        """Find the value in the metadata, as text, of the first of several names that exists, whatever its case."""
        by_name = {str(name).lower(): value for name, value in self.metadata.items()}
        for name in names:
            if name in by_name:
                return str(by_name[name]).strip()
        return None
