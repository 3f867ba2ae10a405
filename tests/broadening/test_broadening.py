"""Broadening by Fourier modes against the convolution integrals themselves, and against independent code."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import fftconvolve
from scipy.stats import norm
from synthetic import GAIA, GAIA_DR3, SMALL, TINY

from rounding import assert_within, both, synthesis_errors
from stellar_emulator.broadening.broadening import FWHM_PER_SIGMA, Broadening, broadening, contract_broadening
from stellar_emulator.contract.axis import SPEED_OF_LIGHT, IntrinsicAxis
from stellar_emulator.contract.contract import Contract, parse_contract
from stellar_emulator.contract.medium import converted
from stellar_emulator.errors import InputError
from stellar_emulator.grid.engines.intrinsic import bin_averages

Array = NDArray[np.float64]

REFERENCE = Path(__file__).parents[1] / "data" / "reference_spectra.npz"
REFERENCE_LIMB_DARKENING = 0.6

LINES = ((8498.0, 0.8, 4.0), (8542.1, 0.6, 15.0), (8600.0, 0.3, 3.0), (8662.1, 0.5, 30.0))
"""Centre in Angstrom, depth, Gaussian width in km/s."""

FINE = 0.1
"""km/s: step of the quadrature."""

DRAWS = pytest.mark.parametrize(
    ("vsini", "resolution"), [(v, r) for v in (0.0, 2.0, 50.0, 300.0) for r in (5000.0, 14500.0)]
)


def intrinsic_line_flux(velocity: Array) -> Array:
    """Flux at velocities relative to the first edge of the contract's intrinsic axis."""
    flux = np.ones_like(velocity)
    for centre, depth, width in LINES:
        at = np.log(centre / GAIA.intrinsic.start) * SPEED_OF_LIGHT
        flux -= depth * np.exp(-0.5 * ((velocity - at) / width) ** 2)
    return flux


def gray_below(share: Array, limb_darkening: float) -> Array:
    """Integral of Gray's rotation profile (eq. 18.14) from -1 to velocity / vsini."""
    x = np.clip(share, -1.0, 1.0)
    disc = 0.5 * np.pi + x * np.sqrt(1.0 - x**2) + np.arcsin(x)
    limb = 0.5 * np.pi * (2.0 / 3.0 + x - x**3 / 3.0)
    return ((1.0 - limb_darkening) * disc + limb_darkening * limb) / (np.pi * (1.0 - limb_darkening / 3.0))


def quadrature(contract: Contract, vsini: float, resolution: float, limb_darkening: float) -> Array:
    """Flux at the contract's pixels by direct convolution; each kernel is integrated over the bins of a fine grid."""
    velocity = FINE * np.arange(np.log(GAIA.intrinsic.stop / GAIA.intrinsic.start) * SPEED_OF_LIGHT / FINE)
    absorbed = 1.0 - intrinsic_line_flux(velocity)
    sigma = SPEED_OF_LIGHT / (resolution * FWHM_PER_SIGMA)
    half = int(np.ceil(max(vsini, 8.0 * sigma) / FINE)) + 1
    edges = np.asarray(FINE * (np.arange(2 * half + 2) - half - 0.5), dtype=np.float64)
    kernels = [np.diff(norm.cdf(edges / sigma))]
    if vsini > 0.0:
        kernels.append(np.diff(gray_below(edges / vsini, limb_darkening)))
    for kernel in kernels:
        absorbed = fftconvolve(absorbed, kernel, mode="same")
    pixels = converted(contract.wavelength.pixels, contract.wavelength.medium, "air")
    return 1.0 - np.interp(np.log(pixels / GAIA.intrinsic.start) * SPEED_OF_LIGHT, velocity, absorbed)


@pytest.fixture(scope="module")
def convolve() -> Broadening:
    return contract_broadening(GAIA)


