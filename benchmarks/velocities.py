"""Velocities of observed stars whose spectra were shifted: ``python -m benchmarks.velocities FOLDER``.

Each spectrum of a folder (see `benchmarks.star_files`) is fitted as it is and with velocities put into its wavelengths;
a search that loses its way ends far from the sum of the two. Spectra less sharp than the model can be are left out.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import Row, table
from benchmarks.star_files import Star, read_folder
from benchmarks.stars import RESOLUTIONS
from stellar_emulator import Emulator, Validator
from stellar_emulator.contract.axis import SPEED_OF_LIGHT
from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.roles import RESOLUTION
from stellar_emulator.fitting.estimate import Fitted, Pair, fit_all
from stellar_emulator.fitting.model_error import model_error_of
from stellar_emulator.fitting.preparation import Treatment
from stellar_emulator.fitting.protocols import library
from stellar_emulator.observed.spectrum import ObservedSpectrum
from stellar_emulator.observed.velocity import observed_at

SHIFTS = (-300.0, -150.0, 150.0, 300.0)
RIGHT = 1.0
"""km/s."""

DEGREE = 3
BESIDE = 60.0
"""Angstrom beyond the model's axis that are kept on either side, as far as a shift may move lines in."""


def main() -> None:
    """Print a row for each shift, and name those that are lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="gaia_rvs")
    options = parser.parse_args()
    emulator, validator = Emulator.load(options.model), Validator.load(options.model)
    pair = Pair(emulator, validator, library(emulator))
    stars = read_folder(options.folder)
    sharp = [star for star in stars if _sharp_enough(star, emulator.contract)]
    own = velocities(sharp, pair, 0.0)
    rows: list[Row] = [
        ("spectra, less sharp than the model, fitted as they are", _counts(len(stars), len(sharp), own), "")
    ]
    for shift in SHIFTS:
        off = velocities(sharp, pair, shift) - shift - own * (1.0 + shift / SPEED_OF_LIGHT)
        right = np.abs(off) < RIGHT
        lost = ", ".join(star.name for star, one in zip(sharp, right, strict=True) if not one)
        told = f"{int(right.sum())} of {len(sharp)} right, largest error {np.nanmax(np.abs(off)):.2f} km/s"
        rows.append((f"shifted by {shift:+.0f} km/s", told + (f"; lost {lost}" if lost else ""), "all within 1 km/s"))
    print(table(f"Velocities put into observed spectra, {options.model}", rows))


def velocities(stars: Sequence[Star], pair: Pair, shift: float) -> NDArray[np.float64]:
    """Fitted velocities in km/s of stars whose spectra are shifted, (stars,), NaN of those that can't be used."""
    contract = pair.emulator.contract
    treatment = Treatment(None, DEGREE, broaden=True, error=model_error_of(contract, "emulator"))
    found = fit_all([_shifted(star, contract, shift) for star in stars], pair, treatment, {})
    return np.array([one.solution.parameters.velocity if isinstance(one, Fitted) else np.nan for one in found])


def _shifted(star: Star, contract: Contract, shift: float) -> ObservedSpectrum:
    near = star.between(contract.wavelength.start - BESIDE, contract.wavelength.stop + BESIDE)
    flux = np.where(np.isfinite(near.error), near.flux, 0.0)
    return ObservedSpectrum(
        star.name,
        observed_at(near.wavelength, shift),
        "air",
        flux,
        near.error,
        resolution=RESOLUTIONS.get(star.group),
    )


def _sharp_enough(star: Star, contract: Contract) -> bool:
    label = contract.of_role(RESOLUTION)
    return label is None or RESOLUTIONS.get(star.group, np.inf) >= label.lower


def _counts(stars: int, sharp: int, own: NDArray[np.float64]) -> str:
    return f"{stars}, {stars - sharp}, {int(np.isfinite(own).sum())}"


if __name__ == "__main__":
    main()
