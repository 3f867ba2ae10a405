"""Spectra as FITS: an image with a linear or logarithmic wavelength axis, (pixels,) or (spectra, pixels).

`specutils` reads linear axes; logarithmic ones follow Greisen et al. 2006, A&A 446, 747.

One spectrum has its labels in the header. Several have them in the extension ``LABELS``: a table of text, since
`specutils` would look for the spectra in a binary one.
"""

from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.axis import SPEED_OF_LIGHT, WavelengthAxis
from stellar_emulator.contract.contract import Contract
from stellar_emulator.errors import InputError
from stellar_emulator.version import VERSION
from stellar_emulator.writers.batch import Generated
from stellar_emulator.writers.fits_header import BLOCK, Card, header, padded

WAVELENGTH_TYPE = {"air": "AWAV", "vacuum": "WAVE"}

NOT_IN_FITS = "dex"
"""A unit that is not in the FITS standard, so that readers would warn of it."""

NUMBER = "{:24.16E}"
"""Format of numbers in the table of labels, with all digits of double precision."""

WIDTH = 25
"""Number of characters of a number in the table, with the space after it."""


def write(path: Path, generated: Generated) -> None:
    """Write the image batch by batch, so that memory holds one batch, and the labels as text.

    Raises
    ------
    InputError
        If the wavelengths are listed one by one, which an image's header can't state.
    """
    if generated.contract.wavelength.spacing == "listed":
        raise InputError(
            f"{path}: the wavelengths of contract {generated.contract.name} are listed, which the header of a FITS "
            "image can't state: give .parquet or .csv"
        )
    table: list[str] = []
    with path.open("wb") as stream:
        first = next(generated.batches)
        stream.write(header(_image_cards(generated, first[0][0])))
        for labels, flux in chain([first], generated.batches):
            table.append(_text(labels))
            stream.write(np.ascontiguousarray(flux, dtype=">f4").data)
        stream.write(b"\0" * (-stream.tell() % BLOCK))
        if generated.rows > 1:
            stream.write(header(_table_cards(generated.contract, generated.rows)))
            stream.write(padded("".join(table).encode("ascii"), b" "))


def _image_cards(generated: Generated, labels: NDArray[np.float64]) -> list[Card]:
    axis, alone = generated.contract.wavelength, generated.rows == 1
    wavelength_type, step = _spacing(axis)
    cards: list[Card] = [
        ("SIMPLE", True, "FITS"),
        ("BITPIX", -32, "single precision"),
        ("NAXIS", 1 if alone else 2, ""),
        ("NAXIS1", axis.count, "pixels"),
    ]
    if not alone:
        cards.append(("NAXIS2", generated.rows, "spectra, whose labels are in extension LABELS"))
    cards += [
        ("EXTEND", True, ""),
        ("DISPAXIS", 1, "wavelengths run along axis 1"),
        ("BUNIT", "", "flux over continuum has no unit"),
        ("CTYPE1", wavelength_type, f"wavelength in {axis.medium}"),
        ("CUNIT1", axis.unit, ""),
        ("CRPIX1", 1.0, "the first pixel"),
        ("CRVAL1", axis.start, f"[{axis.unit}] its centre"),
        ("CDELT1", step, f"[{axis.unit}] from pixel to pixel"),
        ("MEDIUM", axis.medium, "of the wavelengths"),
        ("MODEL", generated.version, "emulator that made the flux"),
        ("MODELSHA", generated.digest, ""),
        ("CONTRACT", generated.contract.name, "data contract of the emulator"),
        ("CREATOR", f"stellar-emulator {VERSION}", ""),
    ]
    if alone:
        given = zip(generated.contract.labels, labels.tolist(), strict=True)
        cards += [(label.name.upper(), value, f"[{label.unit}]" if label.unit else "") for label, value in given]
    return cards


def _spacing(axis: WavelengthAxis) -> tuple[str, float]:
    """CTYPE and CDELT: on a logarithmic axis the step at the first pixel, to which CRVAL refers (eq. 5)."""
    kind = WAVELENGTH_TYPE[axis.medium]
    if axis.velocity_step is not None:
        return f"{kind}-LOG", axis.start * axis.velocity_step / SPEED_OF_LIGHT
    assert axis.step is not None
    return kind, axis.step


def _table_cards(contract: Contract, rows: int) -> list[Card]:
    cards: list[Card] = [
        ("XTENSION", "TABLE", "ASCII table"),
        ("BITPIX", 8, ""),
        ("NAXIS", 2, ""),
        ("NAXIS1", WIDTH * len(contract.labels), "characters in a row"),
        ("NAXIS2", rows, "rows, in the order of the spectra"),
        ("PCOUNT", 0, ""),
        ("GCOUNT", 1, ""),
        ("TFIELDS", len(contract.labels), "columns"),
        ("EXTNAME", "LABELS", ""),
    ]
    for number, label in enumerate(contract.labels, start=1):
        cards += [
            (f"TTYPE{number}", label.name, ""),
            (f"TBCOL{number}", 1 + WIDTH * (number - 1), ""),
            (f"TFORM{number}", "E24.16", ""),
        ]
        if label.unit not in ("", NOT_IN_FITS):
            cards.append((f"TUNIT{number}", label.unit, ""))
    return cards


def _text(labels: NDArray[np.float64]) -> str:
    row = f"{NUMBER} " * labels.shape[1]
    return "".join(row.format(*values) for values in labels.tolist())
