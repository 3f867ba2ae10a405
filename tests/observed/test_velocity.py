import numpy as np
import pytest

from stars import ARCHIVE, pair_of, star
from stellar_emulator.observed.velocity import Seen, at_rest, observed_at


def test_a_receding_star_is_redder() -> None:
    assert observed_at(np.array([8542.0]), 299.792458)[0] == pytest.approx(8542.0 * 1.001)
    assert at_rest(observed_at(np.array([8542.0]), -150.0), -150.0)[0] == pytest.approx(8542.0)


@pytest.mark.parametrize("velocity", [-412.3, -20.0, 0.0, 7.7, 350.0])
def test_library_finds_velocity_and_a_star_alike(velocity: float) -> None:
    pair, pixels = pair_of(ARCHIVE), ARCHIVE.wavelength.pixels
    flux = pair.emulator.flux(star(ARCHIVE))[0] + np.random.default_rng(1).normal(0.0, 0.02, len(pixels))
    seen = Seen(observed_at(pixels, velocity), flux, np.full(len(pixels), 0.02))
    ((match,),) = pair.library.matches([seen])
    assert match.velocity == pytest.approx(velocity, abs=3.0)


def test_masked_pixels_count_for_nothing() -> None:
    pair, pixels = pair_of(ARCHIVE), ARCHIVE.wavelength.pixels
    flux = pair.emulator.flux(star(ARCHIVE))[0].astype(float)
    error = np.full(len(pixels), 0.02)
    marred, hidden = flux.copy(), error.copy()
    marred[1000:1100], hidden[1000:1100] = -50.0, np.inf
    spectra = [Seen(pixels, flux, error), Seen(pixels, marred, hidden)]
    (clean,), (masked,) = pair.library.matches(spectra)
    assert masked.velocity == pytest.approx(clean.velocity, abs=1.0)
