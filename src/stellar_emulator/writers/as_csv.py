"""Spectra as text. One spectrum: a row for each pixel; several: a row for each spectrum, its labels first."""

import csv
from pathlib import Path

import numpy as np

from stellar_emulator.writers.batch import Generated

DIGITS = "{:.7g}"
"""Significant digits of single precision."""


def write(path: Path, generated: Generated) -> None:
    """Write columns ``wavelength`` and ``flux``; or one for each label and one for each pixel, named by wavelength."""
    pixels = [repr(float(pixel)) for pixel in generated.contract.wavelength.pixels]
    with path.open("w", newline="") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        if generated.rows == 1:
            ((_, made),) = generated.batches
            rows.writerow(["wavelength", "flux"])
            rows.writerows(zip(pixels, map(DIGITS.format, made[0].tolist()), strict=True))
            return
        rows.writerow([*generated.contract.label_names, *pixels])
        for labels, made in generated.batches:
            for own, flux in zip(labels.tolist(), np.asarray(made, dtype=np.float64).tolist(), strict=True):
                rows.writerow([*map(repr, own), *map(DIGITS.format, flux)])
