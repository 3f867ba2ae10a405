"""The intrinsic grid on disk: append-only Parquet shards of unbroadened spectra, with their provenance beside them.

Shard ``k`` holds runs ``k * SHARD_RUNS`` to ``(k + 1) * SHARD_RUNS - 1`` of the label sequence, less those that failed.
Only the last one may be partial. A full shard is never written again.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import InputError
from stellar_emulator.grid.departures.departures import depart, known_limits, stated
from stellar_emulator.grid.engines.intrinsic import (
    CONTINUUM_POINTS,
    OPTIONAL,
    IntrinsicSpectrum,
    require_intrinsic_axis,
)
from stellar_emulator.grid.principal import Components, read_components
from stellar_emulator.grid.reduced import COEFFICIENTS, Reduced, columns, read_columns, types
from stellar_emulator.system.files import new_file, write_file

SHARD_RUNS = 1024
"""Runs of the sequence in a full shard."""

PROVENANCE = "provenance.json"

COMPONENTS = "components.parquet"
"""File of the principal components that the shards of a compact grid share."""

COUNTS = "flux_counts"
"""Column of a shard's flux, unless the grid is compact."""

# One page for some 400 spectra: the byte planes of neighbouring runs compress together (7 % smaller than 1 MiB pages).
_PAGE_BYTES = 1 << 24


@dataclass(frozen=True)
class IntrinsicGrid:
    """Unbroadened spectra of many runs, in the order of the sequence.

    run_id: number in the sequence, shape (runs,); labels: in the contract's order and units, shape (runs, run labels);
    flux: normalised, on ``contract.intrinsic.wavelength``, float32, shape (runs, bins); continuum: Eddington flux in
    erg/s/cm^2/A at `intrinsic.continuum_wavelengths`, float32, shape (runs, 32); limb_darkening, atmosphere_distance:
    as in `intrinsic.IntrinsicSpectrum`, shape (runs,), all three None if unknown; provenance: the content of
    ``provenance.json``.
    """

    run_id: NDArray[np.int64]
    labels: NDArray[np.float64]
    flux: NDArray[np.float32]
    continuum: NDArray[np.float32] | None = None
    limb_darkening: NDArray[np.float64] | None = None
    atmosphere_distance: NDArray[np.float64] | None = None
    provenance: Mapping[str, object] = field(default_factory=dict)

    def take(self, rows: NDArray[np.int64]) -> "IntrinsicGrid":
        """Some of the runs, by their indices in this grid."""
        known = {name: getattr(self, name)[rows] for name in self.known}
        return IntrinsicGrid(self.run_id[rows], self.labels[rows], self.flux[rows], provenance=self.provenance, **known)

    @property
    def known(self) -> tuple[str, ...]:
        """Those of the `OPTIONAL` columns that this grid has."""
        return tuple(name for name in OPTIONAL if getattr(self, name) is not None)

    def spectrum(self, row: int) -> IntrinsicSpectrum:
        """One run, by its index in this grid."""
        known = {name: getattr(self, name)[row] for name in self.known}
        scalars = {name: float(value) for name, value in known.items() if name != "continuum"}
        continuum = known["continuum"].astype(float) if "continuum" in known else None
        return IntrinsicSpectrum(self.flux[row].astype(float), continuum, **scalars)


def stacked(numbers: list[int], labels: NDArray[np.float64], spectra: Sequence[IntrinsicSpectrum]) -> IntrinsicGrid:
    """Runs as a grid, without provenance; labels: (runs, run labels).

    Raises
    ------
    InputError
        If some of the spectra have a continuum, limb darkening or distance and others have none.
    """
    known: dict[str, Any] = {}
    for name in OPTIONAL:
        values = [getattr(spectrum, name) for spectrum in spectra]
        given = [value is not None for value in values]
        if any(given) and not all(given):
            raise InputError(
                f"run {numbers[given.index(False)]} has no {name}, run {numbers[given.index(True)]} has: an engine "
                "gives it for all runs of a grid, or for none"
            )
        if all(given):
            known[name] = np.stack(values).astype(np.float32) if name == "continuum" else np.array(values)
    flux = np.stack([spectrum.flux.astype(np.float32) for spectrum in spectra])
    return IntrinsicGrid(np.array(numbers, dtype=np.int64), labels, flux, **known)


def shard_name(number: int) -> str:
    """File name of a shard."""
    return f"shard-{number:05d}.parquet"


