"""The last resort: specutils' loaders, for files that no reader here knows. Medium and frame are not theirs to say."""

from pathlib import Path
from typing import Any

import numpy as np

from stellar_emulator.observed.raw import ErrorKind, RawTable, Told

KINDS: dict[str, ErrorKind] = {"std": "deviation", "var": "variance", "ivar": "inverse variance"}
"""What specutils' uncertainties hold."""


def read_by_specutils(path: Path) -> RawTable | None:
    """The spectrum that specutils reads; None if it isn't installed, doesn't know the file or finds no wavelengths."""
    import warnings

    try:
        from specutils import Spectrum
    except ImportError:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = Spectrum.read(str(path))
            wavelength = np.asarray(found.spectral_axis.to_value("Angstrom"), dtype=np.float64)
            flux = np.asarray(found.flux.value, dtype=np.float64)
    # What a loader makes of a file that it takes for its own is beyond listing.
    except Exception:
        return None
    if flux.shape != wavelength.shape:
        return None
    columns: dict[str, Any] = {"wavelength": wavelength, "flux": flux}
    kind = None
    if found.uncertainty is not None and found.uncertainty.uncertainty_type in KINDS:
        kind = KINDS[found.uncertainty.uncertainty_type]
        columns["uncertainty"] = np.asarray(found.uncertainty.array, dtype=np.float64)
    if found.mask is not None:
        columns["mask"] = np.asarray(found.mask).astype(np.int64)
    told = Told(form="by specutils", error="uncertainty" if kind else None, errors=kind)
    return RawTable(str(path), columns, {"wavelength": "Angstrom"}, {}, told)
