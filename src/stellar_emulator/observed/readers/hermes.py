"""Spectra of HERMES at the Mercator telescope (Raskin et al. 2011), and Melchiors, its library (Royer et al. 2024).

Pipeline products: an image whose axis is the natural logarithm of the wavelength (``log_merged``, barycentric) or the
wavelength (``wavelength_merged``, as observed). Corrected ones: a table ``wave``, ``flux`` (response corrected) and
``flux_molec`` (telluric lines too). Air, Angstrom, R 85,000. No real file could be had: by
what readers of such files ask of them.
"""

import numpy as np

from stellar_emulator.observed.raw import Frame, RawTable, Told
from stellar_emulator.observed.readers.fits_axis import has_axis
from stellar_emulator.observed.readers.fits_file import FitsFile

RESOLUTION = 85000.0

LARGEST_LN = 15.0
"""Of a wavelength in Angstrom: an axis that starts below is logarithmic."""

CORRECTED = {"wave", "flux", "flux_molec"}


def _of_mercator(file: FitsFile) -> bool:
    return "hermes" in file.text("INSTRUME") and "mercator" in file.text("TELESCOP")


def _table_of(file: FitsFile) -> RawTable | None:
    return next((hdu.table for hdu in file.hdus if hdu.columns >= CORRECTED), None)


def is_hermes(file: FitsFile) -> bool:
    """Whether it is of that instrument, or a table of its corrected spectra."""
    image = file.hdus[0].image
    return _table_of(file) is not None or (
        _of_mercator(file) and image is not None and image.ndim == 1 and has_axis(file.hdus[0])
    )


def read_hermes(file: FitsFile) -> list[RawTable]:
    """The one spectrum."""
    table = _table_of(file)
    if table is not None:
        names = {name.strip().lower(): name for name in table.columns}
        columns = {"wavelength": table.columns[names["wave"]], "flux": table.columns[names["flux"]]}
        told = _told("HERMES, corrected", "barycentric", file.notes)
        unit = table.units.get(names["wave"], "Angstrom")
        return [RawTable(str(file.path), columns, {"wavelength": unit}, {}, told)]
    hdu = file.hdus[0]
    flux = file.image(0, "a spectrum")
    offset = np.arange(len(flux)) + 1.0 - hdu.number_of("CRPIX1", 1.0)
    values = hdu.number_of("CRVAL1") + hdu.number_of("CDELT1") * offset
    logarithmic = bool(values[0] < LARGEST_LN)
    columns = {"wavelength": np.exp(values) if logarithmic else values, "flux": flux}
    told = _told("HERMES", "barycentric" if logarithmic else "observed", file.notes)
    return [RawTable(str(file.path), columns, {"wavelength": "Angstrom"}, {}, told)]


def _told(form: str, frame: Frame, notes: tuple[str, ...]) -> Told:
    return Told(form=form, because="HERMES's convention", medium="air", frame=frame, notes=notes, resolution=RESOLUTION)
