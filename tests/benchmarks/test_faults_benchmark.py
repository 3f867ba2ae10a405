"""The faults that the scan puts into an emulator are as large, and where, as their names say."""

import numpy as np
import pytest
from benchmarks.faults import Fault, _filled, _ignored, _inside, _island, _stepped, _straight
from synthetic import GAIA

PIXELS = GAIA.wavelength.pixels
LABELS = GAIA.lower + np.random.default_rng(1).random((200_000, len(GAIA.labels))) * (GAIA.upper - GAIA.lower)


def sound(labels: np.ndarray) -> np.ndarray:
    """A spectrum of one line that deepens with Teff alone."""
    depth = (labels[:, :1] - 3600.0) / 11_400.0
    return (1.0 - depth * np.exp(-0.5 * ((PIXELS - 8542.1) / 1.0) ** 2)).astype(np.float32)


@pytest.mark.parametrize(
    ("sides", "volume"), [(["teff", "logg", "m_h"], 1e-2), (GAIA.label_names, 1e-2), (["teff"], 1e-3)]
)
def test_islands_have_their_volume(sides: list[str], volume: float) -> None:
    inside = _island(GAIA, np.random.default_rng(2), sides, volume)(LABELS)
    assert inside.mean() == pytest.approx(volume, rel=0.2)


def test_a_fault_leaves_all_else_as_it_was() -> None:
    labels = LABELS[:400]
    where = _inside(GAIA, {"teff": (8000.0, 10_000.0)})
    fault = Fault("filled", _filled(GAIA, 8542.1, 0.5, 0.5), where)
    right, wrong, rows = sound(labels), fault.into(sound)(labels), where(labels)
    window = np.abs(PIXELS - 8542.1) < 0.45
    assert rows.any()
    assert (~rows).any()
    np.testing.assert_array_equal(wrong[~rows], right[~rows])
    np.testing.assert_array_equal(
        wrong[:, ~(np.abs(PIXELS - 8542.1) <= 0.5)], right[:, ~(np.abs(PIXELS - 8542.1) <= 0.5)]
    )
    assert (wrong[rows][:, window] > right[rows][:, window]).all()
    level = _straight(GAIA, 8542.1, 0.5)(labels, right, sound)
    assert np.ptp(level[:, window], axis=1).max() < 0.02


def test_steps_and_ends_change_one_label() -> None:
    labels = LABELS[:300]
    rounded = labels.copy()
    rounded[:, 0] = np.round(labels[:, 0] / 50.0) * 50.0
    np.testing.assert_array_equal(_stepped(GAIA, "teff", 50.0)(labels, sound(labels), sound), sound(rounded))
    held = labels.copy()
    held[:, 0] = np.minimum(labels[:, 0], 14_000.0)
    np.testing.assert_array_equal(_ignored(GAIA, "teff", 14_000.0, 15_000.0)(labels, sound(labels), sound), sound(held))
