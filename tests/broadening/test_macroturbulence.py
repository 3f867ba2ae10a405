"""Macroturbulence against direct integrations over the disc, in velocity and in frequency."""

import numpy as np
import pytest
from scipy.signal import fftconvolve
from seams import INSTRUMENT, LOGG, MACRO, RESOLUTION, TEFF, VSINI, seam_contract

from stellar_emulator.broadening.broadening import contract_broadening, instrument_sigma
from stellar_emulator.broadening.disc_series import disc_series, disc_slopes, disc_transfer
from stellar_emulator.broadening.macroturbulence import disc_and_limb
from stellar_emulator.contract.axis import SPEED_OF_LIGHT
from stellar_emulator.contract.contract import Contract
from stellar_emulator.grid.engines.intrinsic import bin_averages

FREQUENCIES = np.linspace(0.0, 0.08, 60)
"""Cycles per km/s."""


def disc_profile(velocity: np.ndarray, zeta: float, darkening: float, vsini: float = 0.0) -> np.ndarray:
    """Light of a disc by velocity, (velocities,): local radial-tangential profiles of many places, added up."""
    nodes, weights = np.polynomial.legendre.leggauss(160)
    mu = 0.5 * (nodes + 1.0)
    angle = 2.0 * np.pi * (np.arange(120) + 0.5) / 120 if vsini else np.zeros(1)
    light = weights * mu * (1.0 - darkening + darkening * mu)
    total = np.zeros_like(velocity)
    for one_mu, weight in zip(mu, light, strict=True):
        for one_angle in angle:
            away = velocity - vsini * np.sqrt(1.0 - one_mu**2) * np.cos(one_angle)
            for width in (zeta * one_mu, zeta * np.sqrt(1.0 - one_mu**2)):
                if width > 0.02 * zeta:
                    total += weight * np.exp(-((away / width) ** 2)) / width
                else:  # no wider than a step
                    total[np.argmin(np.abs(away))] += weight * np.sqrt(np.pi) / (velocity[1] - velocity[0])
    return total / total.sum()


