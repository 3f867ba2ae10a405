"""Lines that are missing, drawn straight, weak or in the wrong place."""

import numpy as np

from benchmarks.mistakes.material import Material, mistake
from stellar_emulator.grid.store import Rows

MISSING, PLACES = "lines missing, straight or weak", "lines in the wrong place"

CA_II = {"8498": 8498.02, "8542": 8542.09, "8662": 8662.14}


@mistake(MISSING)
def ca_8498_missing(material: Material) -> Rows:
    """Ca II 8498 was left out of the line list."""
    return material.straightened(CA_II["8498"], 12.0)


@mistake(MISSING)
def ca_8542_straight(material: Material) -> Rows:
    """A gap around Ca II 8542 was bridged by a straight line."""
    return material.straightened(CA_II["8542"], 4.0)


@mistake(MISSING)
def ca_8498_straight_in_some(material: Material) -> Rows:
    """In a twentieth of the spectra, a gap around Ca II 8498 was bridged by a straight line."""
    return material.straightened(CA_II["8498"], 4.0, material.some_rows(0.05))


@mistake(MISSING)
def ca_8498_core_filled(material: Material) -> Rows:
    """The core of Ca II 8498 was filled in by half, as chromospheres do."""
    profile = np.exp(-0.5 * ((material.wavelength - CA_II["8498"]) / 0.5) ** 2)
    return material.with_flux(material.rows.flux + 0.5 * profile * (1.0 - material.rows.flux))


@mistake(MISSING)
def fe_8688_missing(material: Material) -> Rows:
    """Fe I 8688.6 was left out of the line list."""
    return material.straightened(8688.62, 1.5)


@mistake(MISSING)
def fe_8611_missing(material: Material) -> Rows:
    """Fe I 8611.8 was left out of the line list."""
    return material.straightened(8611.80, 1.2)


@mistake(MISSING)
def mg_8736_missing(material: Material) -> Rows:
    """Mg I 8736 was left out of the line list."""
    return material.straightened(8736.0, 2.0)


@mistake(MISSING)
def paschen_12_straight(material: Material) -> Rows:
    """Paschen 12 was bridged by a straight line."""
    return material.straightened(8750.47, 25.0)


@mistake(MISSING)
def all_lines_weak(material: Material) -> Rows:
    """All lines are 5 % weak."""
    return material.with_flux(1.0 - 0.95 * (1.0 - material.rows.flux))


@mistake(MISSING)
def calcium_weak(material: Material) -> Rows:
    """The lines of Ca II are 5 % weak."""
    near = material.near(list(CA_II.values()), 8.0)
    flux = material.rows.flux
    return material.with_flux(np.where(near, 1.0 - 0.95 * (1.0 - flux), flux))


@mistake(MISSING)
def fe_8688_weak(material: Material) -> Rows:
    """Fe I 8688.6 has a wrong oscillator strength and is a fifth weak."""
    near, flux = material.near([8688.62], 1.0), material.rows.flux
    return material.with_flux(np.where(near, 1.0 - 0.8 * (1.0 - flux), flux))


@mistake(PLACES)
def hot_stars_at_3_km_s(material: Material) -> Rows:
    """Hot stars were left at 3 km/s."""
    return material.with_flux(material.moved(np.where(material.label("teff") > 9000.0, 3.0, 0.0)))


@mistake(PLACES)
def hot_stars_at_minus_3_km_s(material: Material) -> Rows:
    """Hot stars were left at -3 km/s."""
    return material.with_flux(material.moved(np.where(material.label("teff") > 8000.0, -3.0, 0.0)))


@mistake(PLACES)
def all_at_1_km_s(material: Material) -> Rows:
    """All spectra were left at 1 km/s."""
    return material.with_flux(material.moved(1.0))


@mistake(PLACES)
def velocities_that_scatter(material: Material) -> Rows:
    """Velocities were corrected to 1.5 km/s, one by one."""
    return material.with_flux(material.moved(1.5 * material.random.normal(size=len(material.rows.flux))))


@mistake(PLACES)
def cool_giants_at_2_km_s(material: Material) -> Rows:
    """Cool giants were left at 2 km/s."""
    giants = material.inside(teff=(3600.0, 5200.0), logg=(2.0, 3.0))
    return material.with_flux(material.moved(np.where(giants, 2.0, 0.0)))


@mistake(PLACES)
def scale_stretched(material: Material) -> Rows:
    """The wavelength scale is stretched by 0.01 %, about its middle."""
    return material.with_flux(material.resampled(8600.0 + (material.wavelength - 8600.0) / 1.0001))


@mistake(PLACES)
def scale_bent(material: Material) -> Rows:
    """The wavelength solution bends by 0.04 Angstrom from the middle to both ends."""
    bend = 0.04 * ((material.wavelength - 8600.0) / 200.0) ** 2
    return material.with_flux(material.resampled(material.wavelength - bend))


@mistake(PLACES)
def logarithmic_steps_taken_for_linear(material: Material) -> Rows:
    """The logarithmic steps of the computation were taken for linear ones."""
    first, last = float(material.wavelength[0]), float(material.wavelength[-1])
    logarithmic = np.geomspace(first, last, len(material.wavelength))
    return material.with_flux(material.resampled(logarithmic))
