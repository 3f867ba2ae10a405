"""The verb ``generate``: one spectrum, or those of a table of labels of any length, in bounded memory."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.cli.settings import Generate
from stellar_emulator.contract.hull import check_hull
from stellar_emulator.contract.label_file import label_batches
from stellar_emulator.contract.label_table import broadcast, given_labels
from stellar_emulator.errors import InputError
from stellar_emulator.models.emulator import Emulator
from stellar_emulator.writers.batch import Generated
from stellar_emulator.writers.file import check_output, write_spectra


def run(options: Generate) -> None:
    """Write the spectra to ``output``, row by row in the order of the labels."""
    check_output(options.output)
    if options.labels is None and not options.given:
        raise InputError("no labels are given: give each as an option, such as --teff 5777, or a table by --labels")
    emulator = Emulator.load(options.model, options.contract)
    labels, rows = _labels(options, emulator)
    batches = ((part, emulator.flux(part)) for part in labels)
    write_spectra(options.output, Generated(emulator.contract, emulator.version, emulator.digest, rows, batches))
    print(f"{options.output}: {rows:,} {'spectrum' if rows == 1 else 'spectra'} by {emulator.version}")


def _labels(options: Generate, emulator: Emulator) -> tuple[Iterator[NDArray[np.float64]], int]:
    """Checked labels in batches (n, labels), and their total number of rows.

    A table is read twice: all its rows are checked before the first spectrum is made.
    """
    contract, given = emulator.contract, given_labels(options.given)
    if options.labels is None:
        values, _ = broadcast(contract, list(given.items()))
        return iter([emulator.requested(values)]), 1
    rows = 0
    for part in label_batches(options.labels, contract, given):
        check_hull(contract, part, rows)
        rows += len(part)
    return _with_progress(label_batches(options.labels, contract, given), rows), rows


def _with_progress(batches: Iterator[NDArray[np.float64]], rows: int) -> Iterator[NDArray[np.float64]]:
    from tqdm import tqdm

    with tqdm(total=rows, desc="generating", unit="spectra", mininterval=1.0) as bar:
        for labels in batches:
            yield labels
            bar.update(len(labels))
