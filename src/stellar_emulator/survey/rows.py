"""The rows of tables of fits, of a few spectra or of a survey: one for each spectrum, fitted or not."""

from collections.abc import Sequence
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import InputError
from stellar_emulator.fitting.estimate import Fitted
from stellar_emulator.fitting.model_error import calcium_cores
from stellar_emulator.observed.spectrum import ObservedSpectrum
from stellar_emulator.observed.velocity import at_rest
from stellar_emulator.survey.flags import Flag, flags_of

if TYPE_CHECKING:
    import pyarrow as pa

LISTED = "epoch_"
"""Before the names of columns with a value for each epoch."""

_WHOLE = ("pixels", "rejected", "degrees_of_freedom", "epochs")


UNITS = {"radial_velocity": "km/s", "radial_velocity_error": "km/s", "detector": "Angstrom"}
"""Of columns that are no labels."""


def survey_rows(
    contract: Contract,
    seen: Sequence[ObservedSpectrum | InputError],
    found: Sequence[Fitted | InputError],
    passed: "pa.Table | None",
) -> "pa.Table":
    """The table of spectra and their fits. ``passed``: columns of the same rows that are passed through, if any."""
    names = [one.about if isinstance(one, InputError) else one.name for one in seen]
    return table_of([{"name": name, **row_of(contract, one)} for name, one in zip(names, found, strict=True)], passed)


def table_of(rows: Sequence[dict[str, Any]], passed: "pa.Table | None") -> "pa.Table":
    """Rows as a table, with columns that are passed through.

    Whole numbers stay so; a column whose name the table itself has gets ``input_`` before it.
    """
    import pyarrow as pa

    own = {name: [row[name] for row in rows] for name in (rows[0] if rows else {"name": ""})}
    table = pa.table({name: pa.array(values, _type(name)) for name, values in own.items()})
    if passed is None:
        return table
    for name in passed.column_names:
        table = table.append_column(f"input_{name}" if name in own else name, passed.column(name))
    return table


def _type(name: str) -> "pa.DataType":
    import pyarrow as pa

    if name.startswith(LISTED):
        return pa.list_(pa.float64())
    if name in _WHOLE:
        return pa.int32()
    return {"name": pa.string(), "warning": pa.string(), "flags": pa.int64()}.get(name, pa.float64())


def row_of(contract: Contract, one: Fitted | InputError) -> dict[str, Any]:
    """The cells of a spectrum, by column but for its name: labels with errors, measures, flags, the warnings."""
    count = len(contract.labels)
    if isinstance(one, InputError):
        nothing = np.full(count, np.nan)
        row = _label_columns(contract, nothing, nothing, nothing, nothing, np.full((count, count), np.nan))
        rest = dict.fromkeys(_MEASURES, float("nan")) | {"pixels": 0, "rejected": 0, "degrees_of_freedom": 0}
        return {**row, **rest, "flags": int(Flag.NOT_FITTED), "warning": str(one)}
    solution, spectrum = one.solution, one.spectrum
    labels = solution.parameters.labels
    row = _label_columns(contract, labels, solution.raw, solution.lower, solution.upper, solution.covariance)
    usable = spectrum.usable
    cores = _calcium(contract, at_rest(spectrum.wavelength, solution.parameters.velocity)) & usable
    share = np.where(usable, (spectrum.flux - solution.model) / np.where(usable, spectrum.error, 1.0), 0.0)
    excess, error = _excess(spectrum, one, cores)
    measures = {
        "radial_velocity": solution.parameters.velocity,
        "radial_velocity_error": solution.velocity_error,
        "snr": float(np.median(np.abs(spectrum.flux[usable]) / spectrum.error[usable])),
        "chi_square": solution.chi_square,
        "chi_square_ca_ii": float(np.sum(share[cores] ** 2)),
        "chi_square_elsewhere": float(np.sum(share[~cores] ** 2)),
        "ca_ii_excess": excess,
        "ca_ii_excess_error": error,
        "stretch": solution.stretch,
        "stretch_error": solution.stretch_error,
        "detector": solution.detector,
        "pixels": int(usable.sum()),
        "rejected": one.rejected,
        "degrees_of_freedom": solution.degrees_of_freedom,
    }
    flags = flags_of(contract, one, measures["snr"], (excess, error))
    return {**row, **measures, "flags": flags, "warning": "; ".join((*spectrum.notes, *one.warnings))}


_MEASURES = (
    "radial_velocity",
    "radial_velocity_error",
    "snr",
    "chi_square",
    "chi_square_ca_ii",
    "chi_square_elsewhere",
    "ca_ii_excess",
    "ca_ii_excess_error",
    "stretch",
    "stretch_error",
    "detector",
)


def _label_columns(
    contract: Contract,
    labels: NDArray[np.float64],
    raw: NDArray[np.float64],
    lower: NDArray[np.float64],
    upper: NDArray[np.float64],
    covariance: NDArray[np.float64],
) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for i, name in enumerate(contract.label_names):
        ends = {f"{name}_lower": float(lower[i]), f"{name}_upper": float(upper[i])}
        values = {name: float(labels[i]), f"{name}_raw": float(raw[i])}
        row |= {**values, f"{name}_error": float(upper[i] - lower[i]) / 2.0, **ends}
    for i, j in combinations_with_replacement(range(len(labels)), 2):
        row[f"covariance_{contract.label_names[i]}_{contract.label_names[j]}"] = float(covariance[i, j])
    return row


def _calcium(contract: Contract, rest: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Pixels of the Ca II cores, (pixels,)."""
    half = contract.regions.line_core_half_width
    found = np.zeros(len(rest), dtype=bool)
    for centre in calcium_cores(contract):
        found |= np.abs(rest - centre) <= half
    return found


def _excess(spectrum: ObservedSpectrum, one: Fitted, cores: NDArray[np.bool_]) -> tuple[float, float]:
    """Mean of observed minus fitted flux over the Ca II cores in units of the model's upper flux, and its error."""
    if not cores.any():
        return float("nan"), float("nan")
    scale = one.solution.level
    count = int(cores.sum())
    error = float(np.sqrt(np.sum(spectrum.error[cores] ** 2))) / count
    return float(np.mean((spectrum.flux - one.solution.model)[cores])) / scale, error / scale
