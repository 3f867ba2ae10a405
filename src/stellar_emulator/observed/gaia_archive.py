"""The formats of Gaia's RVS spectra, as the archive's files have them.

Mean spectra of DR3 (its documentation, section 20.12.1), and of DR4 as of DR3: at rest, normalised, in vacuum, NaN
where there are no data. Epoch spectra of DR4 (ESA's draft data model of June 2026, to be checked against the release):
961 elements, barycentric, not at rest; their flux is interpolated from up to three spectra, so errors of neighbours
correlate. Files come with a wavelength in nm, flux and flux_error for each pixel, or (``RAW``, and the bulk files) as
arrays without wavelengths.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.medium import Medium
from stellar_emulator.observed.raw import Frame

START, STOP = 846.0, 870.0
"""First and last wavelength in nm, both included, and number of pixels."""

MEDIUM: Medium = "vacuum"
UNIT = "nm"

DETECTOR = 0.245
"""Width in Angstrom of the instrument's pixels along the spectrum (Cropper et al. 2018), from which all of the
archive's spectra are interpolated: their neighbouring pixels share noise."""

SOURCE = "source_id"
EPOCH = ("transit_id", "rvs_transit_id", "transitid")
"""Columns that tell apart the epochs of one source."""

NORMALISATION = "normalisation_method"
METHODS = {
    0: "not normalised, as double-lined stars are: let --continuum fit it",
    3: "normalised by its median, not by a continuum: let --continuum fit it",
    4: "normalised by a negative median: its flux is no star's",
}
"""Values of that column of DR4 that mean no normalised spectrum."""


@dataclass(frozen=True)
class ArchiveAxis:
    """Pixels of one kind of the archive's spectra."""

    form: str
    count: int
    frame: Frame

    def wavelengths(self) -> NDArray[np.float64]:
        """Of every spectrum in nm, shape (count,)."""
        return np.linspace(START, STOP, self.count)


MEAN = ArchiveAxis("Gaia RVS mean spectrum", 2401, "rest")
EPOCHS = ArchiveAxis("Gaia DR4 RVS epoch spectrum", 961, "barycentric")
COUNT = MEAN.count


def axis_of(count: int) -> ArchiveAxis | None:
    """The kind of spectra that have so many pixels; None if the archive has none."""
    return next((axis for axis in (MEAN, EPOCHS) if axis.count == count), None)


def archive_of(wavelength: NDArray[np.float64]) -> ArchiveAxis | None:
    """The kind of spectra whose wavelengths, in nm, these are, or a piece of them as long as a tenth."""
    for axis in (MEAN, EPOCHS):
        if len(wavelength) < axis.count // 10 or wavelength.min() < START - 1e-4 or wavelength.max() > STOP + 1e-4:
            continue
        position = (wavelength - START) * (axis.count - 1) / (STOP - START)
        on_pixels = np.all(np.abs(position - np.rint(position)) < 1e-2)
        if on_pixels and np.allclose(np.diff(position), 1.0, atol=2e-2):
            return axis
    return None
