"""The format of Gaia DR3's mean RVS spectra in the archive's files (its documentation, section 20.12.1).

The spectra are at rest, normalised and in vacuum, with NaN where there are no data. The files contain a wavelength in
nm, flux and flux_error for each pixel, or (``RAW``, and the bulk files) arrays without wavelengths.
"""

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.medium import Medium

START, STOP, COUNT = 846.0, 870.0, 2401
"""First and last wavelength in nm, both included, and number of pixels."""

MEDIUM: Medium = "vacuum"
UNIT = "nm"


def archive_wavelengths() -> NDArray[np.float64]:
    """Wavelengths of every spectrum in nm, shape (COUNT,)."""
    return np.linspace(START, STOP, COUNT)


def is_archive_axis(wavelength: NDArray[np.float64]) -> bool:
    """Whether wavelengths, in nm, are the archive's, or a part of them at least a tenth as long."""
    if len(wavelength) < COUNT // 10 or wavelength.min() < START - 1e-4 or wavelength.max() > STOP + 1e-4:
        return False
    position = (wavelength - START) * (COUNT - 1) / (STOP - START)
    return bool(np.all(np.abs(position - np.rint(position)) < 1e-2) and np.allclose(np.diff(position), 1.0, atol=2e-2))
