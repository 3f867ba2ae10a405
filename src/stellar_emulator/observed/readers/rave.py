"""RAVE DR6's spectra (Steinmetz et al. 2020, AJ 160, 82).

Images SPECTRUM, normalised, and ERROR, relative to the flux; linear axis in the header, air, at rest; the observation's
identifier in the card ROI. No real file could be had: by what readers of the archive's files ask of them.
"""

from stellar_emulator.observed.raw import RawTable, Told
from stellar_emulator.observed.readers.fits_axis import unit_of, wavelengths
from stellar_emulator.observed.readers.fits_file import FitsFile

RESOLUTION = 7500.0


def is_rave(file: FitsFile) -> bool:
    """Whether it has RAVE's card and images."""
    return "ROI" in file.primary and all(
        (hdu := file.named(name)) is not None and hdu.image is not None for name in ("SPECTRUM", "ERROR")
    )


def read_rave(file: FitsFile) -> list[RawTable]:
    """The one spectrum, named as its observation."""
    spectrum, error = file.named("SPECTRUM"), file.named("ERROR")
    assert spectrum is not None  # is_rave asks for both
    assert error is not None
    flux = file.image(spectrum.number, "a spectrum")
    wavelength, notes = wavelengths(spectrum, len(flux))
    told = Told(
        form="RAVE DR6",
        because="RAVE's convention",
        medium="air",
        frame="rest",
        error="relative_error",
        errors="relative",
        notes=(*file.notes, *notes),
        resolution=RESOLUTION,
    )
    columns = {"wavelength": wavelength, "flux": flux, "relative_error": file.image(error.number, "errors")}
    units = {"wavelength": unit_of(spectrum) or "Angstrom"}
    metadata = {"name": str(file.primary["ROI"])}
    return [RawTable(str(file.path), columns, units, metadata, told)]
