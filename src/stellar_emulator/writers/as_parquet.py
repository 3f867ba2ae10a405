"""Spectra as Parquet: one row per spectrum, which can be read as a user's grid (see `grid.readers.user_grid`)."""

import json
from pathlib import Path

import pyarrow as pa

from stellar_emulator.contract.axis import WavelengthAxis
from stellar_emulator.grid.store import spectra_writer
from stellar_emulator.writers.batch import Generated


def write(path: Path, generated: Generated) -> None:
    """Write labels and flux of every spectrum; the wavelengths are in the file's metadata."""
    axis = generated.contract.wavelength
    note = {
        **_pixels(axis),
        "medium": axis.medium,
        "emulator": generated.digest,
        "contract": generated.contract.digest,
    }
    columns = [(name, pa.float64()) for name in generated.contract.label_names]
    schema = pa.schema([*columns, ("flux", pa.list_(pa.float32(), axis.count))], metadata=note)
    with spectra_writer(path, schema) as writer:
        for labels, made in generated.batches:
            flux = pa.FixedSizeListArray.from_arrays(pa.array(made.ravel()), axis.count)
            writer.write_table(pa.table([*labels.T, flux], schema=schema))


def _pixels(axis: WavelengthAxis) -> dict[str, str]:
    """Metadata of the wavelengths, as `grid.readers.user_grid` reads them."""
    if axis.step is not None:
        return {"wavelength_start": repr(axis.start), "wavelength_step": repr(axis.step)}
    return {"wavelength": json.dumps(axis.pixels.tolist())}