@pytest.fixture(scope="module")
def binned_lines() -> Array:
    """The lines averaged over the bins of the contract's intrinsic axis, shape (1, bins)."""
    velocity = 0.01 * np.arange(-100, np.log(GAIA.intrinsic.stop / GAIA.intrinsic.start) * SPEED_OF_LIGHT / 0.01 + 100)
    edges = np.log(GAIA.intrinsic.edges / GAIA.intrinsic.start) * SPEED_OF_LIGHT
    return bin_averages(velocity, intrinsic_line_flux(velocity), edges)[np.newaxis]


def broadened(convolve: Broadening, flux: NDArray, vsini: float, resolution: float, limb_darkening: float) -> Array:
    draw: Any = (np.array([value]) for value in (vsini, resolution, limb_darkening))
    return convolve(convolve.modes(flux), *draw)[0].astype(np.float64)


def rounding(convolve: Broadening, modes: NDArray) -> float:
    """Between two computations of broadened flux, none of which exceeds 1."""
    size = np.sqrt(2.0) * np.abs(modes).sum(axis=1).max()
    return float(both(*synthesis_errors(convolve.synthesis, size, 1.0, 2 * len(convolve.rotation.orders))))


@DRAWS
@pytest.mark.parametrize("limb_darkening", [0.0, 0.6])
@pytest.mark.parametrize("contract", [GAIA, GAIA_DR3], ids=lambda contract: str(contract.name))
def test_agrees_with_quadrature(
    contract: Contract, binned_lines: Array, vsini: float, resolution: float, limb_darkening: float
) -> None:
    expected = quadrature(contract, vsini, resolution, limb_darkening)
    found = broadened(contract_broadening(contract), binned_lines, vsini, resolution, limb_darkening)
    depth = 1.0 - expected.min()
    assert depth > 0.05
    assert np.abs(found - expected).max() < 1e-4 * depth


@DRAWS
def test_keeps_equivalent_widths(convolve: Broadening, binned_lines: Array, vsini: float, resolution: float) -> None:
    flux = broadened(convolve, binned_lines, vsini, resolution, 0.6)
    # Of a Gaussian in velocity, to first order in width over the speed of light, whose square is 1e-8.
    widths = [depth * np.sqrt(2.0 * np.pi) * width * centre / SPEED_OF_LIGHT for centre, depth, width in LINES]
    found = np.sum(1.0 - flux) * GAIA.wavelength.step
    assert found == pytest.approx(sum(widths), rel=1e-4)


@pytest.mark.rounding
def test_no_rotation_is_the_limit_of_slow_rotation(convolve: Broadening, binned_lines: Array) -> None:
    still = broadened(convolve, binned_lines, 0.0, 14500.0, 0.6)
    slow = broadened(convolve, binned_lines, 0.01, 14500.0, 0.6)
    assert_within(slow, still, rounding(convolve, convolve.modes(binned_lines)))
    assert np.abs(broadened(convolve, binned_lines, 10.0, 14500.0, 0.6) - still).max() > 1e-3


def reference_axis(centres: Array, step: float) -> IntrinsicAxis:
    start = float(centres[0] * np.exp(-0.5 * step / SPEED_OF_LIGHT))
    stop = float(centres[-1] * np.exp((0.5 + 1e-3) * step / SPEED_OF_LIGHT))
    return IntrinsicAxis(start=start, stop=stop, velocity_step=step, flux_per_count=2.5e-4)


def test_agrees_with_independent_code() -> None:
    """Six draws broadened elsewhere, by direct convolution on an axis of 0.75 km/s."""
    with np.load(REFERENCE) as reference:
        axis = reference_axis(reference["intrinsic_wavelength"], 0.75)
        np.testing.assert_allclose(axis.wavelength, reference["intrinsic_wavelength"], rtol=1e-9)
        convolve = broadening(axis, GAIA.wavelength, 14500.0, 300.0)
        run = [reference["run_id"].tolist().index(number) for number in reference["broadened_run_id"]]
        found = convolve(
            convolve.modes(reference["intrinsic_flux"][run]),
            reference["broadened_vsini"],
            reference["broadened_resolution"],
            np.full(len(run), REFERENCE_LIMB_DARKENING),
        )
        assert found.shape == (6, 4000)
        assert np.abs(found - reference["broadened_flux"]).max() < 1e-4