def write_shard(
    path: Path,
    contract: Contract,
    seed: int,
    grid: IntrinsicGrid,
    reduced: Reduced | None = None,
    level: int = 19,
) -> str:
    """Write some runs as one Parquet file, atomically; return its SHA-256.

    Flux is rounded to multiples of ``contract.intrinsic.flux_per_count`` and clipped at 0, unless its ``reduced`` form
    is to be written; the same runs give the same bytes. ``grid.provenance`` is not written. level: of the compression.

    Raises
    ------
    InputError
        If the contract has no intrinsic axis.
    """
    spectra = {COUNTS: _counts(contract, grid.flux)} if reduced is None else columns(reduced)
    table = pa.Table.from_arrays(
        [
            pa.array(grid.run_id, pa.int64()),
            *(pa.array(column, pa.float64()) for column in grid.labels.T),
            *(_column(known, getattr(grid, known)) for known in grid.known),
            *spectra.values(),
        ],
        schema=_schema(contract, seed, grid.known, {name: column.type for name, column in spectra.items()}),
    )
    with new_file(path) as partial:
        pq.write_table(
            table,
            partial,
            compression="zstd",
            compression_level=level,
            use_dictionary=False,
            column_encoding={f"{name}.list.element": "BYTE_STREAM_SPLIT" for name in spectra},
            data_page_size=_PAGE_BYTES,
            row_group_size=SHARD_RUNS,
        )
        return file_digest(partial)


def _counts(contract: Contract, flux: NDArray[np.float32]) -> pa.Array:
    counts = np.rint(flux.astype(np.float64) / require_intrinsic_axis(contract).flux_per_count)
    rounded = np.clip(counts, 0, np.iinfo(np.uint16).max).astype(np.uint16)
    return pa.FixedSizeListArray.from_arrays(pa.array(rounded.ravel()), rounded.shape[1])


def _column(name: str, values: NDArray[Any]) -> pa.Array:
    if name == "continuum":
        return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel(), pa.float32()), CONTINUUM_POINTS)
    return pa.array(values, pa.float64())


def _schema(contract: Contract, seed: int, known: Collection[str], spectra: Mapping[str, pa.DataType]) -> pa.Schema:
    fields = [
        ("run_id", pa.int64()),
        *((label.name, pa.float64()) for label in contract.run_labels),
        *((name, _TYPES[name]) for name in OPTIONAL if name in known),
        *spectra.items(),
    ]
    return pa.schema(fields, metadata={"contract": contract.name, "seed": str(seed), **_axis_metadata(contract)})


_TYPES = {name: pa.float64() for name in OPTIONAL} | {"continuum": pa.list_(pa.float32(), CONTINUUM_POINTS)}


def _axis_metadata(contract: Contract) -> dict[str, str]:
    axis = require_intrinsic_axis(contract)
    return {
        "intrinsic_start": repr(axis.start),
        "intrinsic_stop": repr(axis.stop),
        "intrinsic_velocity_step": repr(axis.velocity_step),
        "intrinsic_bins": str(len(axis.wavelength)),
        "flux_per_count": repr(axis.flux_per_count),
        "wavelength_unit": contract.wavelength.unit,
        "wavelength_medium": axis.medium,
    }


def read_intrinsic_grid(folder: Path, contract: Contract) -> IntrinsicGrid:
    """Read all shards of a folder, in order, after checking each against the SHA-256 in its provenance.

    Raises
    ------
    InputError
        If the folder, its shards or its provenance are missing, a shard was changed or cut short, or its columns or
        wavelength axis aren't the contract's; the message names the file.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: give one that holds an intrinsic grid, or synthesise one there")
    paths = _shard_paths(folder)
    if not paths:
        raise InputError(f"{folder} holds no shard ({shard_name(0)}, ...): synthesise an intrinsic grid there first")
    provenance = read_provenance(folder)
    for name in sorted({*(path.name for path in paths), *_recorded_digests(provenance)}):
        check_digest(folder / name, provenance)
    components = known_components(folder, provenance)
    pieces = [read_shard(path, contract, components) for path in paths]
    for path, piece in zip(paths, pieces, strict=True):
        if piece.known != pieces[0].known:
            raise InputError(
                f"{path} has the columns {_named(piece)}, but {paths[0].name} has {_named(pieces[0])}: all shards of a "
                "grid have the same"
            )
    labels, flux = (np.concatenate([getattr(piece, name) for piece in pieces]) for name in ("labels", "flux"))
    depart(contract, labels, flux)
    if contract.departures is not None:
        limits = known_limits(contract, list(provenance.get("known_limits", [])))  # type: ignore[call-overload]
        provenance = {**provenance, **stated(contract), "known_limits": limits}
    return IntrinsicGrid(
        run_id=np.concatenate([piece.run_id for piece in pieces]),
        labels=labels,
        flux=flux,
        provenance=provenance,
        **{name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in pieces[0].known},
    )


def check_digest(path: Path, provenance: Mapping[str, object]) -> None:
    """Raise `InputError` unless a shard is there with the SHA-256 that its provenance recorded."""
    recorded = _recorded_digests(provenance).get(path.name)
    if not path.is_file():
        raise InputError(f"{path} is missing, though {PROVENANCE} lists it: restore it, or synthesise the grid again")
    if recorded is None:
        raise InputError(
            f"{path} is not listed in {PROVENANCE}: finish the synthesis by starting it again, or remove it"
        )
    found = file_digest(path)
    if found != recorded:
        raise InputError(
            f"{path} was changed or cut short (SHA-256 {found[:12]}..., {PROVENANCE} says {recorded[:12]}...): restore "
            "it, or, after an interrupted synthesis, start that again"
        )


def known_components(folder: Path, provenance: Mapping[str, object]) -> Components | None:
    """Principal components of a compact grid; None where spectra lie there whole.

    Raises
    ------
    InputError
        If their file is missing, or was changed or cut short.
    """
    if COMPONENTS not in _recorded_digests(provenance):
        return None
    check_digest(folder / COMPONENTS, provenance)
    return read_components(folder / COMPONENTS)


def read_shard(path: Path, contract: Contract, components: Components | None = None) -> IntrinsicGrid:
    """Read one shard, without its provenance. Raises `InputError` if it is cut short or another contract's.

    components: what the coefficients of a compact shard belong to.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} is no whole Parquet file: restore it, or synthesise the grid again") from error
    _check_schema(path, table.schema, contract)
    return IntrinsicGrid(
        run_id=table["run_id"].to_numpy(),
        labels=np.stack([table[label.name].to_numpy() for label in contract.run_labels], axis=1),
        flux=_flux(path, table, contract, components),
        **{name: _known(table, name) for name in OPTIONAL if name in table.column_names},
    )


