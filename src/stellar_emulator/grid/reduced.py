"""Runs of a compact grid as a shard holds them: coefficients of principal components, and corrections at their bins."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from stellar_emulator.broadening.broadening import Broadening, broadening, contract_broadening
from stellar_emulator.contract.axis import WavelengthAxis
from stellar_emulator.contract.contract import Contract
from stellar_emulator.grid.corrections import corrections_of, flux_of
from stellar_emulator.grid.engines.intrinsic import require_intrinsic_axis
from stellar_emulator.grid.principal import Components, coefficients_of

COEFFICIENTS, GAPS, CORRECTIONS = "coefficients", "correction_gaps", "corrections"
"""Columns of a compact shard. A gap is the number of bins from the run's correction before, or from its first bin."""


@dataclass(frozen=True)
class Reduced:
    """Spectra but for the components: coefficients, int32 (runs, components), and corrections, int16 (runs, bins)."""

    coefficients: NDArray[np.int32]
    corrections: NDArray[np.int16]

    def flux(self, components: Components) -> NDArray[np.float32]:
        """Normalised flux, shape (runs, bins)."""
        return components.flux(self.coefficients) + flux_of(self.corrections)


def sharpest_view(contract: Contract) -> Broadening:
    """The sharpest instrument without rotation, at every bin of the intrinsic axis.

    All other broadening smooths what this shows, so that it shows no smaller a difference between two spectra.
    """
    axis, sharpest = require_intrinsic_axis(contract), contract_broadening(contract).sharpest
    bins = WavelengthAxis(
        start=float(axis.wavelength[0]),
        velocity_step=axis.velocity_step,
        count=len(axis.wavelength),
        unit=contract.wavelength.unit,
        medium=axis.medium,
    )
    return broadening(axis, bins, sharpest, None)


def reduced(flux: NDArray[np.float32], components: Components, view: Broadening) -> Reduced:
    """Coefficients of runs, flux (runs, bins), and the corrections that these leave to do, as a `sharpest_view` has it.

    Raises
    ------
    InputError
        If the runs need too many corrections.
    """
    coefficients = coefficients_of(flux, components, view)
    return Reduced(coefficients, corrections_of(flux - components.flux(coefficients), view))


def types(components: int) -> dict[str, pa.DataType]:
    """Of the columns, by name."""
    return {
        COEFFICIENTS: pa.list_(pa.uint32(), components),
        GAPS: pa.list_(pa.uint32()),
        CORRECTIONS: pa.list_(pa.uint16()),
    }


def columns(runs: Reduced) -> dict[str, pa.Array]:
    """Columns of a table with one row a run."""
    count, components = runs.coefficients.shape
    run, place = np.nonzero(runs.corrections)
    ends = pa.array(np.searchsorted(run, np.arange(count + 1)), pa.int32())
    gaps = np.where(np.diff(run, prepend=-1) > 0, place, np.diff(place, prepend=0))
    coefficients = pa.array(_zigzag(runs.coefficients).ravel(), pa.uint32())
    return {
        COEFFICIENTS: pa.FixedSizeListArray.from_arrays(coefficients, components),
        GAPS: pa.ListArray.from_arrays(ends, pa.array(gaps, pa.uint32())),
        CORRECTIONS: pa.ListArray.from_arrays(ends, pa.array(_zigzag(runs.corrections[run, place]), pa.uint16())),
    }


def read_columns(table: pa.Table, bins: int) -> Reduced:
    """The runs of a table with such columns; bins: of a spectrum."""
    coefficients, gaps, values = (_flat(table, name) for name in (COEFFICIENTS, GAPS, CORRECTIONS))
    lengths = np.asarray(pc.list_value_length(table[GAPS]))
    run = np.repeat(np.arange(table.num_rows), lengths)
    passed = np.concatenate([[0], np.cumsum(gaps)])
    before = passed[np.cumsum(lengths) - lengths]
    counts = np.zeros((table.num_rows, bins), dtype=np.int16)
    counts[run, passed[1:] - before[run]] = _unzigzag(values)
    return Reduced(_unzigzag(coefficients).astype(np.int32).reshape(table.num_rows, -1), counts)


def _flat(table: pa.Table, name: str) -> NDArray[np.int64]:
    return np.asarray(table[name].combine_chunks().flatten(), dtype=np.int64)


def _zigzag(values: NDArray[np.signedinteger]) -> NDArray[np.int64]:
    """0, -1, 1, -2, ... as 0, 1, 2, 3, ...: small numbers of either sign then begin with zeros, which take no room."""
    wide = values.astype(np.int64)
    return np.where(wide < 0, -2 * wide - 1, 2 * wide)


def _unzigzag(values: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.where(values % 2, -(values + 1) // 2, values // 2)
