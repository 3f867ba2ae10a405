"""The verb ``generate``: spectra for a table of labels of any length, in bounded memory."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tqdm import tqdm

from stellar_emulator.bundle import Emulator, load_emulator
from stellar_emulator.errors import SetupError
from stellar_emulator.grid.store import spectra_writer
from stellar_emulator.jobs.serve import find_model
from stellar_emulator.label_file import label_batches
from stellar_emulator.lock import locked, make_folder

SPECTRA = "spectra.parquet"


def run(options: argparse.Namespace) -> None:
    """Write ``output/spectra.parquet``: the labels as given and their flux, row by row in the same order."""
    emulator = load_emulator(find_model(options.model, options.contract))
    rows = sum(len(labels) for labels in label_batches(options.labels, emulator.contract))
    make_folder(options.output)
    with locked(options.output):
        path = options.output / SPECTRA
        _write(path, emulator, _with_progress(label_batches(options.labels, emulator.contract), rows))
    print(f"{path}: {rows:,} spectra by emulator {emulator.digest[:12]}")


def _write(path: Path, emulator: Emulator, batches: Iterator[NDArray[np.float64]]) -> None:
    """Write a file at once or not at all: a user's own grid, as `grid.user_grid` describes it."""
    axis = emulator.contract.wavelength
    note = {
        "wavelength_start": repr(axis.start),
        "wavelength_step": repr(axis.step),
        "medium": axis.medium,
        "emulator": emulator.digest,
        "contract": emulator.contract.digest,
    }
    columns = [(name, pa.float64()) for name in emulator.contract.label_names]
    schema = pa.schema([*columns, ("flux", pa.list_(pa.float32(), axis.count))], metadata=note)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with spectra_writer(partial, schema) as writer:
            for labels in batches:
                flux = pa.FixedSizeListArray.from_arrays(pa.array(emulator(labels).ravel()), axis.count)
                writer.write_table(pa.table([*labels.T, flux], schema=schema))
        partial.replace(path)
    except OSError as error:
        raise SetupError(f"{partial} can't be written: {error.strerror or error}: free some space there") from error
    finally:
        partial.unlink(missing_ok=True)


def _with_progress(batches: Iterator[NDArray[np.float64]], rows: int) -> Iterator[NDArray[np.float64]]:
    with tqdm(total=rows, desc="generating", unit="spectra", mininterval=1.0) as bar:
        for labels in batches:
            yield labels
            bar.update(len(labels))
