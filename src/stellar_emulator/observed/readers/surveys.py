"""Forms of FITS files that surveys publish, each found by what its files hold, never by their names."""

from collections.abc import Callable
from dataclasses import dataclass

from stellar_emulator.errors import InputError
from stellar_emulator.observed.raw import RawTable
from stellar_emulator.observed.readers import apogee, eso, galah, hermes, iraf, lamost, mwm, rave, sdss
from stellar_emulator.observed.readers.fits_file import FitsFile


@dataclass(frozen=True)
class Form:
    """One form of files. name: for ``--form``; holds: whether a file is of this form; read: its spectra."""

    name: str
    holds: Callable[[FitsFile], bool]
    read: Callable[[FitsFile], list[RawTable]]


FORMS = (
    Form("apogee_star", apogee.is_star, apogee.read_star),
    Form("apogee_visit", apogee.is_visit, apogee.read_visit),
    Form("apogee_aspcap", apogee.is_aspcap, apogee.read_aspcap),
    Form("sdss_mwm", mwm.is_mwm, mwm.read_mwm),
    Form("sdss_spec", sdss.is_spec, sdss.read_spec),
    Form("lamost_low", lamost.is_low, lamost.read_low),
    Form("lamost_table", lamost.is_table, lamost.read_table),
    Form("lamost_medium", lamost.is_medium, lamost.read_medium),
    Form("galah", galah.is_galah, galah.read_galah),
    Form("rave", rave.is_rave, rave.read_rave),
    Form("hermes", hermes.is_hermes, hermes.read_hermes),
    Form("eso", eso.is_eso, eso.read_eso),
    Form("iraf", iraf.is_iraf, iraf.read_iraf),
)


def form_of(file: FitsFile, name: str | None) -> Form | None:
    """The form that a file has, None if none is known; ``name``: of the one that the user says it has.

    Raises
    ------
    InputError
        If several fit, or the name is unknown.
    """
    if name is not None:
        found = next((form for form in FORMS if form.name == name), None)
        if found is None:
            raise InputError(f"--form {name} is unknown: give one of {', '.join(form.name for form in FORMS)}")
        return found
    fitting = [form for form in FORMS if form.holds(file)]
    if len(fitting) > 1:
        names = " and ".join(form.name for form in fitting)
        raise InputError(f"{file.path} looks like {names}: state --form {fitting[0].name} or another of them")
    return fitting[0] if fitting else None