def _flux(path: Path, table: pa.Table, contract: Contract, components: Components | None) -> NDArray[np.float32]:
    axis = require_intrinsic_axis(contract)
    if COEFFICIENTS not in table.column_names:
        return np.asarray(_matrix(table, COUNTS).astype(np.float32) * np.float32(axis.flux_per_count))
    runs = read_columns(table, len(axis.wavelength))
    count = runs.coefficients.shape[1]
    if components is None or len(components) != count:
        raise InputError(
            f"{path} holds coefficients of {count} principal components, but there are {len(components or ())} in its "
            f"folder: restore {COMPONENTS}"
        )
    return runs.flux(components)


def _known(table: pa.Table, name: str) -> Any:
    return _matrix(table, name) if name == "continuum" else np.asarray(table[name].to_numpy())


def _named(grid: IntrinsicGrid) -> str:
    return ", ".join(grid.known) or "none of " + ", ".join(OPTIONAL)


def _check_schema(path: Path, schema: pa.Schema, contract: Contract) -> None:
    metadata = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    for name, expected in _axis_metadata(contract).items():
        if metadata.get(name) != expected:
            raise InputError(
                f"{path} has {name} {metadata.get(name, 'missing')}, but contract {contract.name} says {expected}: "
                "read it with the contract it was made for"
            )
    if COEFFICIENTS in schema.names:
        spectra = types(getattr(schema.field(COEFFICIENTS).type, "list_size", 0))
    else:
        spectra = {COUNTS: pa.list_(pa.uint16(), len(require_intrinsic_axis(contract).wavelength))}
    expected_schema = _schema(contract, 0, schema.names, spectra)
    if not schema.equals(expected_schema):
        raise InputError(
            f"{path} has columns {_columns(schema)}, but contract {contract.name} needs {_columns(expected_schema)}"
        )


def _columns(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} ({field.type})" for field in schema)


def _matrix(table: pa.Table, name: str) -> NDArray[Any]:
    return np.asarray(table[name].combine_chunks().flatten()).reshape(table.num_rows, -1)


def file_digest(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal text."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def shard_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each shard in a folder, by file name, in order."""
    return {path.name: file_digest(path) for path in _shard_paths(folder)}


def _shard_paths(folder: Path) -> list[Path]:
    return sorted(folder.glob("shard-*.parquet"))


def _recorded_digests(provenance: Mapping[str, object]) -> dict[str, str]:
    recorded = provenance.get("shards")
    return {str(name): str(digest) for name, digest in recorded.items()} if isinstance(recorded, dict) else {}


def read_provenance(folder: Path) -> dict[str, object]:
    """Read ``provenance.json``. Raises `InputError` if it is missing or no JSON object."""
    path = folder / PROVENANCE
    try:
        provenance = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} is missing or unreadable: restore it, the shards can't be trusted without it"
        ) from error
    if not isinstance(provenance, dict):
        raise InputError(f"{path} must hold a JSON object, got {type(provenance).__name__}")
    return provenance


def write_provenance(folder: Path, provenance: Mapping[str, object]) -> None:
    """Write ``provenance.json`` atomically."""
    write_file(folder / PROVENANCE, json.dumps(provenance, indent=2) + "\n")