def test_storage_changes_no_broadened_pixel(convolve: Broadening) -> None:
    """Bins of 1.5 km/s and flux in steps of 2.5e-4 lose nothing that an instrument of the contract could see."""
    with np.load(REFERENCE) as reference:
        axis = reference_axis(reference["intrinsic_wavelength"], 0.75)
        fine, flux = broadening(axis, GAIA.wavelength, 14500.0, 300.0), reference["intrinsic_flux"].astype(np.float64)
    # The reference's first bin is centred on the contract's first edge: a bin here is half, one and half a bin there.
    assert axis.wavelength[0] == pytest.approx(GAIA.intrinsic.edges[0], rel=1e-9)
    coarse = 0.25 * flux[:, :-2:2] + 0.5 * flux[:, 1:-1:2] + 0.25 * flux[:, 2::2]
    stored = np.rint(coarse / GAIA.intrinsic.flux_per_count) * GAIA.intrinsic.flux_per_count
    for vsini, resolution in ((0.0, 14500.0), (5.0, 14500.0), (80.0, 8000.0), (300.0, 5000.0)):
        for row in range(3):
            whole = broadened(fine, flux[[row]], vsini, resolution, 0.5)
            kept = broadened(convolve, stored[[row]], vsini, resolution, 0.5)
            assert np.abs(kept - whole).max() < 5e-4


@pytest.mark.rounding
def test_batches_do_not_mix(convolve: Broadening, binned_lines: Array) -> None:
    vsini, resolution, limb = np.array([5.0, 250.0]), np.array([14500.0, 6000.0]), np.array([0.2, 0.8])
    modes = convolve.modes(np.concatenate([binned_lines, binned_lines**2]))
    together = convolve(modes, vsini, resolution, limb)
    for row in range(2):
        alone = slice(row, row + 1)
        expected = convolve(modes[alone], vsini[alone], resolution[alone], limb[alone])
        assert_within(together[alone], expected, rounding(convolve, modes))


def test_modes_measure_flux(convolve: Broadening, binned_lines: Array) -> None:
    """A distance between modes is the root-mean-square difference of spectra at the sharpest resolution."""
    modes = convolve.modes(np.concatenate([binned_lines, np.ones_like(binned_lines)]))
    flux = 1.0 - broadened(convolve, binned_lines, 0.0, 14500.0, 0.0)
    span = np.log(GAIA.wavelength.pixels[-1] / GAIA.wavelength.pixels[0]) * SPEED_OF_LIGHT
    whole = convolve.bins * GAIA.intrinsic.velocity_step
    assert np.sum((modes[0] - modes[1]) ** 2) == pytest.approx(np.mean(flux**2) * span / whole, rel=5e-3)


def test_what_cannot_be_broadened_is_refused(convolve: Broadening) -> None:
    with pytest.raises(InputError, match="have 100 bins, this broadening takes 9878"):
        convolve.modes(np.ones((1, 100)))
    with pytest.raises(InputError, match="contract tiny can't broaden: it needs an intrinsic axis"):
        contract_broadening(TINY)
    with pytest.raises(
        InputError, match=r"8400\.0-8799\.9 A \(in air\) reach beyond the intrinsic spectra \(8515\.0-85"
    ):
        broadening(SMALL.intrinsic, GAIA.wavelength, 14500.0, 300.0)


def test_equal_contracts_share_one_broadening() -> None:
    first, second = (parse_contract(SMALL.source) for _ in range(2))
    for contract in (first, second):
        assert len(contract.wavelength.pixels) == contract.wavelength.count  # computed once, and kept in the axis
    assert contract_broadening(first) is contract_broadening(second)