@pytest.mark.parametrize("darkening", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("zeta", [2.0, 8.0, 30.0])
def test_the_transfer_is_that_of_the_disc(zeta: float, darkening: float) -> None:
    velocity = np.arange(-140.0, 140.0, 0.02)
    profile = disc_profile(velocity, zeta, darkening)
    expected = np.cos(2.0 * np.pi * np.outer(FREQUENCIES, velocity)) @ profile
    found = disc_transfer(disc_and_limb, FREQUENCIES, np.array([zeta]), np.array([darkening]))[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=3e-5)
    assert found[0] == pytest.approx(1.0, abs=1e-15)


def test_the_first_terms_meet_the_whole() -> None:
    around = np.sqrt(np.array([0.99e-3, 1.01e-3])) / np.pi
    for part in disc_and_limb(around, np.ones(1)):
        slope = (part[1] - part[0]) / 2e-5
        assert np.abs(slope).max() < 0.51
    found = disc_transfer(disc_and_limb, FREQUENCIES, np.zeros(1), np.array([0.6]))
    np.testing.assert_allclose(found, 1.0, atol=1e-15)


@pytest.mark.parametrize("largest", [1.0, 30.0, 150.0])
def test_the_series_is_the_transfer_up_to_the_largest(largest: float) -> None:
    values = largest * np.concatenate([[0.0, 1e-6, 1e-3, 1.0], np.random.default_rng(1).random(200)])
    darkening = np.random.default_rng(2).random(len(values))
    found = disc_series(disc_and_limb, FREQUENCIES, largest)(values, darkening)
    expected = disc_transfer(disc_and_limb, FREQUENCIES, values, darkening)
    np.testing.assert_allclose(found, expected, rtol=0, atol=3e-6)


def test_slopes_are_those_of_the_transfer() -> None:
    values = np.array([0.0, 0.5, 3.0, 12.0, 29.9])
    series = disc_slopes(disc_and_limb, FREQUENCIES, 30.0)
    waves = np.sin(np.outer(np.arcsin(values / 30.0), series.orders))
    for darkening in (0.0, 0.7):
        found = waves @ (series.disc + darkening * series.difference) / (1.0 - darkening / 3.0)
        moved = [
            disc_transfer(disc_and_limb, FREQUENCIES, np.abs(values + step), np.full(5, darkening))
            for step in (1e-4, -1e-4)
        ]
        np.testing.assert_allclose(found, (moved[0] - moved[1]) / 2e-4, atol=3e-6)
        assert np.abs(found).max() > 0.01


VELOCITY = np.asarray(0.05 * np.arange(-100, 38810), dtype=np.float64)
"""From the start of the intrinsic axis, km/s."""


def line(velocity: np.ndarray) -> np.ndarray:
    """Intrinsic flux: one line of 4 km/s at 8542 A."""
    return 1.0 - 0.8 * np.exp(-0.5 * ((velocity - np.log(8542.0 / 8515.0) * SPEED_OF_LIGHT) / 4.0) ** 2)


def convolved(contract: Contract, kernel: np.ndarray, resolution: float) -> np.ndarray:
    """The line convolved with a kernel and the instrument on steps of 0.05 km/s, at the pixels."""
    sigma, offsets = float(instrument_sigma(resolution)), 0.05 * np.arange(-1600, 1601)
    gauss = np.exp(-0.5 * (offsets / sigma) ** 2)
    absorbed = 1.0 - line(VELOCITY)
    for one in (gauss / gauss.sum(), kernel):
        absorbed = fftconvolve(absorbed, one, mode="same")
    return 1.0 - np.interp(np.log(contract.wavelength.pixels / 8515.0) * SPEED_OF_LIGHT, VELOCITY, absorbed)


def broadened(contract: Contract, row: list[float], darkening: float) -> np.ndarray:
    """The line, averaged over the bins of the intrinsic axis, as broadening makes it at some labels."""
    assert contract.intrinsic is not None
    edges = np.log(contract.intrinsic.edges / 8515.0) * SPEED_OF_LIGHT
    convolve = contract_broadening(contract)
    modes = convolve.modes(bin_averages(VELOCITY, line(VELOCITY), edges)[np.newaxis])
    return convolve.at_labels(contract, modes, np.array([row]), np.array([darkening]))[0]


@pytest.mark.parametrize("darkening", [0.0, 0.6])
def test_flux_is_convolved_with_the_disc_s_profile(darkening: float) -> None:
    contract = seam_contract(TEFF, LOGG, RESOLUTION, MACRO)
    found = broadened(contract, [5000.0, 4.0, 9000.0, 14.0], darkening)
    expected = convolved(contract, disc_profile(0.05 * np.arange(-2000, 2001), 14.0, darkening), 9000.0)
    depth = 1.0 - expected.min()
    assert depth > 0.1
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-4 * depth)


def test_rotation_and_macroturbulence_are_factors_and_nearly_the_disc_of_both() -> None:
    """Gray's approximation leaves out 0.1 % of the line's depth here, macroturbulence itself is 7 % of it."""
    contract = seam_contract(TEFF, LOGG, VSINI, MACRO, more=INSTRUMENT)
    found = broadened(contract, [5000.0, 4.0, 20.0, 12.0], 0.6)
    expected = convolved(contract, disc_profile(0.05 * np.arange(-1600, 1601), 12.0, 0.6, 20.0), 11500.0)
    depth = 1.0 - expected.min()
    assert np.abs(found - expected).max() < 1.5e-3 * depth
    without = broadened(contract, [5000.0, 4.0, 20.0, 0.0], 0.6)
    assert np.abs(found - without).max() > 0.05 * depth


def test_without_rotation_or_anything_drawn_there_is_the_instrument_alone() -> None:
    contract = seam_contract(TEFF, more=INSTRUMENT)
    kernel = np.zeros(2001)
    kernel[1000] = 1.0
    np.testing.assert_allclose(broadened(contract, [5000.0], 0.6), convolved(contract, kernel, 11500.0), atol=5e-5)
