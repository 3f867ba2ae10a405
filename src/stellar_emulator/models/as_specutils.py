"""Generated spectra as objects of `specutils`, an optional dependency."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.models.loaded import LoadedModel
from stellar_emulator.system.extras import named_extras

if TYPE_CHECKING:
    from specutils import Spectrum


def as_spectra(model: LoadedModel, labels: NDArray[np.float64], flux: NDArray[np.float32]) -> list["Spectrum"]:
    """One spectrum for each row of labels (n, labels) and flux (n, pixels).

    ``meta`` contains the labels by name, the model's ``version`` and the ``medium`` of the wavelengths.

    Raises
    ------
    SetupError
        If specutils is not installed.
    """
    with named_extras():
        from specutils import Spectrum
    from astropy.units import Quantity

    names = model.contract.label_names
    noted = {"version": model.version, "medium": model.medium}
    return [
        Spectrum(
            flux=Quantity(one, ""),
            spectral_axis=model.wavelength,
            meta=dict(zip(names, row.tolist(), strict=True)) | noted,
        )
        for row, one in zip(labels, flux, strict=True)
    ]
