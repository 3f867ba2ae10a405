"""What a check of a grid found, and how it is said in one line."""

from dataclasses import asdict, dataclass

from stellar_emulator.errors import InputError, RefusedError
from stellar_emulator.grid.store import Grid

WAVELENGTH_AXIS = "ExpectWavelengthsToFollowAxis"
"""The expectation of a fault in the wavelengths, found before any flux is read."""

ROWS_NAMED = 20
"""Offending spectra that a fault lists; it counts all."""

_FAULTS_SHOWN = 3


@dataclass(frozen=True)
class Fault:
    """One expectation that a grid breaks.

    column: empty for a fault of the grid as a whole; count: offending spectra; rows, run_ids, observed: the first
    `ROWS_NAMED` of them, with the observed value as text; bounds: lower and upper; message: one line for the user.
    """

    expectation: str
    column: str
    count: int
    rows: tuple[int, ...]
    run_ids: tuple[int, ...]
    observed: tuple[str, ...]
    bounds: tuple[float | None, float | None] | None
    message: str


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    digest: the grid's, see `store.Grid.digest`; empty where wrong wavelengths ended the check before the flux was read.
    contract_digest: of the contract that it was checked by. notes: what was assumed of the grid, never a fault.
    expectations_digest: of the file of further expectations, empty without one. warnings: how the grid departs from the
    emulator that it was held against; they make no fault.
    """

    passed: bool
    rows: int
    digest: str
    faults: tuple[Fault, ...]
    contract_digest: str
    notes: tuple[str, ...]
    expectations_digest: str = ""
    warnings: tuple[str, ...] = ()

    def summary(self) -> str:
        """One line a fault, each naming the offending spectra; one line if the grid passed."""
        if self.passed:
            return f"{self.rows} spectra obey the data contract"
        return "\n".join(fault.message for fault in self.faults)

    def to_dict(self) -> dict[str, object]:
        """Content of ``verdict.json``."""
        return asdict(self)


def require_passed(verdict: Verdict, grid: Grid) -> None:
    """Return if a grid passed.

    Raises
    ------
    InputError
        If the wavelengths aren't the contract's.
    RefusedError
        If a spectrum breaks a rule; the message names the first faults and their spectra.
    """
    if verdict.passed:
        return
    shown = "; ".join(fault.message for fault in verdict.faults[:_FAULTS_SHOWN])
    hidden = len(verdict.faults) - _FAULTS_SHOWN
    more = f"; and {counted(hidden, 'more fault', 'more faults')}" if hidden > 0 else ""
    wrong_axis = verdict.faults[0].expectation == WAVELENGTH_AXIS
    raise (InputError if wrong_axis else RefusedError)(f"grid {grid.path.name} breaks the data contract: {shown}{more}")


def counted(count: int, one: str, many: str) -> str:
    """A number with its noun."""
    return f"{count} {one if count == 1 else many}"
