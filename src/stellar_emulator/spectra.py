"""Generated spectra as objects of `specutils`, an optional dependency."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.errors import SetupError

if TYPE_CHECKING:
    from specutils import Spectrum

    from stellar_emulator.emulator import Emulator


def as_spectra(emulator: "Emulator", labels: NDArray[np.float64], flux: NDArray[np.float32]) -> list["Spectrum"]:
    """One spectrum for each row of labels (n, labels) and flux (n, pixels).

    ``meta`` holds the labels by name, the model's ``version`` and the ``medium`` of the wavelengths.

    Raises
    ------
    SetupError
        If specutils is not installed.
    """
    try:
        from specutils import Spectrum
    except ModuleNotFoundError as error:
        raise SetupError("spectra as objects need specutils: pip install 'stellar-emulator[specutils]'") from error
    from astropy.units import Quantity

    names = emulator.contract.label_names
    noted = {"version": emulator.version, "medium": emulator.medium}
    return [
        Spectrum(
            flux=Quantity(one, ""),
            spectral_axis=emulator.wavelength,
            meta=dict(zip(names, row.tolist(), strict=True)) | noted,
        )
        for row, one in zip(labels, flux, strict=True)
    ]
