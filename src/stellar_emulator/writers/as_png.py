"""Spectra as a picture, for looking at."""

from pathlib import Path

import numpy as np

from stellar_emulator.errors import InputError
from stellar_emulator.figures.generated import generated_spectra
from stellar_emulator.writers.batch import Generated

READABLE = 8
"""Largest number of spectra that one picture can show."""


def write(path: Path, generated: Generated) -> None:
    """Draw the spectra. Raises `InputError` for more than `READABLE`."""
    if generated.rows > READABLE:
        raise InputError(
            f"a picture shows up to {READABLE} spectra, the table has {generated.rows:,}: write .fits or .parquet, or "
            "give fewer rows"
        )
    labels, flux = (np.concatenate(parts) for parts in zip(*generated.batches, strict=True))
    generated_spectra(generated.contract, labels, flux, generated.version).savefig(path)
