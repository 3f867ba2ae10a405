"""Air and vacuum wavelengths."""

import numpy as np
import pytest

from stellar_emulator.contract.medium import converted, to_air, to_vacuum


def test_known_wavelengths() -> None:
    """Ca II 8542: 8542.09 A in air, 8544.44 A in vacuum (NIST)."""
    assert float(to_vacuum(8542.09)) == pytest.approx(8544.44, abs=0.005)
    assert float(to_air(8544.44)) == pytest.approx(8542.09, abs=0.005)


def test_there_and_back() -> None:
    wavelength = np.linspace(3000.0, 25000.0, 1000)
    np.testing.assert_allclose(to_air(to_vacuum(wavelength)), wavelength, rtol=1e-13)


def test_the_same_medium_is_left_alone() -> None:
    wavelength = np.array([8400.0, 8500.0])
    assert converted(wavelength, "air", "air") is wavelength
    np.testing.assert_array_equal(converted(wavelength, "air", "vacuum"), to_vacuum(wavelength))
    np.testing.assert_array_equal(converted(wavelength, "vacuum", "air"), to_air(wavelength))
