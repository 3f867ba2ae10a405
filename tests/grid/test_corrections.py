"""Corrections: they end where nothing that matters is left, and say when they can't."""

import numpy as np
import pytest
from seams import LOGG, RESOLUTION, TEFF, VSINI, seam_contract

from stellar_emulator.errors import InputError
from stellar_emulator.grid import corrections
from stellar_emulator.grid.corrections import LEFT, corrections_of, flux_of, seen
from stellar_emulator.grid.reduced import sharpest_view

VIEW = sharpest_view(seam_contract(TEFF, LOGG, VSINI, RESOLUTION))


def lines(*depths: float) -> np.ndarray:
    """One narrow line a run, at another place each."""
    place = np.arange(VIEW.bins)
    centres = 100.0 * (1 + np.arange(len(depths)))
    return np.asarray(np.array(depths)[:, np.newaxis] * np.exp(-0.5 * ((place - centres[:, np.newaxis]) / 4.0) ** 2))


def test_what_is_left_does_not_matter_and_what_did_not_matter_is_left() -> None:
    left = lines(0.01, -0.004, 1e-4)
    counts = corrections_of(left, VIEW)
    assert (np.abs(seen(left, VIEW)).max(axis=1) > LEFT).tolist() == [True, True, False]
    assert np.abs(seen(left - flux_of(counts), VIEW)).max() <= LEFT
    assert counts[0].sum() > 0 > counts[1].sum()
    assert not counts[2].any()
    assert (np.abs(np.flatnonzero(counts[0]) - 100) < 30).all()


def test_a_bump_covers_three_bins_and_keeps_its_flux() -> None:
    counts = np.zeros((1, 9), dtype=np.int16)
    counts[0, 4] = 3
    assert flux_of(counts)[0, 3:6] == pytest.approx(3 * corrections.FLUX_PER_COUNT * np.array([0.25, 0.5, 0.25]))
    assert flux_of(counts).sum() == pytest.approx(3 * corrections.FLUX_PER_COUNT)


def test_no_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corrections, "_ROUNDS", 1)
    with pytest.raises(InputError, match=r"2 runs lose more than 0\.0003 in any compact form"):
        corrections_of(lines(0.01, -0.004, 1e-4), VIEW)
