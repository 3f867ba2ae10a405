"""Continua with slopes, fringes and scattered light; instruments, rotation and limb darkening gone wrong; smoothing."""

import numpy as np
from scipy.ndimage import uniform_filter1d

from benchmarks.mistakes.material import Material, Numbers, mistake
from stellar_emulator.grid.store import Rows

CONTINUUM, BROADENING, TREATED = (
    "continua, fringes, scattered light",
    "instrument, rotation, limb darkening",
    "smoothing and clipping",
)


def _tilted(material: Material, slope: Numbers | float) -> Rows:
    """Continuum that rises by a share from the first pixel to the last; (rows,) or one for all."""
    share = np.linspace(-0.5, 0.5, len(material.wavelength))
    tilt = np.broadcast_to(slope, len(material.rows.flux))[:, np.newaxis] * share
    return material.with_flux(material.rows.flux * (1.0 + tilt))


@mistake(CONTINUUM)
def slope_of_1_percent(material: Material) -> Rows:
    """Continua rise by 1 % over the range."""
    return _tilted(material, 0.01)


@mistake(CONTINUUM)
def slope_of_3_percent(material: Material) -> Rows:
    """Continua fall by 3 % over the range."""
    return _tilted(material, -0.03)


@mistake(CONTINUUM)
def slopes_that_scatter(material: Material) -> Rows:
    """Continua were fitted one by one and have slopes of 1 %, up and down."""
    return _tilted(material, 0.01 * material.random.normal(size=len(material.rows.flux)))


def _fringed(material: Material, amplitude: float, rows: np.ndarray) -> Rows:
    phase = 2.0 * np.pi * material.random.random((len(material.rows.flux), 1))
    fringe = amplitude * np.sin(2.0 * np.pi * material.wavelength / 15.0 + phase) * rows[:, np.newaxis]
    return material.with_flux(material.rows.flux * (1.0 + fringe))


@mistake(CONTINUUM)
def fringes(material: Material) -> Rows:
    """The detector's fringes of half a percent were not divided out."""
    return _fringed(material, 0.005, np.ones(len(material.rows.flux)))


@mistake(CONTINUUM)
def fringes_in_a_tenth(material: Material) -> Rows:
    """In a tenth of the spectra fringes of half a percent were not divided out."""
    return _fringed(material, 0.005, material.some_rows(0.1))


@mistake(CONTINUUM)
def scattered_light(material: Material) -> Rows:
    """2 % of scattered light was not subtracted."""
    return material.with_flux((material.rows.flux + 0.02) / 1.02)


@mistake(CONTINUUM)
def continuum_too_low(material: Material) -> Rows:
    """The continuum was set by a polynomial through the highest points, and follows broad lines."""
    x = np.linspace(-1.0, 1.0, len(material.wavelength))
    flux = material.rows.flux
    blocks = flux.reshape(len(flux), 40, -1).max(axis=2).astype(float)
    fitted = np.polynomial.chebyshev.chebval(x, np.polynomial.chebyshev.chebfit(x[50::100], blocks.T, 5))
    return material.with_flux(flux / np.clip(fitted, 0.97, 1.0))


@mistake(BROADENING)
def instrument_twice(material: Material) -> Rows:
    """The instrument's profile was applied twice."""
    labels = material.rows.labels.copy()
    labels[:, material.column("resolution")] /= np.sqrt(2.0)
    return material.broadened(labels)


@mistake(BROADENING)
def instrument_not_applied(material: Material) -> Rows:
    """The stated resolution was not applied: all spectra are as sharp as the sharpest."""
    labels = material.rows.labels.copy()
    labels[:, material.column("resolution")] = 14500.0
    return material.broadened(labels)


@mistake(BROADENING)
def rotation_twice(material: Material) -> Rows:
    """Rotation was applied twice."""
    return material.broadened(rotations=2)


@mistake(BROADENING)
def rotation_forgotten_in_a_tenth(material: Material) -> Rows:
    """Rotation was not applied in a tenth of the spectra."""
    labels = material.rows.labels.copy()
    labels[:, material.column("vsini")] = 0.0
    return material.broadened(labels, rows=material.some_rows(0.1))


@mistake(BROADENING)
def limb_darkening_of_0(material: Material) -> Rows:
    """Rotation was applied without limb darkening."""
    return material.broadened(darkening=0.0)


@mistake(BROADENING)
def limb_darkening_of_1(material: Material) -> Rows:
    """Rotation was applied with a limb darkening of 1."""
    return material.broadened(darkening=1.0)


@mistake(TREATED)
def smoothed(material: Material) -> Rows:
    """Spectra were smoothed by a running mean of five pixels."""
    return material.with_flux(uniform_filter1d(material.rows.flux, 5, axis=1, mode="nearest"))


@mistake(TREATED)
def some_smoothed(material: Material) -> Rows:
    """A third of the spectra was smoothed by a running mean of three pixels."""
    flux = uniform_filter1d(material.rows.flux, 3, axis=1, mode="nearest")
    return material.with_flux(np.where(material.some_rows(0.33)[:, np.newaxis], flux, material.rows.flux))


@mistake(TREATED)
def clipped_below(material: Material) -> Rows:
    """Flux below 0.3 was clipped as bad, and set to 0.3."""
    return material.with_flux(np.maximum(material.rows.flux, 0.3))


@mistake(TREATED)
def clipped_above(material: Material) -> Rows:
    """Flux above 0.99 was clipped as noise, and set to 0.99."""
    return material.with_flux(np.minimum(material.rows.flux, 0.99))


@mistake(TREATED)
def cores_rejected(material: Material) -> Rows:
    """Cores deeper than 40 % below the median were rejected as cosmic rays, and replaced by it."""
    flux = material.rows.flux
    median = np.median(flux, axis=1, keepdims=True)
    return material.with_flux(np.where(flux < 0.6 * median, median, flux))
