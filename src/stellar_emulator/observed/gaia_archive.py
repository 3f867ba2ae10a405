"""The format of Gaia DR3's mean RVS spectra, as the archive's files have it (its documentation, section 20.12.1).

At rest, normalised, in vacuum, NaN where there are no data. Its files come with a wavelength in nm, flux and
flux_error for each pixel, or (``RAW``, and the bulk files) as arrays without wavelengths.
"""

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.medium import Medium

START, STOP, COUNT = 846.0, 870.0, 2401
"""nm; both ends included."""

MEDIUM: Medium = "vacuum"
UNIT = "nm"


def archive_wavelengths() -> NDArray[np.float64]:
    """Wavelengths of every spectrum in nm, shape (COUNT,)."""
    return np.linspace(START, STOP, COUNT)


def is_archive_axis(wavelength: NDArray[np.float64]) -> bool:
    """Whether wavelengths, in nm, are the archive's, or a piece of them as long as a tenth."""
    if len(wavelength) < COUNT // 10 or wavelength.min() < START - 1e-4 or wavelength.max() > STOP + 1e-4:
        return False
    position = (wavelength - START) * (COUNT - 1) / (STOP - START)
    return bool(np.all(np.abs(position - np.rint(position)) < 1e-2) and np.allclose(np.diff(position), 1.0, atol=2e-2))
